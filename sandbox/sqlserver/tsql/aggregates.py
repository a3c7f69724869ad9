"""Aggregates, window functions, and the order of rows."""

from __future__ import annotations

from sqlglot import exp

from sandbox.sqlserver.errors import SqlServerError, not_emulated
from sandbox.sqlserver.sql_types import APPROXIMATE, BIGINT, BIT, FLOAT, GUID, INT, INTEGER, NUMBER, decimal
from sandbox.sqlserver.tsql.conditions import compared, ordered
from sandbox.sqlserver.tsql.conversions import Value
from sandbox.sqlserver.tsql.scope import Compiler, ValueRule

_AGGREGATES = (exp.Count, exp.Sum, exp.Avg, exp.Min, exp.Max, exp.Stddev, exp.Variance)


def _count(compiler: Compiler, node: exp.Expr) -> Value:
    kind = BIGINT if node.args.get("big_int") else INT
    if isinstance(node.this, exp.Star):
        return Value("count(*)", kind)
    if isinstance(node.this, exp.Distinct):
        return Value(f"count(DISTINCT {compared(compiler.value(node.this.expressions[0]))})", kind)
    return Value(f"count({compiler.value(node.this).sql})", kind)


def _aggregate(compiler: Compiler, node: exp.Expr) -> Value:
    names: dict[type[exp.Expr], str] = {exp.Sum: "sum", exp.Avg: "avg", exp.Min: "min", exp.Max: "max"}
    name = names.get(type(node), "stddev_samp")
    if isinstance(node, exp.Variance):
        name = "var_samp"
    inner, distinct = node.this, ""
    if isinstance(inner, exp.Distinct):
        inner, distinct = inner.expressions[0], "DISTINCT "
    value = compiler.value(inner)
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


def _window(compiler: Compiler, node: exp.Expr) -> Value:
    if node.args.get("spec") is not None:
        raise not_emulated("ROWS or RANGE in OVER")
    function = node.this
    if isinstance(function, (exp.RowNumber, exp.Rank, exp.DenseRank)):
        value = Value(f"{function.sql_name().lower()}()", BIGINT)
    elif isinstance(function, (exp.Lag, exp.Lead)) and not function.args.get("default"):
        inner = compiler.value(function.this)
        offset = function.args.get("offset")
        step = compiler.value(offset).sql if offset is not None else "1"
        value = Value(f"{function.sql_name().lower()}({inner.sql}, {step})", inner.kind)
    elif isinstance(function, _AGGREGATES):
        value = compiler.value(function)
        if value.sql.startswith("CAST("):
            raise not_emulated("SUM or AVG of exact numbers with OVER")
    else:
        raise not_emulated(f"{function.sql_name()} with OVER")
    parts: list[str] = []
    if node.args.get("partition_by"):
        parts.append(
            "PARTITION BY "
            + ", ".join(compared(compiler.value(expression)) for expression in node.args["partition_by"])
        )
    if node.args.get("order") is not None:
        parts.append("ORDER BY " + ", ".join(sort_keys(compiler, node.args["order"])))
    return Value(f"{value.sql} OVER ({' '.join(parts)})", value.kind)


def sort_keys(compiler: Compiler, order: exp.Expr) -> list[str]:
    return [sort_key(compiler.value(term.this), descending=bool(term.args.get("desc"))) for term in order.expressions]


def sort_key(value: Value, *, descending: bool) -> str:
    """Return the ORDER BY item; NULL comes before everything."""
    return f"{ordered(value)} {'DESC NULLS LAST' if descending else 'ASC NULLS FIRST'}"


VALUES: dict[type[exp.Expr], ValueRule] = {
    exp.Count: _count,
    exp.Sum: _aggregate,
    exp.Avg: _aggregate,
    exp.Min: _aggregate,
    exp.Max: _aggregate,
    exp.Stddev: _aggregate,
    exp.Variance: _aggregate,
    exp.Window: _window,
}
