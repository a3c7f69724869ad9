"""T-SQL expressions into DuckDB expressions with their T-SQL types.

Every construct is listed by name, here or in the table of the module it belongs to; what is not listed is an error that
says so. Text is compared in any case (the database's default collation in DuckDB) and without trailing blanks (trimmed
in `conditions`); GROUP BY, DISTINCT and ORDER BY do count trailing blanks, which SQL Server does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlglot import exp

from sandbox.sqlserver.errors import SqlServerError, not_emulated, syntax, unknown_function
from sandbox.sqlserver.sql_types import FLOAT, INT, decimal, nvarchar, varbinary, varchar
from sandbox.sqlserver.tsql import aggregates, arithmetic, checksums, date_functions, system_functions, text_functions
from sandbox.sqlserver.tsql.conditions import CONDITIONS, compare
from sandbox.sqlserver.tsql.conversions import NULL, Value, convert, text_literal, unified
from sandbox.sqlserver.tsql.scope import Compiler, ConditionRule, Queries, Scope, ValueRule
from sandbox.sqlserver.tsql.system_functions import variable
from sandbox.sqlserver.tsql.type_rules import type_of

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


class ExpressionCompiler:
    """Compiles the expressions of one scope."""

    def __init__(self, queries: Queries, scope: Scope) -> None:
        self.queries = queries
        self.facts = queries.facts
        self.scope = scope

    def value(self, node: exp.Expr) -> Value:
        if type(node) in CONDITIONS:
            raise syntax(node.sql("tsql")[:40])
        rule = _VALUES.get(type(node))
        if rule is not None:
            return rule(self, node)
        if isinstance(node, exp.Func):
            raise unknown_function(_WRITTEN.get(type(node)) or node.sql_name().upper())
        raise not_emulated(type(node).__name__.upper())

    def predicate(self, node: exp.Expr) -> str:
        rule = _CONDITIONS.get(type(node))
        if rule is None:
            raise SqlServerError(
                4145,
                "An expression of non-boolean type specified in a context where a condition is expected, near "
                f"'{node.sql('tsql')[:40]}'.",
                15,
            )
        return rule(self, node)

    def values(self, nodes: Sequence[exp.Expr]) -> list[Value]:
        return [self.value(node) for node in nodes]


def _column(compiler: Compiler, node: exp.Expr) -> Value:
    if node.args.get("catalog"):
        raise syntax(node.sql("tsql"))
    return compiler.scope.find(node.name, node.text("table"))


def _literal(_: Compiler, node: exp.Expr) -> Value:
    text = node.name
    if node.is_string:
        return text_literal(text, varchar(len(text)))
    if "e" in text.lower():
        return Value(f"CAST({text} AS DOUBLE)", FLOAT, constant=True)
    if "." in text:
        whole, __, fraction = text.partition(".")
        kind = decimal(len(whole.lstrip("0")) + len(fraction) or 1, len(fraction))
        return Value(f"CAST({text} AS {kind.storage})", kind, constant=True)
    if int(text) < 2**31:
        return Value(text, INT, constant=True)
    kind = decimal(len(text), 0)
    return Value(f"CAST({text} AS {kind.storage})", kind, constant=True)


def _national(_: Compiler, node: exp.Expr) -> Value:
    text = node.name
    return text_literal(text, nvarchar(len(text.encode("utf-16-le", "surrogatepass")) // 2))


def _hex(_: Compiler, node: exp.Expr) -> Value:
    text = node.name if len(node.name) % 2 == 0 else "0" + node.name
    return Value(f"unhex('{text}')", varbinary(len(text) // 2), constant=True)


def _parameter(compiler: Compiler, node: exp.Expr) -> Value:
    inner = node.this
    if isinstance(inner, exp.Parameter):
        return variable(compiler, inner.name.upper())
    found = compiler.facts.parameters.get(node.name.lower())
    if found is None:
        raise SqlServerError(137, f'Must declare the scalar variable "@{node.name}".', 15, 2)
    return found


def _cast(compiler: Compiler, node: exp.Cast) -> Value:
    value = compiler.value(node.this)
    if node.to.this == exp.DataType.Type.TEXT and not node.to.expressions:
        return value  # sqlglot's own addition around the arguments of LEFT, RIGHT and LEN
    return convert(value, type_of(node.to), safe=isinstance(node, exp.TryCast))


def _convert(compiler: Compiler, node: exp.Expr) -> Value:
    style = node.args.get("style")
    number = None
    if style is not None:
        if not isinstance(style, exp.Literal) or style.is_string:
            raise not_emulated("CONVERT with a style that is not a literal")
        number = int(style.name)
    value = compiler.value(node.expression)
    return convert(value, type_of(node.this), style=number, safe=bool(node.args.get("safe")))


def _case(compiler: Compiler, node: exp.Expr) -> Value:
    subject = compiler.value(node.this) if node.this is not None else None
    conditions: list[str] = []
    branches: list[Value] = []
    for branch in node.args["ifs"]:
        if subject is None:
            conditions.append(compiler.predicate(branch.this))
        else:
            conditions.append(compare("=", subject, compiler.value(branch.this)))
        branches.append(compiler.value(branch.args["true"]))
    default = node.args.get("default")
    branches.append(compiler.value(default) if default is not None else NULL)
    branches, kind = unified(branches)
    arms = " ".join(f"WHEN {when} THEN {then.sql}" for when, then in zip(conditions, branches, strict=False))
    return Value(f"CASE {arms} ELSE {branches[-1].sql} END", kind)


def _iif(compiler: Compiler, node: exp.Expr) -> Value:
    branches, kind = unified(compiler.values([node.args["true"], node.args["false"]]))
    return Value(f"CASE WHEN {compiler.predicate(node.this)} THEN {branches[0].sql} ELSE {branches[1].sql} END", kind)


def _coalesce(compiler: Compiler, node: exp.Expr) -> Value:
    values = compiler.values([node.this, *node.expressions])
    if node.args.get("is_null"):
        first, second = values
        if first.kind is None:
            return second
        return Value(f"coalesce({first.sql}, {convert(second, first.kind).sql})", first.kind)
    values, kind = unified(values)
    return Value(f"coalesce({', '.join(value.sql for value in values)})", kind)


def _nullif(compiler: Compiler, node: exp.Expr) -> Value:
    left, right = compiler.value(node.this), compiler.value(node.expression)
    return Value(f"CASE WHEN {compare('=', left, right)} THEN NULL ELSE {left.sql} END", left.kind)


def _paren(compiler: Compiler, node: exp.Expr) -> Value:
    value = compiler.value(node.this)
    return replace(value, sql=f"({value.sql})")


def _subquery(compiler: Compiler, node: exp.Expr) -> Value:
    query = compiler.queries.subquery(node, compiler.scope)
    if len(query.columns) != 1:
        raise SqlServerError(
            116,
            "Only one expression can be specified in the select list when the subquery is not introduced with EXISTS.",
        )
    return Value(f"({query.sql})", query.columns[0][1])


def _collate(compiler: Compiler, node: exp.Expr) -> Value:
    value = compiler.value(node.this)
    name = node.expression.name.upper()
    if "_BIN" in name or "_CS_" in name:
        return replace(value, sql=f'({value.sql} COLLATE "C")', text=None)
    if "_CI_" in name or name == "DATABASE_DEFAULT":
        return value
    raise SqlServerError(448, f"Invalid collation '{node.expression.name}'.")


def _anonymous(compiler: Compiler, node: exp.Expr) -> Value:
    name = node.name.upper()
    rule = _NAMED.get(name)
    if rule is None:
        raise unknown_function(node.name)
    return rule(compiler, node)


_VALUES: dict[type[exp.Expr], ValueRule] = {
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
    exp.Subquery: _subquery,
    exp.Collate: _collate,
    exp.Anonymous: _anonymous,
    **arithmetic.VALUES,
    **aggregates.VALUES,
    **text_functions.VALUES,
    **date_functions.VALUES,
    **system_functions.VALUES,
}
_CONDITIONS: dict[type[exp.Expr], ConditionRule] = {
    **CONDITIONS,
    exp.Paren: lambda compiler, node: f"({compiler.predicate(node.this)})",
}
_NAMED: dict[str, ValueRule] = {
    **checksums.NAMED,
    **text_functions.NAMED,
    **date_functions.NAMED,
    **system_functions.NAMED,
}
