"""The rows that each statement of ``include/sql/`` returns, read by the names of their columns."""

from __future__ import annotations

from codecs import utf_16_le_decode
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID


class SourceIdentityRow(NamedTuple):
    """A column of the database with what names database and server; its own three names are NULL where none is seen."""

    database_name: str
    table_name: str | None
    column_name: str | None
    data_type: str | None
    server_name: str
    server_utc: datetime
    created_local: str


class IdentityAndRunCountsRow(NamedTuple):
    """A column, as in :class:`SourceIdentityRow`, or a second with its runs."""

    database_name: str
    table_name: str | None
    column_name: str | None
    data_type: str | None
    second_local: str | None
    runs: int | None
    server_name: str
    server_utc: datetime
    created_local: str


class RunTimesRow(NamedTuple):
    """A second with its runs, or the server's clock alone."""

    server_utc: datetime
    second_local: str | None
    runs: int | None


class WaitingRunsRow(NamedTuple):
    """How many runs the ranges hold."""

    server_utc: datetime
    server_version: str
    newest_local: str | None
    runs: int


class DayCountRow(NamedTuple):
    """The runs of one product with one result."""

    product_name: str | None
    result_code: int | None
    runs: int


class RunHourRow(NamedTuple):
    """An hour with its runs."""

    hour_local: str
    runs: int


class RunKeyRow(NamedTuple):
    """A run's key, which may have any type, and its time."""

    index_guid: Any
    timestamp_local: datetime | None


class TestsystemRow(NamedTuple):
    """A test system's key."""

    testsystem_guid: UUID


class StationTimeRow(NamedTuple):
    """When a station was busy with one run."""

    index_guid: UUID
    testsystem_guid: UUID
    timestamp_local: datetime
    test_time_s: float | None


class ChangesRow(NamedTuple):
    """How many runs and steps a minute holds, and a checksum of them."""

    minute_local: str
    runs: int
    steps: int
    content: int


class RunSizeRow(NamedTuple):
    """How much a run holds; the columns of the key may have any type."""

    index_guid: Any
    timestamp_local: Any
    steps: int
    size_bytes: int


class RunRow(NamedTuple):
    """A run without its steps."""

    index_guid: UUID
    timestamp_local: datetime
    result_code: int | None
    exit_code: int | None
    test_time_s: float | None
    serial: str | None
    product_guid: UUID | None
    product_name: str | None
    product_master_name: str | None
    testplan_guid: UUID | None
    testplan_revision_guid: UUID | None
    testplan_name: str | None
    testplan_master_name: str | None
    testplan_variant: str | None
    testplan_revision: str | None
    testsystem_guid: UUID | None
    testsystem_name: str | None
    hostname: str | None
    site: str | None
    operator: str | None
    info1: str | None
    info2: str | None
    info3: str | None


class StepRow(NamedTuple):
    """A measurement of a run; ``other_value`` has the type of the column at this site."""

    index_guid: UUID
    kind: str
    step_number: int | None
    test_name: str | None
    test_description: str | None
    test_number: str | None
    units: str | None
    other_value: Any
    text_value: str | None
    numeric_value: float | None
    low_limit: float | None
    high_limit: float | None
    result_code: int | None


class ServerFactsRow(NamedTuple):
    """The server, the database and the login."""

    compatibility_level: int
    read_committed_snapshot: bool
    isolation_level: int
    product_version: str
    edition: str
    is_sysadmin: int | None
    is_owner: int | None
    is_writer: int | None


class IndexRow(NamedTuple):
    """A key column of an index."""

    table_name: str
    index_name: str
    column_name: str
    is_primary_key: bool
    is_unique: bool


class NullsRow(NamedTuple):
    """How many runs have no Timestamp, and how many no key."""

    null_times: int
    null_keys: int


class DuplicateUnitsRow(NamedTuple):
    """How many units have several serials, and one of them."""

    duplicate_units: int
    example_guid: str | None


class SchemaColumnRow(NamedTuple):
    """A column of the deployed schema."""

    table_name: str
    column_name: str
    data_type: str
    max_length: int | None
    is_nullable: str


class ColumnValueRow(NamedTuple):
    """A value of a column of any type, and one of another column of the same row."""

    beside: Any
    value: Any


class ValuesInRow(NamedTuple):
    """How many of some values a column has."""

    found: int


class SchemaRightsRow(NamedTuple):
    """What the login sees of the schema."""

    sees_every_name: int


class ForeignKeyRow(NamedTuple):
    """A column of a foreign key."""

    table_name: str
    key_name: str
    column_name: str
    parent_table: str
    parent_column: str


class TableSizeRow(NamedTuple):
    """How many pages a table takes."""

    table_name: str
    data_pages: int | None
    index_pages: int | None


class RowCountRow(NamedTuple):
    """How many rows a table holds."""

    table_name: str
    row_count: int


class TimeBoundsRow(NamedTuple):
    """The oldest and the newest Timestamp, and the server's clocks."""

    server_utc: datetime
    server_local: str
    oldest_local: str | None
    newest_local: str | None


class RunGroupRow(NamedTuple):
    """The runs of one product, test plan and station with one result."""

    product_name: str | None
    testplan_name: str | None
    station_name: str | None
    result_code: Any
    runs: int
    first_runs: int
    newest_local: str


class StepKeyRow(NamedTuple):
    """How many of the looked-at steps of one table have one key."""

    kind: str
    index_guid: Any
    steps: int
    has_run: int


def guid_of(value: object) -> UUID | None:
    """Return a key, whatever type its column has; ``None`` for what is no GUID."""
    if isinstance(value, UUID):
        return value
    try:
        return UUID(str(value))
    except ValueError:
        return None


Row = TypeVar("Row", bound=NamedTuple)


@dataclass(frozen=True, slots=True)
class Select(Generic[Row]):
    """A statement of ``include/sql/``, by the name of its file, and what a row of it looks like."""

    name: str
    row_type: type[Row]

    def row_builder(self, columns: Sequence[str], texts: Collection[str] = ()) -> Callable[[tuple[Any, ...]], Row]:
        """Return what makes a row of the driver's tuple, whose values stand in the order of ``columns``.

        The columns ``texts`` come as UTF-16 units; half a surrogate pair becomes U+FFFD.
        """
        fields = self.row_type._fields
        in_place = partial(tuple.__new__, self.row_type)
        positions = [columns.index(field) for field in fields]
        text_positions = [columns.index(field) for field in texts]
        in_order = fields == tuple(columns)
        if in_order and not text_positions:
            return in_place

        def build(values: tuple[Any, ...]) -> Row:
            row = list(values)
            for position in text_positions:
                if (units := row[position]) is not None:
                    row[position] = utf_16_le_decode(units, "replace", True)[0]  # noqa: FBT003
            return in_place(row if in_order else [row[position] for position in positions])

        return build


SOURCE_IDENTITY = Select("select_source_identity", SourceIdentityRow)
IDENTITY_AND_RUN_COUNTS = Select("select_identity_and_run_counts", IdentityAndRunCountsRow)
RUN_TIMES = Select("select_run_times", RunTimesRow)
WAITING_RUNS = Select("select_waiting_runs", WaitingRunsRow)
DAY_COUNTS = Select("select_day_counts", DayCountRow)
RUN_HOURS = Select("select_run_hours", RunHourRow)
RUN_KEYS = Select("select_run_keys", RunKeyRow)
TESTSYSTEMS = Select("select_testsystems", TestsystemRow)
STATION_TIMES = Select("select_station_times", StationTimeRow)
CHANGES = Select("select_changes", ChangesRow)
RUN_SIZES = Select("select_run_sizes", RunSizeRow)
RUNS = Select("select_runs", RunRow)
STEPS = Select("select_steps", StepRow)
SERVER_FACTS = Select("select_server_facts", ServerFactsRow)
INDEXES = Select("select_indexes", IndexRow)
NULLS = Select("select_nulls", NullsRow)
DUPLICATE_UNITS = Select("select_duplicate_units", DuplicateUnitsRow)
SCHEMA_RIGHTS = Select("select_schema_rights", SchemaRightsRow)
SCHEMA_COLUMNS = Select("select_schema_columns", SchemaColumnRow)
COLUMN_VALUES = Select("select_column_values", ColumnValueRow)
VALUES_IN = Select("select_values_in", ValuesInRow)
FOREIGN_KEYS = Select("select_foreign_keys", ForeignKeyRow)
TABLE_SIZES = Select("select_table_sizes", TableSizeRow)
ROW_COUNTS = Select("select_row_counts", RowCountRow)
TIME_BOUNDS = Select("select_time_bounds", TimeBoundsRow)
RUN_GROUPS = Select("select_run_groups", RunGroupRow)
STEP_KEYS = Select("select_step_keys", StepKeyRow)
