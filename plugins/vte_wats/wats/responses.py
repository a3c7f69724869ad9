"""Answers of WATS: of bounded size, also those that arrive compressed, and what it says of a posted report."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any, Self, cast
from uuid import UUID

import httpx
from pydantic import BaseModel, ConfigDict, Field

MOST_ANSWER_BYTES = 64 * 2**20
"""The largest answer that is read: the largest report IIS takes, with room, or a listing of many headers."""

ENCODING = "gzip"
"""The only encoding that is asked for and understood."""

_GZIP = zlib.MAX_WBITS | 16  # with the header and the checksum of gzip
_PART_BYTES = 2**18


class AnswerTooLargeError(httpx.TransportError):
    """An answer is larger than what is read."""


async def bound(response: httpx.Response) -> None:
    """Let an answer end with an error where it grows too large; an event hook, so it comes before anything is read.

    It is decompressed here, part by part, so that a small answer cannot become a huge one in memory.
    """
    encoding = response.headers.pop("Content-Encoding", "identity").strip().lower()
    if encoding not in {"identity", ENCODING}:
        raise httpx.DecodingError(f"an answer in the encoding {encoding[:40]!r}, which was not asked for")
    response.stream = _BoundedStream(cast("httpx.AsyncByteStream", response.stream), is_gzip=encoding == ENCODING)


class _BoundedStream(httpx.AsyncByteStream):
    def __init__(self, sent: httpx.AsyncByteStream, *, is_gzip: bool) -> None:
        self._sent = sent
        self._is_gzip = is_gzip

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size_bytes = 0
        async for part in _inflated(self._sent) if self._is_gzip else self._sent:
            size_bytes += len(part)
            if size_bytes > MOST_ANSWER_BYTES:
                raise AnswerTooLargeError(f"more than {MOST_ANSWER_BYTES:,} bytes")
            yield part

    async def aclose(self) -> None:
        await self._sent.aclose()


async def _inflated(sent: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """Yield what a gzip stream holds in parts of bounded size; none is made before it is asked for."""
    decoder = zlib.decompressobj(_GZIP)
    try:
        async for packed in sent:
            while packed and not decoder.eof:
                yield decoder.decompress(packed, _PART_BYTES)
                packed = decoder.unconsumed_tail  # noqa: PLW2901 -- what is left of it
    except zlib.error as exc:
        raise httpx.DecodingError(str(exc)) from exc
    if not decoder.eof:
        raise httpx.DecodingError("the compressed answer is cut off")


class InsertResult(BaseModel):
    """The id of the report as it was posted, and the id WATS keeps it under: a server that renames changes ``uuid``."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    source_id: UUID = Field(validation_alias="ID")
    uuid: UUID | None = None

    @property
    def stored_id(self) -> UUID:
        """The id WATS keeps the report under."""
        return self.source_id if self.uuid is None else self.uuid

    @classmethod
    def read(cls, answer: Any) -> Self:
        """Read parsed JSON: the object of the API description, or an array with that one object, as servers send it.

        Raises ValueError for anything else; the report may be stored all the same.
        """
        if isinstance(answer, list) and len(answer) == 1:
            (answer,) = answer
        return cls.model_validate(answer)
