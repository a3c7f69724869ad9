"""Everything a site configures about its VTE database and its WATS, read once and validated at once.

The settings are in the Airflow Variable ``vte_wats`` as one JSON object, addresses and credentials in the connections
``vte_default`` and ``wats_default``; a named site has its own of each. Unknown fields are refused, and every mistake is
reported together.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter
from enum import StrEnum
from fnmatch import translate
from functools import cached_property
from typing import Annotated, Any
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    PrivateAttr,
    ValidationError,
    field_validator,
)
from pydantic_core import ErrorDetails

from vte_wats.config.alert_settings import AlertSettings
from vte_wats.config.sites import Site
from vte_wats.config.text_rules import TextPattern, parse_pattern
from vte_wats.domain.errors import FatalError
from vte_wats.domain.redaction import shown
from vte_wats.intervals.wall_clock import Fold
from vte_wats.messages import VW101, VW102, VW103, VW508, VW542

_NEVER_SHOWN = frozenset({"recipients", "apprise_connection"})  # people's addresses, and where an address has a token
# One-sided limits and "no limit" markers may have been stored in a 32-bit column before.
_SINGLE_PRECISION = 1e-6
_RUNS_OF_THE_LIMIT = 200


class TimestampMarks(StrEnum):
    """Which end of a test IndexData.Timestamp stands for."""

    END = "end"
    START = "start"


class RunResult(StrEnum):
    """The verdicts WATS knows for a report."""

    PASSED = "Passed"
    FAILED = "Failed"
    ERROR = "Error"
    TERMINATED = "Terminated"


class StepResult(StrEnum):
    """The verdicts WATS knows for a step."""

    PASSED = "Passed"
    FAILED = "Failed"
    DONE = "Done"
    ERROR = "Error"
    TERMINATED = "Terminated"
    SKIPPED = "Skipped"


class LoggedResult(StrEnum):
    """What a measured value is in WATS that has neither a limit nor a result code."""

    PASSED = "Passed"
    DONE = "Done"


class EqualStepNames(StrEnum):
    """What becomes of steps of one run whose names are equal."""

    NUMBER = "number"
    KEEP = "keep"


class StepNesting(StrEnum):
    """Whether steps stand in a row, or in the sequences that their test numbers name."""

    FLAT = "flat"
    TEST_NUMBER = "test_number"


class Numbers(StrEnum):
    """How numbers of a 32-bit column are written."""

    SHORTEST = "shortest"
    EXACT = "exact"


class IdentifiedBy(StrEnum):
    """What makes VTE's database the one that was synced so far."""

    SERVER = "server"
    DATABASE = "database"


class OperatorNames(StrEnum):
    """What leaves VTE of the operator's name."""

    KEEP = "keep"
    PSEUDONYM = "pseudonym"
    OMIT = "omit"


class AmbiguousTime(StrEnum):
    """Which of its two instants a wall-clock time stands for that autumn repeats."""

    EARLIER = "earlier"
    LATER = "later"

    @property
    def fold(self) -> Fold:
        """The fold of PEP 495."""
        return 0 if self is AmbiguousTime.EARLIER else 1


class ProblemCharacters(StrEnum):
    """What becomes of serial and part numbers with characters that searches in WATS treat specially."""

    KEEP = "keep"
    REJECT = "reject"


class OddTimestamps(StrEnum):
    """What becomes of runs of clocks that were reset."""

    TRANSFER = "transfer"
    HOLD = "hold"


class ExistenceCheck(StrEnum):
    """How WATS is asked whether it has a run already."""

    UUID = "uuid"
    SOURCE_ID = "source_id"


class TextField(StrEnum):
    """The text columns of a run that a rule may take a value from."""

    PRODUCT_NAME = "product_name"
    TESTPLAN_NAME = "testplan_name"
    TESTPLAN_VARIANT = "testplan_variant"
    TESTPLAN_REVISION = "testplan_revision"
    HOSTNAME = "hostname"
    SITE = "site"
    TESTSYSTEM_NAME = "testsystem_name"
    INFO1 = "info1"
    INFO2 = "info2"
    INFO3 = "info3"


class _Closed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _known_zone(name: str) -> str:
    if name not in available_timezones():
        msg = "must be an IANA time zone name such as Europe/Oslo"
        raise ValueError(msg)
    return name


def _identifier(name: str) -> str:
    if not name.strip() or "%" in name or any(ord(character) < 32 for character in name):
        msg = "must be a SQL Server identifier: not blank, no % and no control characters"
        raise ValueError(msg)
    return name


def quoted_name(name: str) -> str:
    """Return a name as T-SQL reads it as a name, whatever it holds."""
    return "[" + name.replace("]", "]]") + "]"


def _without_login(place: str) -> str:
    """Refuse a login in an address, also one with characters that should have been escaped."""
    scheme, _, rest = place.partition("://")
    if scheme != "file" and ":" in rest.rpartition("@")[0]:
        msg = "must not contain a password; name an Airflow connection instead, such as s3://my_connection@bucket/vte"
        raise ValueError(msg)
    return place


TimeZoneName = Annotated[str, AfterValidator(_known_zone)]
Identifier = Annotated[str, Field(min_length=1, max_length=128), AfterValidator(_identifier)]
WatsText = Annotated[str, Field(min_length=1, max_length=100, pattern=r"\S")]


# The documented columns that the statements of include/sql read. Those of the first group are required.
KEY_COLUMNS: dict[str, frozenset[str]] = {
    "IndexData": frozenset({"Index_GUID", "Timestamp", "Result", "Uut_GUID", "Product_GUID", "Testplan_GUID",
                            "Testsystem_GUID"}),
    "UutData": frozenset({"Uut_GUID", "Serial"}),
    "Products": frozenset({"Product_GUID"}),
    "Testplans": frozenset({"Testplan_GUID"}),
    "TestSystems": frozenset({"Testsystem_GUID"}),
    "TestDataNumeric": frozenset({"Index_GUID", "TestResult", "TestStepNumber"}),
    "TestDataText": frozenset({"Index_GUID", "TestResult", "TestStepNumber"}),
    "TestDataOther": frozenset({"Index_GUID", "TestResult", "TestStepNumber"}),
}  # fmt: skip
_STEP_COLUMNS = frozenset({"TestName", "TestDescription", "TestNumber", "TestUnits", "TestResultType"})
OPTIONAL_COLUMNS: dict[str, frozenset[str]] = {
    "IndexData": frozenset({"ExitCode", "TestTime", "ProductName", "TestplanRevision_GUID", "TestplanName",
                            "TestplanVariant", "TestplanRevision", "Hostname", "Site", "UserName", "Info1", "Info2",
                            "Info3"}),
    "UutData": frozenset(),
    "Products": frozenset({"Name"}),
    "Testplans": frozenset({"Name"}),
    "TestSystems": frozenset({"Name"}),
    "TestDataNumeric": _STEP_COLUMNS | {"LowLimit", "HighLimit"},
    "TestDataText": _STEP_COLUMNS,
    "TestDataOther": _STEP_COLUMNS,
}  # fmt: skip


class TableOverride(_Closed):
    """How one table of a site differs from the documented schema."""

    table: Identifier | None = Field(None, description="The table's name at this site, when it differs.")
    columns: dict[Identifier, Identifier | None] = Field(
        default_factory=dict,
        description="Documented column → the column's name at this site, or null where the site has no such column.",
    )


class PartRevision(_Closed):
    """Where a report's part revision comes from; the documented VTE columns have none."""

    source: TextField | None = Field(None, description="The column to take it from; null uses the constant alone.")
    constant: WatsText = Field("-", description="The value when there is no column or it is blank.")


class TextRule(_Closed):
    """Takes values for a report out of one text column."""

    source: TextField = Field(description="The column to look at.")
    pattern: str = Field(
        min_length=1,
        max_length=200,
        description="What the whole text looks like: * is any text, ? one character, and {batch}, {fixture}, {socket}, "
        "{part_revision} or {misc:Name} take the text up to the first place where what follows them stands.",
    )

    @field_validator("pattern")
    @classmethod
    def _is_a_pattern(cls, pattern: str) -> str:
        parse_pattern(pattern)
        return pattern

    @cached_property
    def parsed(self) -> TextPattern:
        """The pattern, ready to match."""
        return parse_pattern(self.pattern)


class ExcludedRuns(_Closed):
    """Who decided that a run is not transferred, and why."""

    by: WatsText = Field(description="Who decided it. Required.")
    reason: WatsText = Field(description="Why. Required.")


class Settings(_Closed):
    """The JSON object in the Airflow Variable ``vte_wats``."""

    source_timezone: TimeZoneName = Field(
        description="IANA name of the time zone whose wall clock IndexData.Timestamp shows. Required."
    )
    process_map: dict[str, Annotated[int, Field(ge=1, le=32767)]] = Field(
        min_length=1,
        description="Test plan name, exact or a pattern with * and ?, → WATS process code. An exact name wins, "
        "then the first pattern in order. Runs of a test plan that nothing matches are held until the map has it. "
        "Required.",
    )
    timestamp_marks: TimestampMarks = Field(
        TimestampMarks.END,
        description="Whether Timestamp is the end or the start of the test. With end, start = Timestamp − TestTime.",
    )
    ambiguous_time: AmbiguousTime = Field(
        AmbiguousTime.EARLIER,
        description="Whether a Timestamp in the repeated autumn hour is its first (earlier) or second (later) "
        "instant, when the other runs of its station do not show it; such reports say so.",
    )
    result_codes: dict[int, RunResult] = Field(
        default={1: RunResult.PASSED, 0: RunResult.FAILED, 2: RunResult.ERROR, 3: RunResult.TERMINATED},
        min_length=1,
        description="IndexData.Result → result. A run with an unlisted code is held, never passed.",
    )
    step_result_codes: dict[int, StepResult] = Field(
        default={1: StepResult.PASSED, 0: StepResult.FAILED, 2: StepResult.ERROR, 3: StepResult.TERMINATED},
        min_length=1,
        description="TestResultType → step result. NULL: a number with limits is judged by them, any other value is a "
        "logged value (logged_values), and what has no value is Done. A run with an unlisted code is held.",
    )
    logged_values: LoggedResult = Field(
        LoggedResult.PASSED,
        description="What a measured value is that has neither a limit nor a code of its own: Passed with comparison "
        "LOG, as test systems log values in WATS, or Done.",
    )
    equal_step_names: EqualStepNames = Field(
        EqualStepNames.NUMBER,
        description="Steps of equal name: number calls them Gain, Gain (2) and so on in the order of their step "
        "numbers, so that WATS does not count them together; keep leaves them equal.",
    )
    step_nesting: StepNesting = Field(
        StepNesting.FLAT,
        description="test_number puts the step with TestNumber 1.2.3 into sequence 1.2 of sequence 1; flat puts all "
        "steps in a row.",
    )
    numbers: Numbers = Field(
        Numbers.SHORTEST,
        description="How numbers of a 32-bit column (real) are written: shortest writes 0.1, the fewest digits that "
        "are the same 32-bit number; exact writes 0.10000000149011612. Numbers of other columns are always exact.",
    )
    no_limit_values: tuple[float, ...] = Field(
        default=(9.9e37, -9.9e37, 1e308, -1e308),
        description="LowLimit and HighLimit values that mean: no limit on this side.",
    )
    part_number: TextField = Field(TextField.PRODUCT_NAME, description="Where a report's part number comes from.")
    part_revision: PartRevision = Field(
        default_factory=PartRevision, description="Where a report's part revision comes from."
    )
    text_rules: tuple[TextRule, ...] = Field(
        default=(),
        max_length=50,
        description="Values taken out of text columns: batch, fixture, test socket, part revision, and misc infos. "
        "Rules are tried in order, and the first that finds a value counts. A dry run shows what they find.",
    )
    error_messages: dict[Annotated[int, Field(ge=-(2**31), lt=2**31)], WatsText | None] = Field(
        default={0: None},
        description="ExitCode → the error message of a run that did not pass, or null where the code is no error. An "
        "unlisted code has a message that names it.",
    )
    source_identity: IdentifiedBy = Field(
        IdentifiedBy.SERVER,
        description="What shows that VTE is the database of the syncs so far. server: the server's name, the "
        "database's name, and when it was created. database: its name alone, so that the sync goes on after a failover "
        "of Always On or from a copy that is restored each night; a wrong server with a database of that name is then "
        "not noticed.",
    )
    operator: OperatorNames = Field(
        OperatorNames.KEEP,
        description="The operator's name in reports, staging and dead letters: keep, pseudonym (needs the Variable "
        "vte_wats_operator_secret) or omit.",
    )
    default_operator: str = Field(
        "", max_length=100, description="The operator of runs that name none; WATS always gets one, even if empty."
    )
    station: TextField = Field(
        TextField.TESTSYSTEM_NAME,
        description="Where the station name comes from; Hostname where this is blank. Both blank: a dead letter.",
    )
    purpose: WatsText = Field("Production", description="The purpose of every report.")
    default_location: WatsText = Field("-", description="The location of runs whose Site is blank.")
    problem_characters: ProblemCharacters = Field(
        ProblemCharacters.KEEP,
        description="Serial and part numbers with * % ? [ ] ^ ! / or \\: keep uploads them unchanged, reject makes "
        "the run a dead letter.",
    )
    source_schema: Identifier = Field("dbo", description="The schema of the VTE tables.")
    column_overrides: dict[Identifier, TableOverride] = Field(
        default_factory=dict, description="Per documented table: how its name or its columns differ at this site."
    )
    guard_band_s: int = Field(
        600, ge=0, le=86_400, description="Seconds before each data interval that are read again for late rows."
    )
    settle_delay_s: int = Field(
        60, ge=0, le=3_600, description="Age in seconds a row must have before it is read, so that its steps are there."
    )
    batch_size: int = Field(
        1_000,
        ge=1,
        le=1_000,
        description="Runs a slice aims at. Slices of anything but the current interval hold no more than WATS takes "
        "within 25 s by its budget, so that the current interval never waits longer.",
    )
    max_steps_per_run: int = Field(
        20_000,
        ge=1,
        le=200_000,
        description="Steps of the largest run that is read; a larger one becomes a dead letter without its data. "
        "What a task holds in memory grows with it.",
    )
    max_run_bytes: int = Field(
        20_000_000,
        ge=100_000,
        le=200_000_000,
        description="Bytes of texts and values, as SQL Server's DATALENGTH counts them, of the largest run that is "
        "read; a larger one becomes a dead letter without its data.",
    )
    catch_up_runs: int = Field(
        1_000,
        ge=1,
        le=20_000,
        description="Runs of the oldest time that is not covered which a sync transfers beside its own interval; "
        "never more than WATS allows requests for within two minutes.",
    )
    near_check_h: int = Field(
        24,
        ge=0,
        le=48,
        description="Hours before each data interval in which a sync looks, with one statement, for runs that changed "
        "since they were transferred; it transfers those again. 0 looks for none.",
    )
    verify_cycle_days: int = Field(
        30,
        ge=0,
        le=3_650,
        description="Daily comparisons in which the content of the whole history is compared once, a part in each, "
        "beside the last days. 0 compares the last days alone.",
    )
    repair_altered: bool = Field(
        default=False,
        description="Whether a sampled report that was altered in WATS is posted again as its run is in VTE "
        f"({VW542}). Otherwise the comparison fails and names it ({VW508}).",
    )
    odd_timestamps: OddTimestamps = Field(
        OddTimestamps.TRANSFER,
        description="Runs that no window holds, because a clock was wrong: dated before 2002, or new in time "
        "before the start that no backfill covered. transfer: the daily comparison uploads them with the start that "
        "their Timestamp says; "
        "corrected in VTE, the report is replaced. hold: the first wait as held runs, the others are counted. A run "
        "without a Timestamp, or dated more than a day ahead, is held anyway: WATS cannot have it, or quarantines it.",
    )
    excluded_runs: dict[UUID, ExcludedRuns] = Field(
        default_factory=dict,
        max_length=1_000,
        description="Index_GUID → who left this run out, and why: it is never posted again, for instance because its "
        "report was deleted in WATS on purpose, and counts as held. Nothing is deleted in WATS.",
    )
    lock_timeout_ms: int = Field(
        2_000, ge=0, le=60_000, description="Milliseconds a query waits for a lock before it ends and is tried again."
    )
    clock_skew_limit_s: int = Field(
        60,
        ge=0,
        le=86_400,
        description="Seconds that SQL Server's clock may differ from Airflow's before a warning says so.",
    )
    existence_check: ExistenceCheck = Field(
        ExistenceCheck.UUID,
        description="uuid asks WATS for report ids in bulk; source_id asks for the misc info, one request per run, "
        "and counts an upload as confirmed under an id that WATS gave: for a WATS that renames reports.",
    )
    failing_report_tries: int = Field(
        3,
        ge=1,
        description="Tries of an upload task in which WATS fails for one report while others go through, after which "
        "that report is a dead letter; where it is alone, as many DAG runs between which WATS took other reports.",
    )
    unseen_tries: int = Field(
        3,
        ge=1,
        description="How often a report is posted that WATS confirms and does not show when it is asked later, by the "
        "next syncs or the daily comparison, before it is a dead letter. One in quarantine is such a report.",
    )
    rejection_limit: int = Field(
        20,
        ge=1,
        description="Equal rejections among 200 runs of a slice that stop it instead of making dead letters; in a "
        "larger slice as many more as it has more runs.",
    )
    storage_path: Annotated[str, Field(pattern=r"^[a-z0-9]+://"), AfterValidator(_without_login)] | None = Field(
        None,
        description="Where staging and dead letters are kept: file://, s3://, abfs:// or gs://. "
        "Default: file://$AIRFLOW_HOME/vte_wats.",
    )
    dead_letter_retention_days: int | None = Field(
        None,
        ge=1,
        le=36_500,
        description="Days after its first failure that a dead letter is removed, its run with it: what is not in WATS "
        "then is not in any record. null keeps it until its run reaches WATS.",
    )
    staging_retention_days: int = Field(
        14,
        ge=1,
        le=3_650,
        description="Days after their last change that files which a failure left in staging are removed.",
    )
    alerts: AlertSettings = Field(
        default_factory=AlertSettings,
        description="Who is notified when something is wrong, and when it counts as wrong.",
    )

    _variable: str = PrivateAttr(default=Site().settings_variable)
    _matched: dict[str, int | None] = PrivateAttr(default_factory=dict)  # by name, for thousands of patterns cost time

    @field_validator("column_overrides")
    @classmethod
    def _overrides_name_what_is_read(cls, overrides: dict[str, TableOverride]) -> dict[str, TableOverride]:
        """Refuse an override of something that is never read: a typing error would go unnoticed for years."""
        for table, override in overrides.items():
            if table not in KEY_COLUMNS:
                raise ValueError(f"{table} is not one of the tables that are read: {', '.join(KEY_COLUMNS)}")
            for column, name in override.columns.items():
                if column not in KEY_COLUMNS[table] | OPTIONAL_COLUMNS[table]:
                    known = ", ".join(sorted(KEY_COLUMNS[table] | OPTIONAL_COLUMNS[table]))
                    raise ValueError(f"{table}.{column} is not one of the columns that are read: {known}")
                if name is None and column in KEY_COLUMNS[table]:
                    raise ValueError(f"{table}.{column} is required; name the column that holds it here")
        return overrides

    def name_here(self, table: str, column: str) -> str | None:
        """Return a documented column as ``table.column`` with the names of this site; ``None`` where it has none."""
        override = self.column_overrides.get(table, TableOverride())
        name = override.columns.get(column, column)
        return None if name is None else f"{override.table or table}.{name}"

    @property
    def columns_read(self) -> frozenset[str]:
        """Every column the statements read, as ``table.column`` with the names of this site."""
        documented = (
            (table, column) for table in KEY_COLUMNS for column in KEY_COLUMNS[table] | OPTIONAL_COLUMNS[table]
        )
        names = (self.name_here(table, column) for table, column in documented)
        return frozenset(name for name in names if name is not None)

    @property
    def where_to_change(self) -> str:
        """Where a person finds these settings in Airflow."""
        return _where_to_change(self._variable)

    @property
    def zone(self) -> ZoneInfo:
        """The source's time zone."""
        return ZoneInfo(self.source_timezone)

    @property
    def fingerprint(self) -> str:
        """A short hash of every setting about runs: when it changes, runs may be judged differently."""
        others = {"alerts", "dead_letter_retention_days", "staging_retention_days", "verify_cycle_days"}
        return hashlib.sha256(self.model_dump_json(exclude=others).encode()).hexdigest()[:16]

    def rejections_that_stop(self, runs: int) -> int:
        """Return how many equal rejections stop a slice of so many runs, for then the runs are not their cause."""
        return self.rejection_limit * max(1, math.ceil(runs / _RUNS_OF_THE_LIMIT))

    def process_code(self, testplan_name: str) -> int | None:
        """Return the process code of a test plan: an exact name first, then patterns in their order, else ``None``."""
        if testplan_name in self.process_map:
            return self.process_map[testplan_name]
        if testplan_name not in self._matched:
            codes = (code for pattern, code in self._patterns if pattern.fullmatch(testplan_name))
            self._matched[testplan_name] = next(codes, None)
        return self._matched[testplan_name]

    @cached_property
    def _patterns(self) -> tuple[tuple[re.Pattern[str], int], ...]:
        """The names with * or ? in ``process_map``, ready to compare; the others can only match as they are."""
        return tuple(
            (re.compile(translate(name.replace("[", "[[]"))), code)
            for name, code in self.process_map.items()
            if not {"*", "?"}.isdisjoint(name)
        )

    @cached_property
    def below_all_markers(self) -> float:
        """A limit closer to zero than this is a limit: no value that means "no limit" is near it."""
        return min(map(abs, self.no_limit_values), default=math.inf) / 2

    def is_limit(self, limit: float | None) -> bool:
        """Return whether a limit column holds a limit, and neither NULL nor a value that means there is none."""
        if limit is None:
            return False
        return not any(math.isclose(limit, marker, rel_tol=_SINGLE_PRECISION) for marker in self.no_limit_values)


def parse_settings(text: str | None, variable: str = Site().settings_variable) -> Settings:
    """Read the text of a Variable.

    Raises :class:`FatalError` with one line per mistake: field, rule, value given, and where to change it.
    """
    answers = _answers(text, variable)
    try:
        settings = Settings.model_validate_json(json.dumps(answers))
    except ValidationError as exc:
        raise _wrong(exc, variable) from None  # pydantic's own text holds whole values
    settings._variable = variable  # noqa: SLF001 -- set once, here
    return settings


def parse_alerts(text: str | None, variable: str = Site().settings_variable) -> tuple[AlertSettings, ZoneInfo]:
    """Read the group ``alerts`` alone and the time zone of its clock times, whatever mistakes the other settings have.

    A mistake in the settings must not keep anybody from being notified of it; without a known zone it is UTC.
    """
    answers = _answers(text, variable)
    group = answers.get("alerts", {}) if isinstance(answers, dict) else answers
    try:
        alerts = AlertSettings.model_validate_json(json.dumps(group))
    except ValidationError as exc:
        raise _wrong(exc, variable, "alerts") from None
    zone = answers.get("source_timezone") if isinstance(answers, dict) else None
    return alerts, ZoneInfo(zone if isinstance(zone, str) and zone in available_timezones() else "UTC")


def _answers(text: str | None, variable: str) -> JsonValue:
    where = _where_to_change(variable)
    if text is None:
        raise FatalError(
            VW101,
            f"the Airflow Variable {variable} does not exist. Create it under {where} with at least "
            '{"source_timezone": "Europe/Oslo", "process_map": {"My test plan": 100}}',
        )
    try:
        answers: JsonValue = json.loads(text, object_pairs_hook=_refuse_doubles)
    except (ValueError, RecursionError) as exc:
        raise FatalError(
            VW102, f"the Airflow Variable {variable} is not valid JSON: {exc}. Change it: {where}"
        ) from exc
    return answers


def _wrong(exc: ValidationError, variable: str, *group: str) -> FatalError:
    mistakes = exc.errors(include_url=False, include_context=False)
    found = [
        (_rule(".".join(map(_one_line, (*group, *m["loc"]))), m["msg"], m["type"]), _value_given(m)) for m in mistakes
    ]
    heading = f"{len(found)} setting(s) are wrong. Change them: {_where_to_change(variable)}"
    return FatalError(
        VW103,
        "\n".join([heading, *(rule + value for rule, value in found)]),
        "\n".join([heading, *(rule for rule, _ in found)]),
    )


def _one_line(name: str | int) -> str:
    """Return a name for a message; anybody may write any characters into the name of a setting, line ends too."""
    text = str(name)
    return text if text.isprintable() else repr(text)


def _where_to_change(variable: str) -> str:
    return f"Airflow › Admin › Variables › {variable}"


def _refuse_doubles(pairs: list[tuple[str, Any]]) -> dict[str, JsonValue]:
    answers = dict(pairs)
    if len(answers) < len(pairs):
        doubled = sorted(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
        raise ValueError(f"given twice: {', '.join(map(_one_line, doubled))}")
    return answers


def _rule(field: str, rule: str, kind: str) -> str:
    """Return the line about one mistake, without the value."""
    if kind == "missing":
        return f"- {field}: required, but not given"
    if kind == "extra_forbidden":
        return f"- {field}: no such setting"
    return f"- {field or 'the whole value'}: {rule.removeprefix('Value error, ')}"


def _value_given(mistake: ErrorDetails) -> str:
    """Return the value that broke a rule; what stands in a field that does not exist may be anything, a secret too."""
    hidden = mistake["type"] in {"missing", "extra_forbidden"} or not _NEVER_SHOWN.isdisjoint(mistake["loc"])
    return "" if hidden else f", given {shown(mistake['input'])}"
