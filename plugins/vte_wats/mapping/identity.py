"""What identifies a run in WATS: the unit, the process, the station."""

from __future__ import annotations

from collections.abc import Callable

from vte_wats.config.settings import ProblemCharacters, Settings, TextField
from vte_wats.domain.errors import HeldError, RejectedError
from vte_wats.domain.run import VteTestplan, VteTestRun
from vte_wats.mapping.texts import TEXT_LIMIT, WHOLE, Remarks, printable, quoted, width
from vte_wats.messages import VW401, VW411, VW412, VW413, VW414

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
