"""What was tested where and by whom: unit, process, station, operator, and what the site's rules take from texts."""

from __future__ import annotations

import hmac
from base64 import b32encode
from collections.abc import Callable, Iterator, Mapping

from vte_wats.config.settings import OperatorNames, ProblemCharacters, Settings, TextField, TextRule
from vte_wats.config.sites import Site
from vte_wats.config.text_rules import MISC_PREFIX
from vte_wats.domain.errors import FatalError, HeldError, RejectedError
from vte_wats.domain.run import VteTestplan, VteTestRun
from vte_wats.mapping.texts import TEXT_LIMIT, WHOLE, Remarks, printable, quoted, width
from vte_wats.messages import VW401, VW411, VW412, VW413, VW414, VW450

_PROBLEM_CHARACTERS = frozenset("*%?[]^!/\\")
_CORRECT = "Correct it in the VTE database"


_COLUMNS: dict[TextField, Callable[[VteTestRun], str | None]] = {
    TextField.PRODUCT_NAME: lambda run: run.product.name,
    TextField.TESTPLAN_NAME: lambda run: run.testplan.name,
    TextField.TESTPLAN_VARIANT: lambda run: run.testplan.variant,
    TextField.TESTPLAN_REVISION: lambda run: run.testplan.revision,
    TextField.HOSTNAME: lambda run: run.hostname,
    TextField.SITE: lambda run: run.site_name,
    TextField.TESTSYSTEM_NAME: lambda run: run.testsystem_name,
    TextField.INFO1: lambda run: run.info1,
    TextField.INFO2: lambda run: run.info2,
    TextField.INFO3: lambda run: run.info3,
}


def text_of(run: VteTestRun, field: TextField) -> str | None:
    """Return the text column a setting names."""
    return _COLUMNS[field](run)


def serial_of(run: VteTestRun, settings: Settings, remarks: Remarks) -> str:
    """Return the serial number unshortened; raise :class:`RejectedError` when WATS cannot identify a unit by it."""
    return _identifying("serial", run.serial, settings, remarks)


def part_number_of(run: VteTestRun, settings: Settings, remarks: Remarks) -> str:
    """Return the part number unshortened; a product without a name in the run has the one in the master table."""
    text = text_of(run, settings.part_number)
    if settings.part_number is TextField.PRODUCT_NAME and not printable(text):
        text = run.product.master_name
    return _identifying("part number", text, settings, remarks)


def _identifying(field: str, text: str | None, settings: Settings, remarks: Remarks) -> str:
    printed = remarks.fit(field, text, WHOLE)
    if not printed:
        raise RejectedError(
            VW411,
            f"{field} must not be blank, given {'NULL' if text is None else quoted(text)}. {_CORRECT}",
            f"{field} is blank",
        )
    if width(printed) > TEXT_LIMIT:
        raise RejectedError(
            VW412,
            f"{field} must have at most {TEXT_LIMIT} characters, given {width(printed)}: {quoted(printed)}. {_CORRECT}",
            f"{field} is longer than {TEXT_LIMIT} characters",
        )
    found = "".join(sorted(_PROBLEM_CHARACTERS.intersection(printed)))
    if found and settings.problem_characters is ProblemCharacters.REJECT:
        raise RejectedError(
            VW413,
            f"{field} must not contain {' '.join(found)}, given {quoted(printed)}. {_CORRECT}, or set "
            f"problem_characters to keep: {settings.where_to_change}",
            f"{field} contains {' '.join(found)}",
        )
    return printed


def testplan_of(testplan: VteTestplan) -> str:
    """Return the test plan's name as the run recorded it, else the one in the master table, else the empty text."""
    for name in (testplan.name, testplan.master_name):
        if name and printable(name):
            return name
    return ""


def process_code_of(run: VteTestRun, settings: Settings) -> int:
    """Return the WATS process of the run's test plan; raise :class:`HeldError` when the map has none for it."""
    testplan = printable(testplan_of(run.testplan))
    code = settings.process_code(testplan)
    if code is None:
        named = quoted(testplan)
        raise HeldError(
            VW401,
            f"test plan {named} matches nothing in process_map, so its WATS process is not known. Add it: "
            f"{settings.where_to_change}",
            f"unmapped test plan {named}",
        )
    return code


def station_of(run: VteTestRun, settings: Settings, remarks: Remarks) -> str:
    """Return the station name, else the host name; raise :class:`RejectedError` when both are blank."""
    station = remarks.fit("station", text_of(run, settings.station)) or remarks.fit("station", run.hostname)
    if not station:
        raise RejectedError(
            VW414,
            f"station must not be blank, but {settings.station.value} and hostname are. {_CORRECT}, or let the "
            f"setting station name another column: {settings.where_to_change}",
            "station is blank",
        )
    return station


SECRET_LENGTH = 32
"""Bytes a secret must have, so that nobody finds it by trying."""

_UNNAMED = Site()
_PSEUDONYM_BYTES = 10


class Operators:
    """Keeps, replaces or omits operators' names, as the setting ``operator`` says."""

    def __init__(self, settings: Settings, secret: str | None = None, site: Site = _UNNAMED) -> None:
        """Raise FatalError when pseudonyms are wanted and ``secret`` is missing or too short."""
        self._names = settings.operator
        self._secret = (secret or "").strip().encode()
        if self._names is OperatorNames.PSEUDONYM and len(self._secret) < SECRET_LENGTH:
            found = f"has {len(self._secret)}" if self._secret else "does not exist or is blank"
            raise FatalError(
                VW450,
                f"operator is pseudonym, which needs a secret of at least {SECRET_LENGTH} bytes, but the Variable "
                f"{site.operator_secret_variable} {found}. Create it with a random text (Airflow › Admin › Variables), "
                f"or set operator to omit: {settings.where_to_change}",
            )

    def kept(self, name: str | None) -> str | None:
        """Return what is kept of a name; blank ones are none.

        One person has one pseudonym, however the name is capitalised. Without the secret it leads to nobody.
        """
        if self._names is OperatorNames.KEEP:
            return name
        person = printable(name).casefold()
        if self._names is OperatorNames.OMIT or not person:
            return None
        digest = hmac.digest(self._secret, person.encode("utf-8", "surrogatepass"), "sha256")
        return f"op-{b32encode(digest[:_PSEUDONYM_BYTES]).decode().lower()}"


_MOST_DIGITS = 9  # of a 32-bit whole number, whatever its value


def tried_rules(run: VteTestRun, settings: Settings) -> Iterator[tuple[TextRule, dict[str, str] | None]]:
    """Yield each rule with what its groups take of the run's text; ``None`` where the text looks different."""
    for rule in settings.text_rules:
        yield rule, rule.parsed.groups_in(printable(text_of(run, rule.source)))


def taken_values(run: VteTestRun, settings: Settings) -> dict[str, str]:
    """Return each value by the name of its group, from the first rule that finds it."""
    values: dict[str, str] = {}
    for _, groups in tried_rules(run, settings):
        values = (groups or {}) | values
    return values


def socket_of(values: Mapping[str, str], remarks: Remarks) -> int | None:
    """Return the test socket, which must be a number; another text is left out with a remark."""
    text = values.get("socket")
    if text is None:
        return None
    if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS:
        return int(text)
    remarks.add(f"test socket {text} is no whole number and was left out")
    return None


def misc_infos_in(values: Mapping[str, str], remarks: Remarks) -> Iterator[tuple[str, str]]:
    """Yield description and text of each misc info that a rule takes."""
    for name, text in values.items():
        if name.startswith(MISC_PREFIX):
            description = name.removeprefix(MISC_PREFIX)
            yield description, remarks.fit(description, text)
