"""What runs were mapped to, in staging. Apart from the mapping: loading pyWATS takes longer than most tasks work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from uuid import UUID

from pydantic import TypeAdapter

from vte_wats.domain.report import NaturalKey, Refusal, Report
from vte_wats.storage.staging import Staging

REPORTS = "reports"


@dataclass(frozen=True, slots=True)
class _Header:
    """The first of a report's two lines; the second is the document, exactly as it will be posted."""

    report_id: UUID
    source_hash: str
    natural_key: NaturalKey
    result: str


_LINE: TypeAdapter[_Header | Refusal] = TypeAdapter(_Header | Refusal)


def stage_mapped(staging: Staging, mapped_runs: Iterable[Report | Refusal], name: str = REPORTS) -> None:
    """Stage what runs were mapped to: a line per refusal, two per report."""

    def lines() -> Iterator[bytes]:
        for mapped in mapped_runs:
            if isinstance(mapped, Report):
                header = _Header(mapped.report_id, mapped.source_hash, mapped.natural_key, mapped.result)
                yield _LINE.dump_json(header)
                yield mapped.document
            else:
                yield _LINE.dump_json(mapped)

    staging.write(name, lines())


def staged_mappings(staging: Staging, name: str = REPORTS) -> Iterator[Report | Refusal]:
    """Yield what :func:`stage_mapped` staged."""
    lines = staging.lines(name)
    for line in lines:
        try:
            staged = _LINE.validate_json(line)
        except ValueError as exc:
            raise staging.damaged(name, "the line before a report", exc) from None  # its text repeats the run
        if isinstance(staged, Refusal):
            yield staged
            continue
        yield Report(
            staged.report_id, staged.source_hash, staged.natural_key, staged.result, _body(staging, name, staged, lines)
        )


def _body(staging: Staging, name: str, header: _Header, lines: Iterator[bytes]) -> bytes:
    """Return the document of a report; it may be large, so it is held by who gets it alone."""
    body = next(lines, b"")
    if not (body.startswith(b"{") and body.endswith(b"}")):
        raise staging.damaged(name, f"the report of run {header.report_id}", ValueError())
    return body
