"""Rows onto the wire: one encoder compiled per result set turns Arrow batches into ROW tokens.

The work is columnar. Every column becomes one Arrow array of the bytes its values take on the wire, and one join puts
them side by side, so that no Python code runs per value except for the encoding of distinct texts.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from sandbox.sqlserver.arrow_types import arrow_type
from sandbox.sqlserver.errors import SqlServerError
from sandbox.sqlserver.sql_types import APPROXIMATE, BINARY, INTEGER, UNICODE, SqlType
from sandbox.sqlserver.utf16 import to_wire

ROW = b"\xd1"
_MICROSECONDS_PER_DAY = 86_400_000_000
_EPOCH_FROM_1753 = 79_257 * _MICROSECONDS_PER_DAY
_1900_FROM_1753 = 53_690
_EPOCH_FROM_YEAR_1 = 719_162
_TICKS_PER_DAY = 25_920_000
_PLP_NULL = b"\xff" * 8
_PLP_END = b"\x00" * 4
_SHORT_NULL = b"\xff\xff"
_BYTES_PER_STEP = 4 * 1024 * 1024

Piece: TypeAlias = "pa.Array | bytes"
Encoder = Callable[[pa.Array], list[Piece]]


@dataclass(frozen=True)
class EncodedRows:
    """Whole ROW tokens, one after the other; `offsets` are the borders between them."""

    content: pa.Buffer
    offsets: memoryview

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def cut(self, start: int, stop: int) -> memoryview:
        return memoryview(self.content)[self.offsets[start] : self.offsets[stop]]


def _as_binary(array: pa.Array, width: int) -> pa.Array:
    """Return the fixed-width values as their little-endian bytes; NULLs become some bytes or other."""
    values = array.buffers()[1]
    return pa.Array.from_buffers(pa.binary(width), len(array), [None, values], offset=array.offset).cast(pa.binary())


def _with_length(array: pa.Array, content: pa.Array, width: int) -> list[Piece]:
    """Put the one-byte length before each value: width, or 0 for NULL."""
    if not array.null_count:
        return [bytes((width,)), content]
    missing = array.is_null()
    return [
        pc.if_else(missing, pa.scalar(b"\x00"), pa.scalar(bytes((width,)))),
        pc.if_else(missing, pa.scalar(b""), content),
    ]


def _plain(width: int) -> Encoder:
    return lambda array: _with_length(array, _as_binary(array, width), width)


def _bit(array: pa.Array) -> list[Piece]:
    return [pc.if_else(array, pa.scalar(b"\x01\x01"), pa.scalar(b"\x01\x00")).fill_null(b"\x00")]


def _guid(array: pa.Array) -> list[Piece]:
    """Reorder the three leading groups to the little-endian form; DuckDB has them as written."""
    content = array.cast(pa.binary())
    groups = [pc.binary_reverse(pc.binary_slice(content, *edges)) for edges in ((0, 4), (4, 6), (6, 8))]
    joined = pc.binary_join_element_wise(*groups, pc.binary_slice(content, 8, 16), pa.scalar(b""))
    return _with_length(array, joined, 16)


def _micros(array: pa.Array) -> pa.Array:
    return array.cast(pa.int64()).fill_null(0)


def _datetime(array: pa.Array) -> list[Piece]:
    """Days since 1900 and ticks of 1/300 s, as one 64-bit number: ticks above, days below."""
    since_1753 = pc.add(_micros(array), _EPOCH_FROM_1753)
    ticks = pc.divide(pc.add(pc.multiply(since_1753, 3), 5000), 10000)
    days = pc.divide(ticks, _TICKS_PER_DAY)
    of_day = pc.subtract(ticks, pc.multiply(days, _TICKS_PER_DAY))
    since_1900 = pc.bit_wise_and(pc.subtract(days, _1900_FROM_1753), 0xFFFFFFFF)
    return _with_length(array, _as_binary(pc.add(pc.shift_left(of_day, 32), since_1900), 8), 8)


def _smalldatetime(array: pa.Array) -> list[Piece]:
    minutes = pc.divide(pc.add(pc.add(_micros(array), _EPOCH_FROM_1753), 30_000_000), 60_000_000)
    days = pc.divide(minutes, 1440)
    of_day = pc.subtract(minutes, pc.multiply(days, 1440))
    combined = pc.add(pc.shift_left(of_day, 16), pc.subtract(days, _1900_FROM_1753))
    return _with_length(array, pc.binary_slice(_as_binary(combined, 8), 0, 4), 4)


def _scaled_time(micros: pa.Array, scale: int) -> pa.Array:
    if scale == 7:
        return pc.multiply(micros, 10)
    return pc.divide(micros, 10 ** (6 - scale))


def _datetime2(scale: int, size_bytes: int, *, with_offset: bool = False) -> Encoder:
    def encode(array: pa.Array) -> list[Piece]:
        micros = pc.add(_micros(array), _EPOCH_FROM_YEAR_1 * _MICROSECONDS_PER_DAY)
        days = pc.divide(micros, _MICROSECONDS_PER_DAY)
        time = _scaled_time(pc.subtract(micros, pc.multiply(days, _MICROSECONDS_PER_DAY)), scale)
        stem = size_bytes - 2 if with_offset else size_bytes
        combined = pc.add(pc.shift_left(days, 8 * (stem - 3)), time)
        content = pc.binary_slice(_as_binary(combined, 8), 0, stem)
        if with_offset:
            content = pc.binary_join_element_wise(content, pa.scalar(b"\x00\x00"), pa.scalar(b""))
        return _with_length(array, content, size_bytes)

    return encode


def _time(scale: int, size_bytes: int) -> Encoder:
    def encode(array: pa.Array) -> list[Piece]:
        content = pc.binary_slice(_as_binary(_scaled_time(_micros(array), scale), 8), 0, size_bytes)
        return _with_length(array, content, size_bytes)

    return encode


def _date(array: pa.Array) -> list[Piece]:
    days = pc.add(array.cast(pa.int32()).fill_null(0), pa.scalar(_EPOCH_FROM_YEAR_1, pa.int32()))
    return _with_length(array, pc.binary_slice(_as_binary(days, 4), 0, 3), 3)


def _decimal(kind: SqlType) -> Encoder:
    size = kind.size_bytes
    zero = pa.scalar(0, pa.int32()).cast(pa.decimal128(kind.precision, kind.scale)) if kind.precision > 9 else None

    def encode(array: pa.Array) -> list[Piece]:
        nothing = zero if zero is not None else pa.scalar(0, pa.int32()).cast(pa.decimal128(38, kind.scale))
        sign = pc.if_else(pc.less(array, nothing), pa.scalar(b"\x00"), pa.scalar(b"\x01")).fill_null(b"")
        magnitude = pc.binary_slice(_as_binary(pc.abs(array), 16), 0, size - 1)
        content = pc.binary_join_element_wise(sign, magnitude, pa.scalar(b""))
        return _with_length(array, content, size)

    return encode


def _money(array: pa.Array) -> list[Piece]:
    """Ten-thousandths as a 64-bit number whose upper half comes first."""
    raw = _as_binary(array, 16)
    halves = pc.binary_join_element_wise(pc.binary_slice(raw, 4, 8), pc.binary_slice(raw, 0, 4), pa.scalar(b""))
    return _with_length(array, halves, 8)


def _smallmoney(array: pa.Array) -> list[Piece]:
    return _with_length(array, pc.binary_slice(_as_binary(array, 16), 0, 4), 4)


def _each_distinct(array: pa.Array, encode: Callable[[str | bytes], bytes], missing: bytes) -> list[Piece]:
    """Encode every distinct value once and spread the outcome over the rows."""
    coded = array.dictionary_encode()
    values = pa.array([encode(value) for value in coded.dictionary.to_pylist()], pa.binary())
    spread = values.take(coded.indices)
    return [spread.fill_null(missing) if array.null_count else spread]


def _as_plp(content: bytes) -> bytes:
    if not content:
        return struct.pack("<Q", 0) + _PLP_END
    return struct.pack("<QI", len(content), len(content)) + content + _PLP_END


def _as_short(content: bytes) -> bytes:
    return len(content).to_bytes(2, "little") + content


def _text(kind: SqlType) -> Encoder:
    wrap, missing = (_as_plp, _PLP_NULL) if kind.is_long else (_as_short, _SHORT_NULL)
    pad = kind.length if kind.name in {"char", "nchar"} else 0

    def encode_one(value: str | bytes) -> bytes:
        text = str(value).ljust(pad)
        return wrap(to_wire(text) if kind.name in UNICODE or kind.of_text else text.encode("cp1252", "replace"))

    return lambda array: _each_distinct(array, encode_one, missing)


def _binary(kind: SqlType) -> Encoder:
    wrap, missing = (_as_plp, _PLP_NULL) if kind.is_long else (_as_short, _SHORT_NULL)
    pad = kind.length if kind.name == "binary" else 0

    def encode(array: pa.Array) -> list[Piece]:
        values = [missing if value is None else wrap(value.ljust(pad, b"\x00")) for value in array.to_pylist()]
        return [pa.array(values, pa.binary())]

    return encode


def _encoder(kind: SqlType) -> Encoder:
    if kind.is_text or kind.of_text:
        return _text(kind)
    if kind.name in BINARY:
        return _binary(kind)
    if kind.name in {"decimal", "numeric"}:
        return _decimal(kind)
    if kind.name in INTEGER | APPROXIMATE:
        return _plain(kind.size_bytes)
    if kind.name in {"datetime2", "datetimeoffset"}:
        return _datetime2(kind.scale, kind.size_bytes, with_offset=kind.name == "datetimeoffset")
    if kind.name == "time":
        return _time(kind.scale, kind.size_bytes)
    return {
        "bit": _bit,
        "uniqueidentifier": _guid,
        "datetime": _datetime,
        "smalldatetime": _smalldatetime,
        "date": _date,
        "money": _money,
        "smallmoney": _smallmoney,
    }[kind.name]


def _fit(array: pa.Array, kind: SqlType) -> pa.Array:
    """Bring what DuckDB returned to the type the encoder expects; a value that does not fit is error 8115."""
    wanted = arrow_type(kind)
    if isinstance(array.type, pa.ExtensionType) or isinstance(array, pa.ExtensionArray):
        array = array.storage
    if array.type == wanted:
        return array
    if pa.types.is_int8(array.type) and kind.name == "bit":  # arrow.bool8
        return pc.not_equal(array, pa.scalar(0, pa.int8()))
    try:
        return array.cast(wanted)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as exc:
        raise SqlServerError(
            8115, f"Arithmetic overflow error converting expression to data type {kind.name}.", state=2
        ) from exc


class RowEncoder:
    """Compiled for one list of column types; `encode` may be called for any number of batches."""

    def __init__(self, kinds: Sequence[SqlType]) -> None:
        self._kinds = tuple(kinds)
        self._encoders = tuple(_encoder(kind) for kind in kinds)

    def encode(self, batch: pa.RecordBatch) -> Iterator[EncodedRows]:
        """Yield the rows of the batch in steps of a few megabytes, so that large values do not pile up."""
        size = batch.nbytes
        step = len(batch) if size <= _BYTES_PER_STEP else max(1, len(batch) * _BYTES_PER_STEP // size)
        for start in range(0, len(batch), step):
            yield self._encode(batch.slice(start, step))

    def _encode(self, batch: pa.RecordBatch) -> EncodedRows:
        pieces: list[Piece] = [ROW]
        for index, (kind, encode) in enumerate(zip(self._kinds, self._encoders, strict=True)):
            for piece in encode(_fit(batch.column(index), kind)):
                if isinstance(piece, bytes) and isinstance(pieces[-1], bytes):
                    pieces[-1] += piece
                else:
                    pieces.append(piece)
        arguments = [pa.scalar(piece, pa.binary()) if isinstance(piece, bytes) else piece for piece in pieces]
        joined = pc.binary_join_element_wise(*arguments, pa.scalar(b"", pa.binary()))
        _, offsets, content = joined.buffers()
        return EncodedRows(content, memoryview(offsets).cast("i")[: len(joined) + 1])
