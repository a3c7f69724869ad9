"""The OData subset of `Report/Query/Header`: parsed by recursive descent, compiled to SQL with bound values.

Unsupported OData (arithmetic, date functions, lambdas, `$count`) is an error that names what was not understood.

Logic is two-valued as in OData: a comparison with an empty field is false, and its negation true. Strings compare
exactly.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias
from uuid import UUID

from sandbox.wats.odata_datetimes import TICKS_PER_SECOND, ticks_of
from sandbox.wats.profiles import DEFAULT, GuidForm, HeaderStart, Verdict, WatsProfile

TOP_DEFAULT = 10
TOP_MAX = 10_000
LISTED_MAX = 100
"""The largest `$top` of a query that names no reports, where listing is refused."""
MAX_DEPTH = 60
"""Nesting beyond this is refused, as every server refuses it somewhere."""


class ODataError(ValueError):
    """A query that the server answers with `status`; the text is the message."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class Kind(StrEnum):
    STRING = "Edm.String"
    GUID = "Edm.Guid"
    INTEGER = "Edm.Int32"
    NUMBER = "Edm.Double"
    INSTANT = "Edm.DateTimeOffset"
    BOOLEAN = "Edm.Boolean"


@dataclass(frozen=True)
class Column:
    """One header field: its name on the wire, the SQL that yields it, and the SQL that filters and sorts by it."""

    name: str
    kind: Kind
    sql: str
    filter_sql: str


_RUN_SQL = (
    "(SELECT count(*) FROM reports r2 WHERE r2.serial_number = reports.serial_number"
    " AND r2.process_code = reports.process_code AND r2.start_ticks <= reports.start_ticks)"
)
_PASSED_IN_RUN_SQL = (
    "(SELECT count(*) FROM reports r2 WHERE r2.serial_number = reports.serial_number"
    " AND r2.process_code = reports.process_code AND r2.start_ticks <= (SELECT min(r3.start_ticks) FROM reports r3"
    " WHERE r3.serial_number = reports.serial_number AND r3.process_code = reports.process_code"
    " AND r3.result = 'Passed'))"
)


def _column(name: str, kind: Kind, sql: str, filter_sql: str | None = None) -> Column:
    return Column(name, kind, sql, filter_sql or sql)


COLUMNS: tuple[Column, ...] = (
    _column("uuid", Kind.GUID, "uuid"),
    _column("serialNumber", Kind.STRING, "serial_number"),
    _column("partNumber", Kind.STRING, "part_number"),
    _column("reportType", Kind.STRING, "report_type"),
    _column("start", Kind.INSTANT, "start_utc", "start_ticks"),
    _column("revision", Kind.STRING, "revision"),
    _column("result", Kind.STRING, "result"),
    _column("batchNumber", Kind.STRING, "batch_number"),
    _column("userName", Kind.STRING, "user_name"),
    _column("stationName", Kind.STRING, "station_name"),
    _column("location", Kind.STRING, "location"),
    _column("purpose", Kind.STRING, "purpose"),
    _column("measuresDeleted", Kind.BOOLEAN, "0"),
    _column("timeStamp", Kind.INTEGER, "time_stamp"),
    _column("processCode", Kind.INTEGER, "process_code"),
    _column("processName", Kind.STRING, "process_name"),
    _column("comment", Kind.STRING, "comment"),
    _column("executionTime", Kind.NUMBER, "execution_time"),
    _column("swFilename", Kind.STRING, "sw_filename"),
    _column("swVersion", Kind.STRING, "sw_version"),
    _column("testSocketIndex", Kind.INTEGER, "test_socket_index"),
    _column("fixtureId", Kind.STRING, "fixture_id"),
    _column("errorCode", Kind.INTEGER, "error_code"),
    _column("errorMessage", Kind.STRING, "error_message"),
    _column("run", Kind.INTEGER, _RUN_SQL),
    _column("receiveCount", Kind.INTEGER, "receive_count"),
    _column("reportSize", Kind.INTEGER, "report_size_kb"),
    _column("causedUutFailure", Kind.STRING, "caused_uut_failure"),
    _column("causedUutFailurePath", Kind.STRING, "caused_uut_failure_path"),
    _column("passedInRun", Kind.INTEGER, _PASSED_IN_RUN_SQL),
    _column("referencedUut", Kind.GUID, "referenced_uut"),
)
COLUMNS_BY_NAME = {column.name.lower(): column for column in COLUMNS}
SORTABLE = {"start", "uuid", "serialnumber", "timestamp"}
EXPANDABLE = {
    name.lower(): name
    for name in ("subUnits", "miscInfo", "assets", "attachments", "uurSubUnits", "uurMiscInfo", "uurAttachments")
}


# ---------------------------------------------------------------------------------------------------- syntax tree
Value: TypeAlias = str | int | float | bool | None


class LiteralKind(StrEnum):
    STRING = "string"
    GUID = "guid"
    NUMBER = "number"
    INSTANT = "datetime"
    BOOLEAN = "boolean"
    NULL = "null"


@dataclass(frozen=True)
class Literal:
    """A constant; `value` of an instant is its ISO text, of a GUID its lower-case text."""

    kind: LiteralKind
    value: Value


@dataclass(frozen=True)
class Comparison:
    field: str
    operator: str
    literal: Literal


@dataclass(frozen=True)
class Membership:
    field: str
    literals: tuple[Literal, ...]


@dataclass(frozen=True)
class TextSearch:
    """`contains`, `startswith` or `endswith` of a string field and a string."""

    function: str
    field: str
    text: str


@dataclass(frozen=True)
class Negation:
    operand: "Node"


@dataclass(frozen=True)
class Junction:
    """Two operands joined by `and` or `or`."""

    operator: str
    left: "Node"
    right: "Node"


Node: TypeAlias = Comparison | Membership | TextSearch | Negation | Junction

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<string>'(?:[^']|'')*')
    | (?P<guid>[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}(?![\w-]))
    | (?P<datetime>\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,12})?)?(?:Z|z|[+-]\d\d:\d\d)?)?(?![\w:.+-]))
    | (?P<number>[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.]))
    | (?P<name>[A-Za-z_][\w]*(?:/[\w]+)*)
    | (?P<punctuation>[(),])
    )""",
    re.VERBOSE,
)
_COMPARISONS = {"eq": "=", "ne": "<>", "gt": ">", "ge": ">=", "lt": "<", "le": "<="}
_MIRRORED = {"eq": "eq", "ne": "ne", "gt": "lt", "ge": "le", "lt": "gt", "le": "ge"}
_TEXT_FUNCTIONS = {"contains", "startswith", "endswith"}


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    position: int


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    position = 0
    end = len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            raise ODataError(f"Syntax error at position {position} in '{text}'.")
        kind = match.lastgroup or ""
        found.append(_Token(kind, match.group(kind), match.start(kind)))
        position = match.end()
    return found


class _Parser:
    """One pass over the tokens; each method consumes what its name says or raises ODataError."""

    def __init__(self, text: str, profile: WatsProfile, max_nodes: int | None) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._next = 0
        self._depth = 0
        self._nodes = 0
        self._profile = profile
        self._max_nodes = max_nodes

    def whole(self) -> Node:
        node = self._disjunction()
        if self._next < len(self._tokens):
            raise self._unexpected()
        return node

    def _peek(self) -> _Token | None:
        return self._tokens[self._next] if self._next < len(self._tokens) else None

    def _unexpected(self) -> ODataError:
        token = self._peek()
        if token is None:
            return ODataError(f"Expression expected at position {len(self._text)} in '{self._text}'.")
        return ODataError(f"Syntax error at position {token.position}: unexpected '{token.text}' in '{self._text}'.")

    def _take(self, kind: str, text: str | None = None) -> _Token:
        token = self._peek()
        if token is None or token.kind != kind or (text is not None and token.text != text):
            raise self._unexpected()
        self._next += 1
        return token

    def _at(self, kind: str, *texts: str) -> bool:
        token = self._peek()
        return token is not None and token.kind == kind and (not texts or token.text in texts)

    def _count(self, nodes: int) -> None:
        self._nodes += nodes
        if self._max_nodes is not None and self._nodes > self._max_nodes:
            raise ODataError(
                f"The node count limit of '{self._max_nodes}' has been exceeded. To increase the limit, set the"
                " 'MaxNodeCount' property on EnableQueryAttribute or ODataValidationSettings."
            )

    def _disjunction(self) -> Node:
        node = self._conjunction()
        while self._at("name", "or"):
            self._next += 1
            self._count(1)
            node = Junction("or", node, self._conjunction())
        return node

    def _conjunction(self) -> Node:
        node = self._unary()
        while self._at("name", "and"):
            self._next += 1
            self._count(1)
            node = Junction("and", node, self._unary())
        return node

    def _unary(self) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ODataError(f"The expression is nested deeper than {MAX_DEPTH} levels.")
        try:
            if self._at("name", "not"):
                self._next += 1
                self._count(1)
                return Negation(self._unary())
            if self._at("punctuation", "("):
                self._next += 1
                node = self._disjunction()
                self._take("punctuation", ")")
                return node
            return self._predicate()
        finally:
            self._depth -= 1

    def _predicate(self) -> Node:
        if self._is_field():
            field = self._field()
            if isinstance(field, TextSearch):
                return field
            operator = self._operator()
            if operator == "in":
                return self._membership(field)
            self._count(5)
            return _checked(Comparison(field.name, operator, self._literal()), field)
        literal = self._literal()
        operator = self._operator()
        if operator == "in":
            raise self._unexpected()
        self._count(5)
        field = self._field()
        if isinstance(field, TextSearch):
            raise ODataError(f"A function call cannot be compared with a constant in '{self._text}'.")
        return _checked(Comparison(field.name, _MIRRORED[operator], literal), field)

    def _is_field(self) -> bool:
        token = self._peek()
        return token is not None and token.kind == "name" and token.text not in {"null", "true", "false"}

    def _field(self) -> Column | TextSearch:
        token = self._take("name")
        if self._at("punctuation", "("):
            return self._text_search(token)
        return _column_named(token.text)

    def _text_search(self, function: _Token) -> TextSearch:
        if function.text not in _TEXT_FUNCTIONS:
            raise ODataError(f"An unknown function with name '{function.text}' was found.")
        self._count(5)
        self._take("punctuation", "(")
        field = _column_named(self._take("name").text)
        self._take("punctuation", ",")
        literal = self._literal()
        self._take("punctuation", ")")
        if field.kind is not Kind.STRING or literal.kind is not LiteralKind.STRING:
            raise ODataError(f"No function signature for '{function.text}' matches the arguments for '{field.name}'.")
        return TextSearch(function.text, field.name, str(literal.value))

    def _operator(self) -> str:
        token = self._peek()
        if token is None or token.kind != "name":
            raise self._unexpected()
        if token.text not in _COMPARISONS and token.text != "in":
            raise ODataError(f"The operator '{token.text}' at position {token.position} is not supported.")
        self._next += 1
        return token.text

    def _membership(self, field: Column) -> Membership:
        self._count(3)
        self._take("punctuation", "(")
        literals = [self._member(field)]
        while self._at("punctuation", ","):
            self._next += 1
            literals.append(self._member(field))
        self._take("punctuation", ")")
        return Membership(field.name, tuple(literals))

    def _member(self, field: Column) -> Literal:
        literal = self._literal()
        if field.kind is Kind.GUID and literal.kind is not LiteralKind.NULL:
            form = GuidForm.BARE if literal.kind is LiteralKind.GUID else GuidForm.QUOTED
            if self._profile.guid_form not in {form, GuidForm.BOTH}:
                raise ODataError(
                    f"Cannot read the {form} value '{literal.value}' of the 'in' list for '{field.name}'.",
                    self._profile.wrong_guid_status,
                )
        return _checked(Comparison(field.name, "eq", literal), field).literal

    def _literal(self) -> Literal:
        token = self._peek()
        if token is None:
            raise self._unexpected()
        literal = _literal(token)
        if literal is None:
            raise self._unexpected()
        self._next += 1
        return literal


def _column_named(name: str) -> Column:
    column = COLUMNS_BY_NAME.get(name.lower())
    if column is None:
        raise ODataError(f"Could not find a property named '{name}' on type 'ReportHeader'.")
    return column


def _literal(token: _Token) -> Literal | None:
    match token.kind:
        case "string":
            return Literal(LiteralKind.STRING, token.text[1:-1].replace("''", "'"))
        case "guid":
            return Literal(LiteralKind.GUID, token.text.lower())
        case "datetime":
            return Literal(LiteralKind.INSTANT, token.text.upper())
        case "number":
            is_whole = re.fullmatch(r"[+-]?\d+", token.text) is not None
            return Literal(LiteralKind.NUMBER, int(token.text) if is_whole else float(token.text))
        case "name" if token.text in {"true", "false"}:
            return Literal(LiteralKind.BOOLEAN, token.text == "true")
        case "name" if token.text == "null":
            return Literal(LiteralKind.NULL, None)
        case _:
            return None


_ACCEPTED_KINDS = {
    Kind.STRING: {LiteralKind.STRING},
    Kind.GUID: {LiteralKind.GUID, LiteralKind.STRING},
    Kind.INTEGER: {LiteralKind.NUMBER},
    Kind.NUMBER: {LiteralKind.NUMBER},
    Kind.INSTANT: {LiteralKind.INSTANT},
    Kind.BOOLEAN: {LiteralKind.BOOLEAN},
}


def _checked(comparison: Comparison, column: Column) -> Comparison:
    """Return the comparison if its literal fits the field's type, a quoted GUID turned into a GUID."""
    literal = comparison.literal
    if literal.kind is LiteralKind.NULL:
        return comparison
    if literal.kind not in _ACCEPTED_KINDS[column.kind]:
        raise ODataError(
            f"A binary operator with incompatible types was detected: '{column.name}' is of type '{column.kind}',"
            f" the value {literal.value!r} is a {literal.kind}."
        )
    if column.kind is Kind.GUID:
        try:
            guid = str(UUID(str(literal.value)))
        except ValueError:
            raise ODataError(f"'{literal.value}' is not a GUID, as '{column.name}' requires.") from None
        return Comparison(comparison.field, comparison.operator, Literal(LiteralKind.GUID, guid))
    if column.kind is Kind.INSTANT:
        _instant_ticks(str(literal.value))
    elif literal.kind is LiteralKind.NUMBER and isinstance(literal.value, int) and abs(literal.value) >= 2**63:
        raise ODataError(f"The number {literal.value} is too large for '{column.name}'.")
    return comparison


def _instant_ticks(text: str) -> int:
    try:
        if "T" not in text:
            return ticks_of(f"{text}T00:00:00Z")
        return ticks_of(text)
    except ValueError as exc:
        raise ODataError(f"'{text}' is not a date and time with a UTC offset: {exc}.") from None


def parse_filter(text: str, profile: WatsProfile = DEFAULT, max_nodes: int | None = None) -> Node:
    """Parse a `$filter`.

    The profile says how GUIDs in an `in` list are written. `max_nodes` is ASP.NET's MaxNodeCount, counted so that a
    chain of 17 `or`-ed comparisons exceeds 100.
    """
    return _Parser(text, profile, max_nodes).whole()


def _names_reports(node: Node | None) -> bool:
    """Return whether a filter lets only reports through that it names by id or serial number."""
    match node:
        case Junction(operator=operator, left=left, right=right):
            found = _names_reports(left), _names_reports(right)
            return any(found) if operator == "and" else all(found)
        case Comparison(field="uuid" | "serialNumber", operator="eq") | Membership(field="uuid" | "serialNumber"):
            return True
        case _:
            return False


def _has_range(node: Node | None) -> bool:
    """Return whether a filter compares a time or a time stamp by order."""
    match node:
        case Junction(left=left, right=right):
            return _has_range(left) or _has_range(right)
        case Negation(operand=operand):
            return _has_range(operand)
        case Comparison(field="start" | "timeStamp", operator=operator):
            return operator not in {"eq", "ne"}
        case _:
            return False


# ------------------------------------------------------------------------------------------------------------ SQL
Bound: TypeAlias = tuple[str, list[Value]]


START_SECOND_SQL = f"(start_ticks - (start_ticks % {TICKS_PER_SECOND} + {TICKS_PER_SECOND}) % {TICKS_PER_SECOND})"
"""The whole second that a start lies in, also before 1970."""
_START_COLUMN = re.compile(r"(?<![\w.])start_ticks")  # the column `start` alone; counted runs name their table


def to_sql(node: Node, profile: WatsProfile = DEFAULT) -> Bound:
    """Compile to a WHERE expression that is never NULL, and its bound values."""
    values: list[Value] = []
    sql = _sql(node, values, negated=False)
    if profile.header_start is HeaderStart.WHOLE_SECONDS:
        sql = _START_COLUMN.sub(START_SECOND_SQL, sql)
    return sql, values


def _bound_value(column: Column, literal: Literal) -> Value:
    if column.kind is Kind.INSTANT:
        return _instant_ticks(str(literal.value))
    return literal.value


def _sql(node: Node, values: list[Value], *, negated: bool) -> str:
    """Write the node's SQL; below a NOT, a comparison with NULL must be false instead of unknown."""
    match node:
        case Junction(operator=operator, left=left, right=right):
            left_sql = _sql(left, values, negated=negated)
            return f"({left_sql} {operator.upper()} {_sql(right, values, negated=negated)})"
        case Negation(operand=operand):
            return f"(NOT {_sql(operand, values, negated=True)})"
        case Comparison(field=field, operator=operator, literal=literal):
            column = _column_named(field)
            if literal.kind is LiteralKind.NULL:
                if operator in {"eq", "ne"}:
                    return f"({column.filter_sql} IS {'NOT ' if operator == 'ne' else ''}NULL)"
                return "(0)"
            values.append(_bound_value(column, literal))
            if operator == "ne":
                return f"({column.filter_sql} IS NOT ?)"
            return _known(f"{column.filter_sql} {_COMPARISONS[operator]} ?", negated=negated)
        case Membership(field=field, literals=literals):
            column = _column_named(field)
            given = [literal for literal in literals if literal.kind is not LiteralKind.NULL]
            values.extend(_bound_value(column, literal) for literal in given)
            listed = _known(f"{column.filter_sql} IN ({', '.join('?' * len(given))})", negated=negated)
            return listed if len(given) == len(literals) else f"({listed} OR {column.filter_sql} IS NULL)"
        case TextSearch(function=function, field=field, text=text):
            column = _column_named(field)
            values.append(text)
            if function == "contains":
                return _known(f"instr({column.filter_sql}, ?) > 0", negated=negated)
            values.append(text)
            if function == "startswith":
                return _known(f"substr({column.filter_sql}, 1, length(?)) = ?", negated=negated)
            values.append(text)
            return _known(
                f"length({column.filter_sql}) >= length(?)"
                f" AND substr({column.filter_sql}, length({column.filter_sql}) - length(?) + 1) = ?",
                negated=negated,
            )


def _known(sql: str, *, negated: bool) -> str:
    return f"coalesce({sql}, 0)" if negated else f"({sql})"


# -------------------------------------------------------------------------------------------------- query options
@dataclass(frozen=True)
class HeaderQuery:
    """One validated header query. `order_by` holds SQL terms; `select` is None for every field."""

    where: str = "1"
    values: tuple[Value, ...] = ()
    order_by: str = "start_ticks DESC, uuid"
    top: int = TOP_DEFAULT
    skip: int = 0
    select: tuple[str, ...] | None = None
    expand: tuple[str, ...] = ()


_REPORT_TYPES = {"u": "T", "t": "T", "uut": "T", "r": "R", "uur": "R"}


def parse_query(
    parameters: Sequence[tuple[str, str]], profile: WatsProfile = DEFAULT, max_nodes: int | None = None
) -> HeaderQuery:
    """Read the decoded parameters of a header query; anything unknown is an ODataError that names it."""
    given: dict[str, str] = {}
    for name, value in parameters:
        key = name.lower()
        if key in given:
            raise ODataError(f"Query option '{name}' was specified more than once.")
        given[key] = value
    where: list[str] = []
    values: list[Value] = []
    node: Node | None = None
    if (text := given.pop("$filter", None)) is not None:
        node = parse_filter(text, profile, max_nodes)
        sql, bound = to_sql(node, profile)
        where.append(sql)
        values.extend(bound)
    if (report_type := given.pop("reporttype", None)) is not None:
        kind = _REPORT_TYPES.get(report_type.lower())
        if kind is None:
            raise ODataError(f"reportType '{report_type}' is not one of U, T, R.")
        where.append("report_type = ?")
        values.append(kind)
    top = _whole_number("$top", given.pop("$top", str(TOP_DEFAULT)))
    if top > TOP_MAX:
        raise ODataError(f"The limit of '{TOP_MAX}' for Top query has been exceeded. The value was '{top}'.")
    if profile.range_listing is Verdict.REFUSED and not _names_reports(node) and (_has_range(node) or top > LISTED_MAX):
        raise ODataError(
            f"Reports cannot be listed by a range of time, nor more than {LISTED_MAX} at a time; the value of $top was"
            f" '{top}'. Name them in $filter by 'uuid' or 'serialNumber'."
        )
    query = HeaderQuery(
        where=" AND ".join(where) or "1",
        values=tuple(values),
        order_by=_order_by(given.pop("$orderby", "start desc")),
        top=top,
        skip=_whole_number("$skip", given.pop("$skip", "0")),
        select=_selected(given.pop("$select", None)),
        expand=_expanded(given.pop("$expand", "")),
    )
    if given:
        raise ODataError(f"The query parameter '{next(iter(given))}' is not supported.")
    return query


def _whole_number(option: str, text: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text.strip(), re.ASCII):
        raise ODataError(f"Invalid value '{text}' for {option} query option found: a non-negative integer is expected.")
    return int(text)


def _order_by(text: str) -> str:
    terms: list[str] = []
    for term in text.split(","):
        words = term.split()
        if not words or len(words) > 2 or (len(words) == 2 and words[1].lower() not in {"asc", "desc"}):
            raise ODataError(f"Syntax error in $orderby at '{term.strip()}'.")
        if words[0].lower() not in SORTABLE:
            _column_named(words[0])
            raise ODataError(f"The property '{words[0]}' cannot be used in the $orderby query option.")
        direction = words[1].upper() if len(words) == 2 else "ASC"
        terms.append(f"{_column_named(words[0]).filter_sql} {direction}")
    return ", ".join([*terms, "uuid"])


def _selected(text: str | None) -> tuple[str, ...] | None:
    if text is None or text.strip() == "*":
        return None
    names: list[str] = []
    for name in text.split(","):
        word = name.strip()
        names.append(EXPANDABLE.get(word.lower()) or _column_named(word).name)
    return tuple(names)


def _expanded(text: str) -> tuple[str, ...]:
    names: list[str] = []
    for name in text.split(",") if text.strip() else []:
        word = name.strip()
        if word.lower() not in EXPANDABLE:
            raise ODataError(f"Could not find a property named '{word}' on type 'ReportHeader' to expand.")
        names.append(EXPANDABLE[word.lower()])
    return tuple(names)
