"""Conditions: comparisons, IN, BETWEEN, LIKE, EXISTS and what joins them."""

from __future__ import annotations

from sqlglot import exp

from sandbox.sqlserver.errors import SqlServerError, not_emulated, syntax
from sandbox.sqlserver.sql_types import BINARY, FLOAT, GUID, MAX, NUMBER, REAL, nvarchar
from sandbox.sqlserver.tsql.conversions import Value, convert, quote
from sandbox.sqlserver.tsql.scope import Compiler, ConditionRule
from sandbox.sqlserver.tsql.type_rules import unify


def ordered(value: Value) -> str:
    """Return what to sort or compare by: a uniqueidentifier has an order of its own."""
    if value.kind == GUID:
        return f"tsql_guid_key({value.sql})"
    return value.sql


def compared(value: Value) -> str:
    """Return the expression as the side of a comparison: text loses its trailing blanks."""
    if value.text is not None and value.kind is not None and value.kind.is_text:
        return quote(value.text.rstrip(" ")) if "\x00" not in value.text else value.sql
    if value.kind is not None and value.kind.is_text:
        return f"rtrim({value.sql}, ' ')"
    return value.sql


def compare(operator: str, left: Value, right: Value) -> str:
    left, right = meet(left, right)
    if operator not in {"=", "<>"} and left.kind == GUID:
        return f"({ordered(left)} {operator} {ordered(right)})"
    return f"({compared(left)} {operator} {compared(right)})"


def meet(left: Value, right: Value) -> tuple[Value, Value]:
    """Bring both sides of a comparison to one type, as data type precedence says."""
    if left.kind is None or right.kind is None or left.kind == right.kind:
        return left, right
    if left.kind.name in NUMBER and right.kind.name in NUMBER and "bit" not in {left.kind.name, right.kind.name}:
        return _with_real(left, right)
    if left.kind.is_text and right.kind.is_text:
        return left, right
    if left.kind.name in BINARY and right.kind.name in BINARY:
        return left, right
    if {left.kind.name, right.kind.name} <= {"datetime", "datetime2", "smalldatetime"}:
        return left, right
    kind = unify(left.kind, right.kind)
    return convert(left, kind), convert(right, kind)


def _with_real(left: Value, right: Value) -> tuple[Value, Value]:
    """Keep a real column against a decimal literal a comparison of reals, as SQL Server does."""
    assert left.kind
    assert right.kind
    if REAL in {left.kind, right.kind} and FLOAT not in {left.kind, right.kind}:
        return convert(left, REAL), convert(right, REAL)
    return left, right


def _and(compiler: Compiler, node: exp.Expr) -> str:
    # flatten() keeps a condition of thousands of terms from recursing.
    return "(" + " AND ".join(compiler.predicate(part) for part in node.flatten(unnest=False)) + ")"


def _or(compiler: Compiler, node: exp.Expr) -> str:
    return "(" + " OR ".join(compiler.predicate(part) for part in node.flatten(unnest=False)) + ")"


def _is(compiler: Compiler, node: exp.Expr) -> str:
    if not isinstance(node.expression, exp.Null):
        raise syntax(node.expression.sql("tsql"))
    return f"({compiler.value(node.this).sql} IS NULL)"


def _in(compiler: Compiler, node: exp.Expr) -> str:
    left = compiler.value(node.this)
    if node.args.get("query") is not None:
        query = compiler.queries.subquery(node.args["query"], compiler.scope)
        if len(query.columns) != 1:
            raise SqlServerError(
                116,
                "Only one expression can be specified in the select list when the subquery is not introduced with "
                "EXISTS.",
            )
        inner = Value('"in_query"."c"', query.columns[0][1])
        left, inner = meet(left, inner)
        return f'({compared(left)} IN (SELECT {compared(inner)} FROM ({query.sql}) AS "in_query"("c")))'
    terms: list[str] = []
    for member in node.expressions:
        here, right = meet(left, compiler.value(member))
        if here.sql != left.sql:
            return "(" + " OR ".join(compare("=", left, compiler.value(term)) for term in node.expressions) + ")"
        terms.append(compared(right))
    return f"({compared(left)} IN ({', '.join(terms)}))"


def _between(compiler: Compiler, node: exp.Expr) -> str:
    value = compiler.value(node.this)
    low = compare(">=", value, compiler.value(node.args["low"]))
    return f"({low} AND {compare('<=', value, compiler.value(node.args['high']))})"


def _like(compiler: Compiler, node: exp.Expr, escape: str | None = None) -> str:
    value, pattern = compiler.value(node.this), compiler.value(node.expression)
    if value.kind is not None and not value.kind.is_text:
        value = convert(value, nvarchar(MAX))
    if pattern.text is None and pattern.kind is not None:
        raise not_emulated("LIKE with a pattern that is not a literal")
    if pattern.text is None:
        return "(NULL)"
    return f"regexp_full_match({value.sql}, {quote(like_to_regex(pattern.text, escape))}, 'is')"


def _escape(compiler: Compiler, node: exp.Expr) -> str:
    if not isinstance(node.this, exp.Like):
        raise not_emulated("ESCAPE")
    return _like(compiler, node.this, node.expression.name)


def _exists(compiler: Compiler, node: exp.Expr) -> str:
    return f"EXISTS ({compiler.queries.subquery(node.this, compiler.scope).sql})"


def like_to_regex(pattern: str, escape: str | None) -> str:
    """Return the regular expression of a LIKE pattern: % _ [set] [^set], and the escape character if there is one."""
    parts: list[str] = []
    index = 0
    while index < len(pattern):
        character = pattern[index]
        if escape and character == escape and index + 1 < len(pattern):
            index += 1
            parts.append(_literally(pattern[index]))
        elif character == "%":
            parts.append(".*")
        elif character == "_":
            parts.append(".")
        elif character == "[" and "]" in pattern[index + 1 :]:
            end = pattern.index("]", index + 1)
            content = pattern[index + 1 : end]
            negated = content.startswith("^")
            members = content[1:] if negated else content
            inside = "".join("-" if member == "-" else _literally(member) for member in members)
            parts.append(f"[{'^' if negated else ''}{inside}]" if inside else "[^\\s\\S]")
            index = end
        else:
            parts.append(_literally(character))
        index += 1
    return "".join(parts)


def _literally(character: str) -> str:
    return character if character.isalnum() or ord(character) > 127 else f"\\x{ord(character):02x}"


def _compared_by(operator: str) -> ConditionRule:
    return lambda compiler, node: compare(operator, compiler.value(node.this), compiler.value(node.expression))


CONDITIONS: dict[type[exp.Expr], ConditionRule] = {
    exp.EQ: _compared_by("="),
    exp.NEQ: _compared_by("<>"),
    exp.LT: _compared_by("<"),
    exp.LTE: _compared_by("<="),
    exp.GT: _compared_by(">"),
    exp.GTE: _compared_by(">="),
    exp.And: _and,
    exp.Or: _or,
    exp.Not: lambda compiler, node: f"(NOT {compiler.predicate(node.this)})",
    exp.Is: _is,
    exp.In: _in,
    exp.Between: _between,
    exp.Like: _like,
    exp.Escape: _escape,
    exp.Exists: _exists,
}
