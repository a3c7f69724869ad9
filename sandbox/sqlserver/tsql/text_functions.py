"""Functions of texts."""

from __future__ import annotations

from sqlglot import exp

from sandbox.sqlserver.errors import not_emulated, unknown_function
from sandbox.sqlserver.sql_types import BIGINT, BINARY, INT, MAX, nvarchar, varchar
from sandbox.sqlserver.tsql.conversions import Value, convert, quote, text_literal
from sandbox.sqlserver.tsql.scope import Compiler, ValueRule


def text_argument(compiler: Compiler, node: exp.Expr) -> Value:
    value = compiler.value(node)
    if value.kind is None or value.kind.is_text:
        return value
    return convert(value, varchar(30))


def _text_result(value: Value, sql: str) -> Value:
    kind = value.kind or varchar(1)
    variable = nvarchar if kind.name in {"nvarchar", "nchar"} else varchar
    return Value(sql, variable(kind.length))


def _upper(compiler: Compiler, node: exp.Expr) -> Value:
    value = text_argument(compiler, node.this)
    return _text_result(value, f"{'upper' if isinstance(node, exp.Upper) else 'lower'}({value.sql})")


def _trim(compiler: Compiler, node: exp.Expr) -> Value:
    value = text_argument(compiler, node.this)
    side = {"LEADING": "ltrim", "TRAILING": "rtrim"}.get(str(node.args.get("position") or "").upper())
    if side is None or node.expression is not None:
        raise unknown_function("TRIM")
    return _text_result(value, f"{side}({value.sql}, ' ')")


def _length(compiler: Compiler, node: exp.Expr) -> Value:
    value = text_argument(compiler, node.this)
    return Value(f"CAST(length(rtrim({value.sql}, ' ')) AS INTEGER)", INT)


def _substring(compiler: Compiler, node: exp.Expr) -> Value:
    value = compiler.value(node.this)
    start, length = compiler.value(node.args["start"]), compiler.value(node.args["length"])
    if value.kind is not None and value.kind.name in BINARY:
        raise not_emulated("SUBSTRING of varbinary")
    value = text_argument(compiler, node.this)
    return _text_result(
        value,
        f"substr({value.sql}, greatest({start.sql}, 1), greatest({length.sql} + least({start.sql} - 1, 0), 0))",
    )


def _side(compiler: Compiler, node: exp.Expr) -> Value:
    value = text_argument(compiler, node.this)
    name = "left" if isinstance(node, exp.Left) else "right"
    return _text_result(value, f"{name}({value.sql}, {compiler.value(node.expression).sql})")


def _replace(compiler: Compiler, node: exp.Expr) -> Value:
    value, old, new = (text_argument(compiler, part) for part in (node.this, node.expression, node.args["replacement"]))
    if old.text is None:
        raise not_emulated("REPLACE of a text that is not a literal")
    kind = (nvarchar if (value.kind or INT).name in {"nvarchar", "nchar"} else varchar)(4000)
    pattern = quote("".join("\\" + character if not character.isalnum() else character for character in old.text))
    return Value(f"regexp_replace({value.sql}, {pattern}, replace({new.sql}, '\\', '\\\\'), 'gi')", kind)


def _char_index(compiler: Compiler, node: exp.Expr) -> Value:
    if node.args.get("position") is not None:
        raise not_emulated("CHARINDEX with a start")
    text, found = text_argument(compiler, node.this), text_argument(compiler, node.args["substr"])
    return Value(f"CAST(instr(lower({text.sql}), lower({found.sql})) AS INTEGER)", INT)


def _concat(compiler: Compiler, node: exp.Expr) -> Value:
    values = [text_argument(compiler, part) for part in node.expressions]
    wide = any(value.kind is not None and value.kind.name in {"nvarchar", "nchar"} for value in values)
    total = sum(4001 if value.kind and value.kind.length == MAX else value.kind.length if value.kind else 0
                for value in values)  # fmt: skip
    joined = " || ".join(f"coalesce({value.sql}, '')" for value in values)
    return Value(f"({joined})", (nvarchar if wide else varchar)(total))


def _repeat(compiler: Compiler, node: exp.Expr) -> Value:
    value, times = text_argument(compiler, node.this), compiler.value(node.args["times"])
    long = value.kind is not None and value.kind.length == MAX
    sql = f"repeat({value.sql}, CAST({times.sql} AS BIGINT))"
    wide = value.kind is not None and value.kind.name in {"nvarchar", "nchar"}
    limit = 4000 if wide else 8000
    kind = (nvarchar if wide else varchar)(MAX if long else limit)
    return Value(sql if long else f"left({sql}, {limit})", kind)


def _data_length(compiler: Compiler, node: exp.Expr) -> Value:
    value = compiler.value(node.expressions[0])
    kind = value.kind
    if kind is None:
        return Value("NULL", INT)
    long = kind.length == MAX
    if kind.name in BINARY:
        sql = f"octet_length({value.sql})"
    elif kind.name in {"nvarchar", "nchar"}:
        beyond = f"regexp_replace({value.sql}, '[^\\x{{10000}}-\\x{{10D7FF}}\\x{{10E000}}-\\x{{10FFFF}}]', '', 'g')"
        wide = f"2 * (length({value.sql}) + length({beyond}))"
        sql = f"CASE WHEN strlen({value.sql}) = length({value.sql}) THEN 2 * length({value.sql}) ELSE {wide} END"
    elif kind.is_text:
        sql = f"length({value.sql})"
    else:
        sql = f"CASE WHEN {value.sql} IS NULL THEN NULL ELSE {kind.size_bytes} END"
    return Value(f"CAST({sql} AS {'BIGINT' if long else 'INTEGER'})", BIGINT if long else INT)


def _character(_: Compiler, node: exp.Expr) -> Value:
    unit = node.expressions[0]
    if not isinstance(unit, exp.HexString):
        raise not_emulated("NCHAR of what is not a hexadecimal number")
    return text_literal(chr(int(unit.name, 16)), nvarchar(1))


def _checked_number(compiler: Compiler, node: exp.Expr) -> Value:
    value = text_argument(compiler, node.expressions[0])
    return Value(f"CASE WHEN TRY_CAST({value.sql} AS DOUBLE) IS NULL THEN 0 ELSE 1 END", INT)


VALUES: dict[type[exp.Expr], ValueRule] = {
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
}
NAMED: dict[str, ValueRule] = {"DATALENGTH": _data_length, "NCHAR": _character, "ISNUMERIC": _checked_number}
