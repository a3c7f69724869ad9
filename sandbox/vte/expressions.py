"""T-SQL expressions into DuckDB expressions with their T-SQL types.

Every construct is listed here by name; what is not listed is an error that says so. Text is compared in any case (the
database's default collation in DuckDB) and without trailing blanks (trimmed here); GROUP BY, DISTINCT and ORDER BY do
count trailing blanks, which SQL Server does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from sqlglot import exp

from sandbox.vte import moments
from sandbox.vte.catalog import quoted
from sandbox.vte.conversions import NULL, Value, convert, quote, text_literal
from sandbox.vte.errors import (
    SqlServerError,
    ambiguous_column,
    not_emulated,
    operand_clash,
    syntax,
    unbound,
    unknown_column,
    unknown_function,
)
from sandbox.vte.tsql_types import (
    APPROXIMATE,
    BIGINT,
    BINARY,
    BIT,
    DATE,
    DATETIME,
    EXACT,
    FLOAT,
    GUID,
    INT,
    INTEGER,
    MAX,
    MOMENT,
    NUMBER,
    REAL,
    SqlType,
    datetime2,
    decimal,
    declare,
    digits,
    nvarchar,
    unify,
    varbinary,
    varchar,
)

if TYPE_CHECKING:
    from sandbox.vte.translate import QueryCompiler

_UNITS = {
    "YEAR": "year", "YY": "year", "YYYY": "year",
    "QUARTER": "quarter", "QQ": "quarter", "Q": "quarter",
    "MONTH": "month", "MM": "month", "M": "month",
    "DAYOFYEAR": "day", "DY": "day", "Y": "day", "DAY": "day", "DD": "day", "D": "day", "WEEKDAY": "day", "DW": "day",
    "WEEK": "week", "WK": "week", "WW": "week",
    "HOUR": "hour", "HH": "hour", "MINUTE": "minute", "MI": "minute", "N": "minute",
    "SECOND": "second", "SS": "second", "S": "second",
    "MILLISECOND": "millisecond", "MS": "millisecond", "MICROSECOND": "microsecond", "MCS": "microsecond",
}  # fmt: skip
_COMPARISONS: dict[type[exp.Expr], str] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
}
# Functions that sqlglot reads under another name than the one written.
_WRITTEN: dict[type[exp.Expr], str] = {
    exp.NumberToStr: "FORMAT",
    exp.TimeToStr: "FORMAT",
    exp.GroupConcat: "STRING_AGG",
    exp.LastDay: "EOMONTH",
    exp.DateFromParts: "DATEFROMPARTS",
    exp.SHA2: "HASHBYTES",
    exp.SHA: "HASHBYTES",
    exp.MD5: "HASHBYTES",
}
_AGGREGATES = (exp.Count, exp.Sum, exp.Avg, exp.Min, exp.Max, exp.Stddev, exp.Variance)
_LOGICAL: tuple[type[exp.Expr], ...] = (
    exp.And,
    exp.Or,
    exp.Not,
    exp.Is,
    exp.In,
    exp.Between,
    exp.Like,
    exp.Escape,
    exp.Exists,
    *_COMPARISONS,
)


@dataclass(frozen=True)
class SessionFacts:
    """What functions and @@variables tell about the connection, the server and the moment."""

    utc: datetime
    local: datetime
    database: str
    login: str
    app_name: str
    host_name: str
    server_name: str
    spid: int
    trancount: int = 0
    rowcount: int = 0
    error: int = 0
    lock_timeout_ms: int = -1
    isolation: str = "READ COMMITTED"
    can_write: bool = False
    version: str = "11.0.7001.0"
    parameters: Mapping[str, Value] = field(default_factory=dict)


@dataclass
class Source:
    """What one name in FROM stands for: its columns in order."""

    alias: str
    columns: tuple[tuple[str, SqlType | None], ...]


@dataclass
class Scope:
    """The names an expression can see, here and in the queries around it."""

    sources: list[Source] = field(default_factory=list)
    parent: Scope | None = None

    def find(self, name: str, table: str) -> Value:
        scope: Scope | None = self
        alias_known = False
        while scope is not None:
            hits = [
                (source, known, kind)
                for source in scope.sources
                if not table or source.alias.lower() == table.lower()
                for known, kind in source.columns
                if known.lower() == name.lower()
            ]
            if len(hits) > 1:
                raise ambiguous_column(name)
            if hits:
                source, known, kind = hits[0]
                return Value(f"{quoted(source.alias)}.{quoted(known)}", kind, name=known)
            alias_known |= any(source.alias.lower() == table.lower() for source in scope.sources)
            scope = scope.parent
        raise unbound(f"{table}.{name}") if table and not alias_known else unknown_column(name)


def type_of(node: exp.DataType, *, default_length: int = 30) -> SqlType:
    """Return the T-SQL type of a written type; error 243 when there is none of that name."""
    kind = node.this
    if kind == exp.DataType.Type.USERDEFINED:
        name = str(node.args.get("kind")).lower().strip("[]").split(".")[-1]
        if name == "sysname":
            return nvarchar(128)
    else:
        name = {
            "uuid": "uniqueidentifier",
            "utinyint": "tinyint",
            "timestamptz": "datetimeoffset",
            "timestamp": "datetime2",
            "double": "float",
            "text": "varchar",
        }.get(kind.value.lower(), kind.value.lower())
    if name in {"image", "ntext", "rowversion", "xml", "variant", "hierarchyid", "geography"}:
        raise not_emulated(f"type {name}")
    parameters: list[int] = []
    for parameter in node.expressions:
        written = parameter.this
        parameters.append(MAX if str(written.name).upper() == "MAX" else int(written.name))
    if kind == exp.DataType.Type.TEXT and not parameters:
        parameters = [MAX]
    try:
        return declare(name, parameters, default_length)
    except KeyError:
        raise SqlServerError(243, f"Type {name} is not a defined system type.") from None


def compared(value: Value) -> str:
    """Return the expression as the side of a comparison: text loses its trailing blanks."""
    if value.text is not None and value.kind is not None and value.kind.is_text:
        return quote(value.text.rstrip(" ")) if "\x00" not in value.text else value.sql
    if value.kind is not None and value.kind.is_text:
        return f"rtrim({value.sql}, ' ')"
    return value.sql


def ordered(value: Value) -> str:
    """Return what to sort or compare by: a uniqueidentifier has an order of its own."""
    if value.kind == GUID:
        return f"vte_guid_key({value.sql})"
    return value.sql


class ExpressionCompiler:
    """Compiles the expressions of one scope."""

    def __init__(self, queries: QueryCompiler, scope: Scope) -> None:
        self.queries = queries
        self.facts = queries.facts
        self.scope = scope

    # -- entry points --------------------------------------------------------------------------------------------------

    def value(self, node: exp.Expr) -> Value:
        if isinstance(node, _LOGICAL):
            raise syntax(node.sql("tsql")[:40])
        method = self._VALUES.get(type(node))
        if method is not None:
            return method(self, node)
        if isinstance(node, exp.Func):
            raise unknown_function(self._written_name(node))
        raise not_emulated(type(node).__name__.upper())

    def predicate(self, node: exp.Expr) -> str:
        operator = _COMPARISONS.get(type(node))
        if operator is not None:
            return self._comparison(operator, self.value(node.this), self.value(node.expression))
        method = self._PREDICATES.get(type(node))
        if method is None:
            raise SqlServerError(
                4145,
                "An expression of non-boolean type specified in a context where a condition is expected, near "
                f"'{node.sql('tsql')[:40]}'.",
                15,
            )
        return method(self, node)

    def values(self, nodes: Sequence[exp.Expr]) -> list[Value]:
        return [self.value(node) for node in nodes]

    @staticmethod
    def _written_name(node: exp.Func) -> str:
        return _WRITTEN.get(type(node)) or node.sql_name().upper()

    # -- conditions ----------------------------------------------------------------------------------------------------

    def _comparison(self, operator: str, left: Value, right: Value) -> str:
        left, right = self._meet(left, right)
        if operator not in {"=", "<>"} and left.kind == GUID:
            return f"({ordered(left)} {operator} {ordered(right)})"
        return f"({compared(left)} {operator} {compared(right)})"

    def _meet(self, left: Value, right: Value) -> tuple[Value, Value]:
        """Bring both sides of a comparison to one type, as data type precedence says."""
        if left.kind is None or right.kind is None or left.kind == right.kind:
            return left, right
        if left.kind.name in NUMBER and right.kind.name in NUMBER and "bit" not in {left.kind.name, right.kind.name}:
            return self._with_real(left, right)
        if left.kind.is_text and right.kind.is_text:
            return left, right
        if left.kind.name in BINARY and right.kind.name in BINARY:
            return left, right
        if {left.kind.name, right.kind.name} <= {"datetime", "datetime2", "smalldatetime"}:
            return left, right
        kind = unify(left.kind, right.kind)
        return convert(left, kind), convert(right, kind)

    @staticmethod
    def _with_real(left: Value, right: Value) -> tuple[Value, Value]:
        """Keep a real column against a decimal literal a comparison of reals, as SQL Server does."""
        assert left.kind
        assert right.kind
        if REAL in {left.kind, right.kind} and FLOAT not in {left.kind, right.kind}:
            return convert(left, REAL), convert(right, REAL)
        return left, right

    def _and(self, node: exp.Expr) -> str:
        # flatten() keeps a condition of thousands of terms from recursing.
        return "(" + " AND ".join(self.predicate(part) for part in node.flatten(unnest=False)) + ")"

    def _or(self, node: exp.Expr) -> str:
        return "(" + " OR ".join(self.predicate(part) for part in node.flatten(unnest=False)) + ")"

    def _is(self, node: exp.Expr) -> str:
        if not isinstance(node.expression, exp.Null):
            raise syntax(node.expression.sql("tsql"))
        return f"({self.value(node.this).sql} IS NULL)"

    def _in(self, node: exp.Expr) -> str:
        left = self.value(node.this)
        if node.args.get("query") is not None:
            query = self.queries.subquery(node.args["query"], self.scope)
            if len(query.columns) != 1:
                raise SqlServerError(
                    116,
                    "Only one expression can be specified in the select list when the subquery is not introduced with "
                    "EXISTS.",
                )
            inner = Value('"in_query"."c"', query.columns[0][1])
            left, inner = self._meet(left, inner)
            return f'({compared(left)} IN (SELECT {compared(inner)} FROM ({query.sql}) AS "in_query"("c")))'
        terms: list[str] = []
        for each in node.expressions:
            here, right = self._meet(left, self.value(each))
            if here.sql != left.sql:
                return "(" + " OR ".join(self._comparison("=", left, self.value(one)) for one in node.expressions) + ")"
            terms.append(compared(right))
        return f"({compared(left)} IN ({', '.join(terms)}))"

    def _between(self, node: exp.Expr) -> str:
        value = self.value(node.this)
        low = self._comparison(">=", value, self.value(node.args["low"]))
        return f"({low} AND {self._comparison('<=', value, self.value(node.args['high']))})"

    def _like(self, node: exp.Expr, escape: str | None = None) -> str:
        value, pattern = self.value(node.this), self.value(node.expression)
        if value.kind is not None and not value.kind.is_text:
            value = convert(value, nvarchar(MAX))
        if pattern.text is None and pattern.kind is not None:
            raise not_emulated("LIKE with a pattern that is not a literal")
        if pattern.text is None:
            return "(NULL)"
        return f"regexp_full_match({value.sql}, {quote(like_to_regex(pattern.text, escape))}, 'is')"

    def _escape(self, node: exp.Expr) -> str:
        if not isinstance(node.this, exp.Like):
            raise not_emulated("ESCAPE")
        return self._like(node.this, node.expression.name)

    def _exists(self, node: exp.Expr) -> str:
        return f"EXISTS ({self.queries.subquery(node.this, self.scope).sql})"

    # -- values --------------------------------------------------------------------------------------------------------

    def _column(self, node: exp.Expr) -> Value:
        if node.args.get("catalog"):
            raise syntax(node.sql("tsql"))
        return self.scope.find(node.name, node.text("table"))

    def _literal(self, node: exp.Expr) -> Value:
        text = node.name
        if node.is_string:
            return text_literal(text, varchar(len(text)))
        if "e" in text.lower():
            return Value(f"CAST({text} AS DOUBLE)", FLOAT, constant=True)
        if "." in text:
            whole, _, fraction = text.partition(".")
            kind = decimal(len(whole.lstrip("0")) + len(fraction) or 1, len(fraction))
            return Value(f"CAST({text} AS {kind.storage})", kind, constant=True)
        if int(text) < 2**31:
            return Value(text, INT, constant=True)
        kind = decimal(len(text), 0)
        return Value(f"CAST({text} AS {kind.storage})", kind, constant=True)

    def _national(self, node: exp.Expr) -> Value:
        text = node.name
        return text_literal(text, nvarchar(len(text.encode("utf-16-le", "surrogatepass")) // 2))

    def _hex(self, node: exp.Expr) -> Value:
        text = node.name if len(node.name) % 2 == 0 else "0" + node.name
        return Value(f"unhex('{text}')", varbinary(len(text) // 2), constant=True)

    def _parameter(self, node: exp.Expr) -> Value:
        inner = node.this
        if isinstance(inner, exp.Parameter):
            return self._variable(inner.name.upper())
        found = self.facts.parameters.get(node.name.lower())
        if found is None:
            raise SqlServerError(137, f'Must declare the scalar variable "@{node.name}".', 15, 2)
        return found

    def _variable(self, name: str) -> Value:
        facts = self.facts
        numbers = {
            "TRANCOUNT": facts.trancount,
            "ROWCOUNT": facts.rowcount,
            "ERROR": facts.error,
            "LOCK_TIMEOUT": facts.lock_timeout_ms,
            "MAX_PRECISION": 38,
            "NESTLEVEL": 0,
        }
        if name == "SPID":
            return Value(str(facts.spid), SqlType("smallint"))
        if name in numbers:
            return Value(str(numbers[name]), INT)
        texts = {
            "VERSION": f"Microsoft SQL Server 2012 (emulated) - {facts.version} (X64)",
            "SERVERNAME": facts.server_name,
            "LANGUAGE": "us_english",
            "SERVICENAME": "MSSQLSERVER",
        }
        if name in texts:
            return Value(quote(texts[name]), nvarchar(300 if name == "VERSION" else 128))
        raise SqlServerError(137, f'Must declare the scalar variable "@@{name}".', 15, 2)

    def _cast(self, node: exp.Cast) -> Value:
        value = self.value(node.this)
        if node.to.this == exp.DataType.Type.TEXT and not node.to.expressions:
            return value  # sqlglot's own addition around the arguments of LEFT, RIGHT and LEN
        return convert(value, type_of(node.to), safe=isinstance(node, exp.TryCast))

    def _convert(self, node: exp.Expr) -> Value:
        style = node.args.get("style")
        number = None
        if style is not None:
            if not isinstance(style, exp.Literal) or style.is_string:
                raise not_emulated("CONVERT with a style that is not a literal")
            number = int(style.name)
        value = self.value(node.expression)
        return convert(value, type_of(node.this), style=number, safe=bool(node.args.get("safe")))

    def _case(self, node: exp.Expr) -> Value:
        subject = self.value(node.this) if node.this is not None else None
        conditions: list[str] = []
        branches: list[Value] = []
        for branch in node.args["ifs"]:
            if subject is None:
                conditions.append(self.predicate(branch.this))
            else:
                conditions.append(self._comparison("=", subject, self.value(branch.this)))
            branches.append(self.value(branch.args["true"]))
        default = node.args.get("default")
        branches.append(self.value(default) if default is not None else NULL)
        branches, kind = self.unified(branches)
        arms = " ".join(f"WHEN {when} THEN {then.sql}" for when, then in zip(conditions, branches, strict=False))
        return Value(f"CASE {arms} ELSE {branches[-1].sql} END", kind)

    def _iif(self, node: exp.Expr) -> Value:
        branches, kind = self.unified(self.values([node.args["true"], node.args["false"]]))
        return Value(f"CASE WHEN {self.predicate(node.this)} THEN {branches[0].sql} ELSE {branches[1].sql} END", kind)

    @staticmethod
    def unified(values: Sequence[Value]) -> tuple[list[Value], SqlType | None]:
        """Bring all values to the one type they unify to."""
        kind: SqlType | None = None
        for value in values:
            if value.kind is not None:
                kind = value.kind if kind is None else unify(kind, value.kind)
        if kind is None:
            return list(values), None
        return [convert(value, kind) for value in values], kind

    def _coalesce(self, node: exp.Expr) -> Value:
        values = self.values([node.this, *node.expressions])
        if node.args.get("is_null"):
            first, second = values
            if first.kind is None:
                return second
            return Value(f"coalesce({first.sql}, {convert(second, first.kind).sql})", first.kind)
        unified, kind = self.unified(values)
        return Value(f"coalesce({', '.join(value.sql for value in unified)})", kind)

    def _nullif(self, node: exp.Expr) -> Value:
        left, right = self.value(node.this), self.value(node.expression)
        return Value(f"CASE WHEN {self._comparison('=', left, right)} THEN NULL ELSE {left.sql} END", left.kind)

    def _paren(self, node: exp.Expr) -> Value:
        value = self.value(node.this)
        return replace(value, sql=f"({value.sql})")

    def _negated(self, node: exp.Expr) -> Value:
        value = self.value(node.this)
        if value.kind is not None and value.kind.name not in NUMBER:
            raise SqlServerError(8117, f"Operand data type {value.kind.name} is invalid for minus operator.")
        return Value(f"(-{value.sql})", value.kind, constant=value.constant)

    def _subquery(self, node: exp.Expr) -> Value:
        query = self.queries.subquery(node, self.scope)
        if len(query.columns) != 1:
            raise SqlServerError(
                116,
                "Only one expression can be specified in the select list when the subquery is not introduced with "
                "EXISTS.",
            )
        return Value(f"({query.sql})", query.columns[0][1])

    def _collate(self, node: exp.Expr) -> Value:
        value = self.value(node.this)
        name = node.expression.name.upper()
        if "_BIN" in name or "_CS_" in name:
            return replace(value, sql=f'({value.sql} COLLATE "C")', text=None)
        if "_CI_" in name or name == "DATABASE_DEFAULT":
            return value
        raise SqlServerError(448, f"Invalid collation '{node.expression.name}'.")

    # -- arithmetic ----------------------------------------------------------------------------------------------------

    def _arithmetic(self, node: exp.Expr) -> Value:
        names: dict[type[exp.Expr], str] = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/", exp.Mod: "%"}
        operator = names[type(node)]
        left, right = self.value(node.this), self.value(node.expression)
        if left.kind is None or right.kind is None:
            return Value("NULL", left.kind or right.kind or INT)
        if operator == "+" and left.kind.is_text and right.kind.is_text:
            return self._joined(left, right)
        if left.kind.name in MOMENT or right.kind.name in MOMENT:
            raise not_emulated(f"{left.kind.name} {operator} {right.kind.name}")
        left, right = self._numbers(left, right)
        assert left.kind
        assert right.kind
        kind = self._arithmetic_type(operator, left.kind, right.kind)
        if operator == "/" and kind.name in INTEGER:
            sql = f"({left.sql} // {right.sql})"
        elif kind.name in APPROXIMATE:
            sql = f"(CAST({left.sql} AS {kind.storage}) {operator} CAST({right.sql} AS {kind.storage}))"
        else:
            sql = f"CAST({left.sql} {operator} {right.sql} AS {kind.storage})"
        return Value(sql, kind)

    @staticmethod
    def _numbers(left: Value, right: Value) -> tuple[Value, Value]:
        assert left.kind
        assert right.kind
        if left.kind.is_text and right.kind.name in NUMBER:
            return convert(left, right.kind), right
        if right.kind.is_text and left.kind.name in NUMBER:
            return left, convert(right, left.kind)
        for kind in (left.kind, right.kind):
            if kind.name not in NUMBER:
                raise operand_clash(left.kind.name, right.kind.name)
        return left, right

    @staticmethod
    def _arithmetic_type(operator: str, left: SqlType, right: SqlType) -> SqlType:
        if FLOAT in {left, right} or REAL in {left, right}:
            return FLOAT if FLOAT in {left, right} else REAL
        if left.name in EXACT or right.name in EXACT:
            (p1, s1), (p2, s2) = digits(left), digits(right)
            if operator == "*":
                return decimal(p1 + p2 + 1, s1 + s2)
            if operator == "/":
                scale = max(6, s1 + p2 + 1)
                precision = p1 - s1 + s2 + scale
                if precision > 38:
                    scale = max(min(scale, 38 - (precision - scale)), 6)
                return decimal(precision, scale)
            scale = max(s1, s2)
            return decimal(max(p1 - s1, p2 - s2) + scale + (operator != "%"), scale)
        return unify(left, right)

    @staticmethod
    def _joined(left: Value, right: Value) -> Value:
        assert left.kind
        assert right.kind
        kind = unify(left.kind, right.kind)
        length = MAX if MAX in {left.kind.length, right.kind.length} else left.kind.length + right.kind.length
        kind = (nvarchar if kind.name in {"nvarchar", "nchar"} else varchar)(length)
        return Value(f"({left.sql} || {right.sql})", kind)

    def _bitwise(self, node: exp.Expr) -> Value:
        operator = "&" if isinstance(node, exp.BitwiseAnd) else "|"
        left, right = self.value(node.this), self.value(node.expression)
        for value in (left, right):
            if value.kind is None or value.kind.name not in INTEGER:
                raise not_emulated(operator)
        assert left.kind
        assert right.kind
        return Value(f"({left.sql} {operator} {right.sql})", unify(left.kind, right.kind))

    # -- aggregates and windows ----------------------------------------------------------------------------------------

    def _count(self, node: exp.Expr) -> Value:
        kind = BIGINT if node.args.get("big_int") else INT
        if isinstance(node.this, exp.Star):
            return Value("count(*)", kind)
        if isinstance(node.this, exp.Distinct):
            return Value(f"count(DISTINCT {compared(self.value(node.this.expressions[0]))})", kind)
        return Value(f"count({self.value(node.this).sql})", kind)

    def _aggregate(self, node: exp.Expr) -> Value:
        names: dict[type[exp.Expr], str] = {exp.Sum: "sum", exp.Avg: "avg", exp.Min: "min", exp.Max: "max"}
        name = names.get(type(node), "stddev_samp")
        if isinstance(node, exp.Variance):
            name = "var_samp"
        inner, distinct = node.this, ""
        if isinstance(inner, exp.Distinct):
            inner, distinct = inner.expressions[0], "DISTINCT "
        value = self.value(inner)
        kind = value.kind or INT
        if name in {"min", "max"}:
            if kind == BIT:
                raise SqlServerError(8117, f"Operand data type bit is invalid for {name} operator.")
            if kind == GUID:
                return Value(f"arg_{name}({value.sql}, {ordered(value)})", kind)
            return Value(f"{name}({value.sql})", kind)
        if kind.name not in NUMBER or kind == BIT:
            raise SqlServerError(8117, f"Operand data type {kind.name} is invalid for {name} operator.")
        if name in {"stddev_samp", "var_samp"} or kind.name in APPROXIMATE:
            return Value(f"{name}({distinct}CAST({value.sql} AS DOUBLE))", FLOAT)
        if kind.name in INTEGER:
            kind = BIGINT if kind == BIGINT else INT
            total = f"sum({distinct}{value.sql})"
            if name == "avg":
                total = f"{total} // nullif(count({distinct}{value.sql}), 0)"
            return Value(f"CAST({total} AS {kind.storage})", kind)
        wide = decimal(38, max(kind.scale, 6) if name == "avg" else kind.scale)
        return Value(f"CAST({name}({distinct}{value.sql}) AS {wide.storage})", wide)

    def _window(self, node: exp.Expr) -> Value:
        if node.args.get("spec") is not None:
            raise not_emulated("ROWS or RANGE in OVER")
        function = node.this
        if isinstance(function, (exp.RowNumber, exp.Rank, exp.DenseRank)):
            value = Value(f"{function.sql_name().lower()}()", BIGINT)
        elif isinstance(function, (exp.Lag, exp.Lead)) and not function.args.get("default"):
            inner = self.value(function.this)
            offset = function.args.get("offset")
            step = self.value(offset).sql if offset is not None else "1"
            value = Value(f"{function.sql_name().lower()}({inner.sql}, {step})", inner.kind)
        elif isinstance(function, _AGGREGATES):
            value = self.value(function)
            if value.sql.startswith("CAST("):
                raise not_emulated("SUM or AVG of exact numbers with OVER")
        else:
            raise not_emulated(f"{function.sql_name()} with OVER")
        parts: list[str] = []
        if node.args.get("partition_by"):
            parts.append("PARTITION BY " + ", ".join(compared(self.value(each)) for each in node.args["partition_by"]))
        if node.args.get("order") is not None:
            parts.append("ORDER BY " + ", ".join(self.sort_keys(node.args["order"])))
        return Value(f"{value.sql} OVER ({' '.join(parts)})", value.kind)

    def sort_keys(self, order: exp.Expr) -> list[str]:
        return [sort_key(self.value(each.this), descending=bool(each.args.get("desc"))) for each in order.expressions]

    # -- functions -----------------------------------------------------------------------------------------------------

    def _text(self, node: exp.Expr) -> Value:
        value = self.value(node)
        if value.kind is None or value.kind.is_text:
            return value
        return convert(value, varchar(30))

    @staticmethod
    def _like_text(value: Value, sql: str) -> Value:
        kind = value.kind or varchar(1)
        variable = nvarchar if kind.name in {"nvarchar", "nchar"} else varchar
        return Value(sql, variable(kind.length))

    def _upper(self, node: exp.Expr) -> Value:
        value = self._text(node.this)
        return self._like_text(value, f"{'upper' if isinstance(node, exp.Upper) else 'lower'}({value.sql})")

    def _trim(self, node: exp.Expr) -> Value:
        value = self._text(node.this)
        side = {"LEADING": "ltrim", "TRAILING": "rtrim"}.get(str(node.args.get("position") or "").upper())
        if side is None or node.expression is not None:
            raise unknown_function("TRIM")
        return self._like_text(value, f"{side}({value.sql}, ' ')")

    def _length(self, node: exp.Expr) -> Value:
        value = self._text(node.this)
        return Value(f"CAST(length(rtrim({value.sql}, ' ')) AS INTEGER)", INT)

    def _substring(self, node: exp.Expr) -> Value:
        value = self.value(node.this)
        start, length = self.value(node.args["start"]), self.value(node.args["length"])
        if value.kind is not None and value.kind.name in BINARY:
            raise not_emulated("SUBSTRING of varbinary")
        value = self._text(node.this)
        return self._like_text(
            value,
            f"substr({value.sql}, greatest({start.sql}, 1), greatest({length.sql} + least({start.sql} - 1, 0), 0))",
        )

    def _side(self, node: exp.Expr) -> Value:
        value = self._text(node.this)
        name = "left" if isinstance(node, exp.Left) else "right"
        return self._like_text(value, f"{name}({value.sql}, {self.value(node.expression).sql})")

    def _replace(self, node: exp.Expr) -> Value:
        value, old, new = (self._text(part) for part in (node.this, node.expression, node.args["replacement"]))
        if old.text is None:
            raise not_emulated("REPLACE of a text that is not a literal")
        kind = (nvarchar if (value.kind or INT).name in {"nvarchar", "nchar"} else varchar)(4000)
        pattern = quote("".join("\\" + letter if not letter.isalnum() else letter for letter in old.text))
        return Value(f"regexp_replace({value.sql}, {pattern}, replace({new.sql}, '\\', '\\\\'), 'gi')", kind)

    def _char_index(self, node: exp.Expr) -> Value:
        if node.args.get("position") is not None:
            raise not_emulated("CHARINDEX with a start")
        text, found = self._text(node.this), self._text(node.args["substr"])
        return Value(f"CAST(instr(lower({text.sql}), lower({found.sql})) AS INTEGER)", INT)

    def _concat(self, node: exp.Expr) -> Value:
        values = [self._text(part) for part in node.expressions]
        wide = any(value.kind is not None and value.kind.name in {"nvarchar", "nchar"} for value in values)
        total = sum(4001 if value.kind and value.kind.length == MAX else value.kind.length if value.kind else 0
                    for value in values)  # fmt: skip
        joined = " || ".join(f"coalesce({value.sql}, '')" for value in values)
        return Value(f"({joined})", (nvarchar if wide else varchar)(total))

    def _repeat(self, node: exp.Expr) -> Value:
        value, times = self._text(node.this), self.value(node.args["times"])
        long = value.kind is not None and value.kind.length == MAX
        sql = f"repeat({value.sql}, CAST({times.sql} AS BIGINT))"
        wide = value.kind is not None and value.kind.name in {"nvarchar", "nchar"}
        limit = 4000 if wide else 8000
        kind = (nvarchar if wide else varchar)(MAX if long else limit)
        return Value(sql if long else f"left({sql}, {limit})", kind)

    def _number_function(self, node: exp.Expr) -> Value:
        value = self.value(node.this)
        if value.kind is None:
            return Value("NULL", INT)
        if value.kind.is_text:
            value = convert(value, FLOAT)
        assert value.kind
        if value.kind.name not in NUMBER:
            raise SqlServerError(8116, f"Argument data type {value.kind.name} is invalid for argument 1 of function.")
        kind = value.kind
        if isinstance(node, exp.Sqrt):
            return Value(f"sqrt(CAST({value.sql} AS DOUBLE))", FLOAT)
        if isinstance(node, exp.Pow):
            return Value(f"CAST(pow({value.sql}, {self.value(node.expression).sql}) AS {kind.storage})", kind)
        if isinstance(node, exp.Round):
            if node.args.get("truncate") is not None:
                raise not_emulated("ROUND with three arguments")
            places = self.value(node.args["decimals"]).sql if node.args.get("decimals") is not None else "0"
            return Value(f"CAST(round({value.sql}, {places}) AS {kind.storage})", kind)
        names: dict[type[exp.Expr], str] = {exp.Abs: "abs", exp.Floor: "floor", exp.Ceil: "ceil", exp.Sign: "sign"}
        name = names[type(node)]
        if kind.name in EXACT and name in {"floor", "ceil"}:
            kind = decimal(kind.precision, 0)
        return Value(f"CAST({name}({value.sql}) AS {kind.storage})", kind)

    def _moment(self, node: exp.Expr) -> Value:
        """Read an argument of a date function; texts become datetime. Undoes what sqlglot puts around it."""
        while isinstance(node, (exp.TimeStrToTime, exp.TsOrDsToDate)):
            node = node.this
        value = self.value(node)
        if value.kind is not None and value.kind.name in MOMENT:
            return value
        if value.kind is None:
            return convert(value, DATETIME)
        return convert(value, DATETIME if value.kind.name in NUMBER else datetime2(7))

    def _unit(self, node: exp.Expr) -> str:
        name = str(node.args["unit"].name if node.args.get("unit") is not None else "day").upper()
        unit = _UNITS.get(name)
        if unit is None:
            raise SqlServerError(155, f"'{name}' is not a recognized datepart option.", 15)
        return unit

    def _date_add(self, node: exp.Expr) -> Value:
        unit = self._unit(node)
        value, count = self._moment(node.this), self.value(node.expression)
        assert value.kind
        count = convert(count, INT) if count.kind != BIGINT else count
        moment = value.sql if value.kind.name != "date" else f"CAST({value.sql} AS TIMESTAMP)"
        if unit == "quarter":
            sql = f"({moment} + to_months(CAST({count.sql} * 3 AS INTEGER)))"
        elif unit in {"year", "month", "week", "day"}:
            sql = f"({moment} + to_{unit}s(CAST({count.sql} AS INTEGER)))"
        elif unit in {"millisecond", "microsecond"}:
            factor = 1000 if unit == "millisecond" else 1
            sql = f"({moment} + to_microseconds(CAST({count.sql} AS BIGINT) * {factor}))"
        else:
            factor = {"hour": 3600, "minute": 60, "second": 1}[unit]
            sql = f"({moment} + to_microseconds(CAST({count.sql} AS BIGINT) * {factor * 1_000_000}))"
        if value.kind == DATETIME:
            sql = f"vte_datetime({sql})"
        return Value(f"CAST({sql} AS {value.kind.storage})", value.kind)

    def _date_diff(self, node: exp.Expr) -> Value:
        end, start = self._moment(node.this), self._moment(node.expression)
        unit = self._unit(node)
        kind = BIGINT if node.args.get("big_int") else INT
        first, last = (
            f"CAST({each.sql} AS TIMESTAMP)" if (each.kind or DATE).name != "time" else each.sql
            for each in (start, end)
        )
        if unit == "week":  # weeks of SQL Server begin on Sunday, whatever DATEFIRST says
            first, last = (f"({each} + INTERVAL 1 DAY)" for each in (first, last))
        return Value(f"CAST(date_diff('{unit}', {first}, {last}) AS {kind.storage})", kind)

    def _date_part(self, node: exp.Expr) -> Value:
        if isinstance(node, exp.Extract):
            name = node.this.name.upper()
            value = self._moment(node.expression)
        else:
            name = type(node).__name__.upper()
            value = self._moment(node.this)
        unit = _UNITS.get(name)
        if unit is None or unit == "week":
            raise not_emulated(f"DATEPART({name.lower()})")
        if name in {"WEEKDAY", "DW"}:
            return Value(f"CAST(dayofweek({value.sql}) + 1 AS INTEGER)", INT)
        if name in {"DAYOFYEAR", "DY", "Y"}:
            return Value(f"CAST(dayofyear({value.sql}) AS INTEGER)", INT)
        sql = f"date_part('{unit}', {value.sql})"
        if unit in {"millisecond", "microsecond"}:
            sql += f" % {1000 if unit == 'millisecond' else 1_000_000}"
        return Value(f"CAST({sql} AS INTEGER)", INT)

    def _getdate(self, _: exp.Expr) -> Value:
        return self._instant(self.facts.local, DATETIME)

    @staticmethod
    def _instant(moment: datetime, kind: SqlType) -> Value:
        return Value(moments.literal(moments.as_kept(moment.replace(tzinfo=None), kind)), kind)

    def _offset_now(self, _: exp.Expr) -> Value:
        return Value(moments.literal(self.facts.utc), SqlType("datetimeoffset", scale=7))

    def _newid(self, _: exp.Expr) -> Value:
        return Value("uuid()", GUID)

    def _user(self, _: exp.Expr) -> Value:
        return Value(quote(self.facts.login), nvarchar(128))

    def _schema_name(self, _: exp.Expr) -> Value:
        return Value("'dbo'", nvarchar(128))

    def _object_id(self, node: exp.Expr) -> Value:
        return self._object_number(self._constant_text(node.this, "OBJECT_ID"))

    def _object_number(self, name: str) -> Value:
        parts = [part.strip('[]"') for part in name.split(".")]
        table = self.queries.catalog.find(parts[-1], parts[-2] if len(parts) > 1 and parts[-2] else "dbo")
        return Value(str(table.object_id) if table else "NULL", INT)

    def _constant_text(self, node: exp.Expr, function: str) -> str:
        value = self.value(node)
        if value.text is None:
            raise not_emulated(f"{function} with an argument that is not a literal")
        return value.text

    def _anonymous(self, node: exp.Expr) -> Value:
        name = node.name.upper()
        method = self._NAMED.get(name)
        if method is None:
            raise unknown_function(node.name)
        return method(self, node)

    def _sysdatetime(self, _: exp.Expr) -> Value:
        return self._instant(self.facts.local, datetime2(7))

    def _sysutcdatetime(self, _: exp.Expr) -> Value:
        return self._instant(self.facts.utc, datetime2(7))

    def _getutcdate(self, _: exp.Expr) -> Value:
        return self._instant(self.facts.utc, DATETIME)

    def _db_name(self, node: exp.Expr) -> Value:
        if node.expressions:
            raise not_emulated("DB_NAME with an argument")
        return Value(quote(self.facts.database), nvarchar(128))

    def _db_id(self, node: exp.Expr) -> Value:
        if not node.expressions:
            return Value("5" if self.facts.database.lower() != "master" else "1", SqlType("smallint"))
        name = self._constant_text(node.expressions[0], "DB_ID").lower()
        number = {"master": "1", self.queries.database.name.lower(): "5"}.get(name, "NULL")
        return Value(number, SqlType("smallint"))

    def _server_property(self, node: exp.Expr) -> Value:
        name = self._constant_text(node.expressions[0], "SERVERPROPERTY").lower()
        texts = {
            "productversion": self.facts.version,
            "productlevel": "SP4",
            "edition": "Express Edition (64-bit)",
            "servername": self.facts.server_name,
            "machinename": self.facts.server_name.split("\\")[0],
            "computernamephysicalnetbios": self.facts.server_name.split("\\")[0],
            "collation": "SQL_Latin1_General_CP1_CI_AS",
        }
        if name in texts:
            return Value(quote(texts[name]), nvarchar(128))
        numbers = {"engineedition": 4, "isclustered": 0, "isintegratedsecurityonly": 0, "productmajorversion": None}
        if name in numbers:
            number = numbers[name]
            return Value("NULL" if number is None else str(number), INT)
        return Value("NULL", nvarchar(128))

    def _database_property(self, node: exp.Expr) -> Value:
        database = self._constant_text(node.expressions[0], "DATABASEPROPERTYEX").lower()
        name = self._constant_text(node.expressions[1], "DATABASEPROPERTYEX").lower()
        texts = {"collation": "SQL_Latin1_General_CP1_CI_AS", "status": "ONLINE", "updateability": "READ_WRITE"}
        known = database in {self.queries.database.name.lower(), "master"} and name in texts
        return Value(quote(texts[name]) if known else "NULL", nvarchar(128))

    def _has_perms(self, node: exp.Expr) -> Value:
        permission = self._constant_text(node.expressions[2], "HAS_PERMS_BY_NAME").upper()
        allowed = self.facts.can_write or permission in {"SELECT", "CONNECT"}
        return Value(str(int(allowed)), INT)

    def _is_member(self, node: exp.Expr) -> Value:
        role = self._constant_text(node.expressions[0], node.name).lower()
        if role in {"db_datareader", "public"}:
            return Value("1", INT)
        known = {"db_owner", "db_datawriter", "db_ddladmin", "sysadmin", "serveradmin"}
        return Value(str(int(self.facts.can_write)) if role in known else "NULL", INT)

    def _principal_id(self, node: exp.Expr) -> Value:
        if not node.expressions:
            return Value("5", INT)
        name = self._constant_text(node.expressions[0], node.name).lower()
        kind = "login" if node.name.upper() == "SUSER_ID" else "user"
        return Value("5" if (kind, name) in self.queries.principals else "NULL", INT)

    def _app_name(self, _: exp.Expr) -> Value:
        return Value(quote(self.facts.app_name), nvarchar(128))

    def _host_name(self, _: exp.Expr) -> Value:
        return Value(quote(self.facts.host_name), nvarchar(128))

    def _object_name(self, node: exp.Expr) -> Value:
        value = self.value(node.expressions[0])
        arms = " ".join(f"WHEN {table.object_id} THEN {quote(table.name)}" for table in self.queries.catalog.tables())
        return Value(f"CASE {value.sql} {arms} END" if arms else "NULL", nvarchar(128))

    def _type_name(self, node: exp.Expr) -> Value:
        view = self.queries.catalog.system_view("sys", "types", self.queries.database)
        assert view is not None
        arms = " ".join(f"WHEN {row[1]} THEN {quote(str(row[0]))}" for row in view.tuples)
        return Value(f"CASE {self.value(node.expressions[0]).sql} {arms} END", nvarchar(128))

    def _data_length(self, node: exp.Expr) -> Value:
        value = self.value(node.expressions[0])
        kind = value.kind
        if kind is None:
            return Value("NULL", INT)
        long = kind.length == MAX
        if kind.name in BINARY:
            sql = f"octet_length({value.sql})"
        elif kind.name in {"nvarchar", "nchar"}:
            beyond = f"regexp_replace({value.sql}, '[^\\x{{10000}}-\\x{{10FFFF}}]', '', 'g')"
            sql = f"2 * (length({value.sql}) + length({beyond}))"
        elif kind.is_text:
            sql = f"length({value.sql})"
        else:
            sql = f"CASE WHEN {value.sql} IS NULL THEN NULL ELSE {kind.size_bytes} END"
        return Value(f"CAST({sql} AS {'BIGINT' if long else 'INTEGER'})", BIGINT if long else INT)

    def _checked_number(self, node: exp.Expr) -> Value:
        value = self._text(node.expressions[0])
        return Value(f"CASE WHEN TRY_CAST({value.sql} AS DOUBLE) IS NULL THEN 0 ELSE 1 END", INT)

    _VALUES: ClassVar[dict[type[exp.Expr], Callable[[ExpressionCompiler, Any], Value]]] = {
        exp.Column: _column,
        exp.Literal: _literal,
        exp.National: _national,
        exp.HexString: _hex,
        exp.Null: lambda *_: NULL,
        exp.Parameter: _parameter,
        exp.Cast: _cast,
        exp.TryCast: _cast,
        exp.Convert: _convert,
        exp.Case: _case,
        exp.If: _iif,
        exp.Coalesce: _coalesce,
        exp.Nullif: _nullif,
        exp.Paren: _paren,
        exp.Neg: _negated,
        exp.Subquery: _subquery,
        exp.Collate: _collate,
        exp.Add: _arithmetic,
        exp.Sub: _arithmetic,
        exp.Mul: _arithmetic,
        exp.Div: _arithmetic,
        exp.Mod: _arithmetic,
        exp.BitwiseAnd: _bitwise,
        exp.BitwiseOr: _bitwise,
        exp.Count: _count,
        exp.Sum: _aggregate,
        exp.Avg: _aggregate,
        exp.Min: _aggregate,
        exp.Max: _aggregate,
        exp.Stddev: _aggregate,
        exp.Variance: _aggregate,
        exp.Window: _window,
        exp.Upper: _upper,
        exp.Lower: _upper,
        exp.Trim: _trim,
        exp.Length: _length,
        exp.Substring: _substring,
        exp.Left: _side,
        exp.Right: _side,
        exp.Replace: _replace,
        exp.StrPosition: _char_index,
        exp.Concat: _concat,
        exp.Repeat: _repeat,
        exp.Abs: _number_function,
        exp.Round: _number_function,
        exp.Floor: _number_function,
        exp.Ceil: _number_function,
        exp.Sign: _number_function,
        exp.Sqrt: _number_function,
        exp.Pow: _number_function,
        exp.DateAdd: _date_add,
        exp.DateDiff: _date_diff,
        exp.Extract: _date_part,
        exp.Year: _date_part,
        exp.Month: _date_part,
        exp.Day: _date_part,
        exp.CurrentTimestamp: _getdate,
        exp.CurrentTimestampLTZ: _offset_now,
        exp.Uuid: _newid,
        exp.CurrentUser: _user,
        exp.CurrentSchema: _schema_name,
        exp.ObjectId: _object_id,
        exp.Anonymous: _anonymous,
    }
    _PREDICATES: ClassVar[dict[type[exp.Expr], Callable[[ExpressionCompiler, Any], str]]] = {
        exp.And: _and,
        exp.Or: _or,
        exp.Not: lambda self, node: f"(NOT {self.predicate(node.this)})",
        exp.Paren: lambda self, node: f"({self.predicate(node.this)})",
        exp.Is: _is,
        exp.In: _in,
        exp.Between: _between,
        exp.Like: _like,
        exp.Escape: _escape,
        exp.Exists: _exists,
    }
    _NAMED: ClassVar[dict[str, Callable[[ExpressionCompiler, Any], Value]]] = {
        "VTE_SYSDATETIME": _sysdatetime,
        "SYSUTCDATETIME": _sysutcdatetime,
        "GETUTCDATE": _getutcdate,
        "DB_NAME": _db_name,
        "DB_ID": _db_id,
        "SERVERPROPERTY": _server_property,
        "DATABASEPROPERTYEX": _database_property,
        "HAS_PERMS_BY_NAME": _has_perms,
        "IS_MEMBER": _is_member,
        "IS_ROLEMEMBER": _is_member,
        "IS_SRVROLEMEMBER": _is_member,
        "SUSER_ID": _principal_id,
        "USER_ID": _principal_id,
        "DATABASE_PRINCIPAL_ID": _principal_id,
        "SUSER_NAME": _user,
        "ORIGINAL_LOGIN": _user,
        "USER_NAME": _user,
        "APP_NAME": _app_name,
        "HOST_NAME": _host_name,
        "OBJECT_NAME": _object_name,
        "TYPE_NAME": _type_name,
        "DATALENGTH": _data_length,
        "ISNUMERIC": _checked_number,
    }


def sort_key(value: Value, *, descending: bool) -> str:
    """Return the ORDER BY item; NULL comes before everything."""
    return f"{ordered(value)} {'DESC NULLS LAST' if descending else 'ASC NULLS FIRST'}"


def like_to_regex(pattern: str, escape: str | None) -> str:
    """Return the regular expression of a LIKE pattern: % _ [set] [^set], and the escape character if there is one."""
    parts: list[str] = []
    index = 0
    while index < len(pattern):
        letter = pattern[index]
        if escape and letter == escape and index + 1 < len(pattern):
            index += 1
            parts.append(_literally(pattern[index]))
        elif letter == "%":
            parts.append(".*")
        elif letter == "_":
            parts.append(".")
        elif letter == "[" and "]" in pattern[index + 1 :]:
            end = pattern.index("]", index + 1)
            content = pattern[index + 1 : end]
            negated = content.startswith("^")
            members = content[1:] if negated else content
            inside = "".join("-" if one == "-" else _literally(one) for one in members)
            parts.append(f"[{'^' if negated else ''}{inside}]" if inside else "[^\\s\\S]")
            index = end
        else:
            parts.append(_literally(letter))
        index += 1
    return "".join(parts)


def _literally(letter: str) -> str:
    return letter if letter.isalnum() or ord(letter) > 127 else f"\\x{ord(letter):02x}"
