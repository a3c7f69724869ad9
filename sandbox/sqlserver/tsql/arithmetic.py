"""Operators and functions of numbers, and what + does to texts."""

from __future__ import annotations

from sqlglot import exp

from sandbox.sqlserver.errors import SqlServerError, not_emulated, operand_clash
from sandbox.sqlserver.sql_types import (
    APPROXIMATE,
    EXACT,
    FLOAT,
    INT,
    INTEGER,
    MAX,
    NUMBER,
    REAL,
    TEMPORAL,
    SqlType,
    decimal,
    nvarchar,
    varchar,
)
from sandbox.sqlserver.tsql.conversions import Value, convert
from sandbox.sqlserver.tsql.scope import Compiler, ValueRule
from sandbox.sqlserver.tsql.type_rules import digits, unify


def _arithmetic(compiler: Compiler, node: exp.Expr) -> Value:
    names: dict[type[exp.Expr], str] = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/", exp.Mod: "%"}
    operator = names[type(node)]
    left, right = compiler.value(node.this), compiler.value(node.expression)
    if left.kind is None or right.kind is None:
        return Value("NULL", left.kind or right.kind or INT)
    if operator == "+" and left.kind.is_text and right.kind.is_text:
        return _joined(left, right)
    if left.kind.name in TEMPORAL or right.kind.name in TEMPORAL:
        raise not_emulated(f"{left.kind.name} {operator} {right.kind.name}")
    left, right = _numbers(left, right)
    assert left.kind
    assert right.kind
    kind = _arithmetic_type(operator, left.kind, right.kind)
    if operator == "/" and kind.name in INTEGER:
        sql = f"({left.sql} // {right.sql})"
    elif kind.name in APPROXIMATE:
        sql = f"(CAST({left.sql} AS {kind.storage}) {operator} CAST({right.sql} AS {kind.storage}))"
    else:
        sql = f"CAST({left.sql} {operator} {right.sql} AS {kind.storage})"
    return Value(sql, kind)


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


def _joined(left: Value, right: Value) -> Value:
    assert left.kind
    assert right.kind
    kind = unify(left.kind, right.kind)
    length = MAX if MAX in {left.kind.length, right.kind.length} else left.kind.length + right.kind.length
    kind = (nvarchar if kind.name in {"nvarchar", "nchar"} else varchar)(length)
    return Value(f"({left.sql} || {right.sql})", kind)


def _bitwise(compiler: Compiler, node: exp.Expr) -> Value:
    operator = "&" if isinstance(node, exp.BitwiseAnd) else "|"
    left, right = compiler.value(node.this), compiler.value(node.expression)
    for value in (left, right):
        if value.kind is None or value.kind.name not in INTEGER:
            raise not_emulated(operator)
    assert left.kind
    assert right.kind
    return Value(f"({left.sql} {operator} {right.sql})", unify(left.kind, right.kind))


def _negated(compiler: Compiler, node: exp.Expr) -> Value:
    value = compiler.value(node.this)
    if value.kind is not None and value.kind.name not in NUMBER:
        raise SqlServerError(8117, f"Operand data type {value.kind.name} is invalid for minus operator.")
    return Value(f"(-{value.sql})", value.kind, constant=value.constant)


def _number_function(compiler: Compiler, node: exp.Expr) -> Value:
    value = compiler.value(node.this)
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
        return Value(f"CAST(pow({value.sql}, {compiler.value(node.expression).sql}) AS {kind.storage})", kind)
    if isinstance(node, exp.Round):
        if node.args.get("truncate") is not None:
            raise not_emulated("ROUND with three arguments")
        places = compiler.value(node.args["decimals"]).sql if node.args.get("decimals") is not None else "0"
        return Value(f"CAST(round({value.sql}, {places}) AS {kind.storage})", kind)
    names: dict[type[exp.Expr], str] = {exp.Abs: "abs", exp.Floor: "floor", exp.Ceil: "ceil", exp.Sign: "sign"}
    name = names[type(node)]
    if kind.name in EXACT and name in {"floor", "ceil"}:
        kind = decimal(kind.precision, 0)
    return Value(f"CAST({name}({value.sql}) AS {kind.storage})", kind)


VALUES: dict[type[exp.Expr], ValueRule] = {
    exp.Add: _arithmetic,
    exp.Sub: _arithmetic,
    exp.Mul: _arithmetic,
    exp.Div: _arithmetic,
    exp.Mod: _arithmetic,
    exp.Neg: _negated,
    exp.BitwiseAnd: _bitwise,
    exp.BitwiseOr: _bitwise,
    exp.Abs: _number_function,
    exp.Round: _number_function,
    exp.Floor: _number_function,
    exp.Ceil: _number_function,
    exp.Sign: _number_function,
    exp.Sqrt: _number_function,
    exp.Pow: _number_function,
}
