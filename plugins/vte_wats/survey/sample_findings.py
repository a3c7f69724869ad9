"""What the survey found in the data of a site, as JSON holds it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Closed(BaseModel):
    """Immutable, closed to unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class Distribution(Closed):
    """How many runs of each name ended with each result code; ``of`` says what is named."""

    of: str
    runs: dict[str, dict[str, int]]
    yields: dict[str, float] = Field(
        default_factory=dict,
        description="Passed runs of all whose result code is known, 0 to 1: of runs, not of units.",
    )
    first_runs: dict[str, dict[str, int]] = Field(
        default_factory=dict,
        description="The runs that are the first of their unit under the test plan within the month, by name and code.",
    )
    first_pass_yields: dict[str, float] = Field(
        default_factory=dict, description="The yield of those first runs: of each unit's first attempt, 0 to 1."
    )


class BusyHour(Closed):
    """The runs of one hour of the week; Monday is 0."""

    weekday: int
    hour: int
    runs: int


class ColumnFacts(Closed):
    """What a column holds, in the sampled rows. ``blank`` counts texts of white space alone, empty ones included."""

    column: str
    rows: int = 0
    nulls: int = 0
    blanks: int = 0
    longest: int | None = Field(None, description="Characters of the longest text.")
    lowest: float | str | None = None
    highest: float | str | None = None

    @property
    def empty_share(self) -> float:
        """The share of rows in which the column says nothing."""
        return (self.nulls + self.blanks) / self.rows if self.rows else 0.0


class UnitFacts(Closed):
    """The measured values of one unit of measurement."""

    units: str
    values: int
    lowest: float
    highest: float


class StepCounts(Closed):
    """How many steps the sampled runs have: the runs of each class, by its upper edge."""

    runs: dict[int, int] = Field(default_factory=dict)
    most: int = 0
    without: int = 0


class CodeFacts(Closed):
    """What goes with a result code: of ``judged`` runs or steps that have limits, how many are ``outside`` them."""

    code: int | None
    seen: int
    judged: int
    outside: int
    exit_codes: dict[str, int] = Field(default_factory=dict)


class LimitFacts(Closed):
    """A number that stands in limit columns: how often, of how many steps, and the largest value measured beside it."""

    limit: float
    times: int
    steps: int
    largest_measured: float


class Issue(Closed):
    """Something about the data that a person should know: how often it was seen, where, and what happens to it."""

    what: str
    seen: int
    examples: tuple[str, ...] = ()
    consequence: str


class MarkFacts(Closed):
    """Whether Timestamp is the end or the start of a test: neighbours of one station that would overlap."""

    neighbours: int = 0
    overlaps_as_end: int = 0
    overlaps_as_start: int = 0


class Findings(Closed):
    """Everything that the sampled runs show."""

    runs: int
    steps: int
    columns: tuple[ColumnFacts, ...]
    units: tuple[UnitFacts, ...]
    step_counts: StepCounts
    contents: dict[str, int]
    run_codes: tuple[CodeFacts, ...]
    step_codes: tuple[CodeFacts, ...]
    limits: tuple[LimitFacts, ...]
    marks: MarkFacts
    test_times: dict[int, int] = Field(
        default_factory=dict, description="How many runs took how long: by the upper edge in seconds of their class."
    )
    testplans: dict[str, int]
    issues: tuple[Issue, ...]
