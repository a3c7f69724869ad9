"""A small report as a station would send it, to try the server with."""

from typing import Any
from uuid import UUID

START = "2026-03-02T08:00:00+01:00"


def example_report(number: int = 1, *, steps: int = 3, **changes: Any) -> dict[str, Any]:
    """Return test report `number`: equal numbers give equal reports, different ones share no key.

    `changes` replace top-level fields; the value `...` removes one.
    """
    report: dict[str, Any] = {
        "type": "T",
        "id": str(UUID(int=0xA0000000 << 96 | number)),
        "pn": "PSU-24-10",
        "sn": f"SN{number:06d}",
        "rev": "B",
        "processCode": 100,
        "result": "P",
        "machineName": "Station 3",
        "location": "Hall 2",
        "purpose": "Production",
        "start": START,
        "uut": {"user": "op-17", "execTime": 42.5, "batchSN": "B-0815", "comment": "first shift", "errorCode": 0},
        "miscInfos": [
            {"description": "source", "text": "VTE"},
            {"description": "source_id", "text": f"VTE:{number}"},
            {"description": "source_hash", "text": f"hash-{number}"},
        ],
        "root": {
            "id": 0,
            "group": "M",
            "stepType": "SequenceCall",
            "name": "MainSequence Callback",
            "status": "P",
            "seqCall": {"path": "psu.seq", "name": "Power supply final", "version": "1.4.0"},
            "steps": [
                {
                    "id": index + 1,
                    "group": "M",
                    "stepType": "ET_NLT",
                    "name": f"Output voltage {index + 1}",
                    "status": "P",
                    "totTime": 0.25,
                    "numericMeas": [
                        {
                            "compOp": "GELE",
                            "status": "P",
                            "unit": "V",
                            "value": 24.0 + index / 100,
                            "lowLimit": 23.5,
                            "highLimit": 24.5,
                        }
                    ],
                }
                for index in range(steps)
            ],
        },
    }
    report.update(changes)
    return {field: value for field, value in report.items() if value is not ...}
