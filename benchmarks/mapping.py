"""Table 2: from a run to the bytes of its report, against building and dumping the pyWATS models alone."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from benchmarks import emulated_servers
from benchmarks.measure import Goal, Worker, best_of, timed

TITLE = "Mapping and serialising"


@dataclass(frozen=True, slots=True)
class Size:
    """Runs of how many steps; how many of them, and how often."""

    runs_by_steps: tuple[tuple[int, int], ...] = ((10, 600), (50, 300), (300, 60))
    rounds: int = 15


FULL = Size()
TINY = Size(runs_by_steps=((3, 4),), rounds=1)


def measure(size: Size = FULL) -> dict[str, Any]:
    """Return the seconds of each contender per length of a run."""
    lengths = []
    for steps, runs in size.runs_by_steps:
        with Worker() as servers, Worker() as mapper:
            environment = servers.call(emulated_servers.start, runs, steps)
            mapper.call(prepare, environment, runs)
            contenders = {
                "ours": partial(mapper.call, ours),
                "pywats": partial(mapper.call, pywats_calls),
                "models": partial(mapper.call, pywats_models),
            }
            lengths.append({"steps": steps, "runs": runs, "seconds": best_of(size.rounds, contenders)})
    return {"rounds": size.rounds, "lengths": lengths}


def goals(result: dict[str, Any]) -> list[Goal]:
    """Return what was aimed at, for each length of a run."""
    return [
        Goal(
            f"mapping against pyWATS alone, {length['steps']} steps",
            "at most 1.15",
            length["seconds"]["ours"] / length["seconds"]["pywats"],
            1.15,
            at_most=True,
        )
        for length in result["lengths"]
    ]


def page(result: dict[str, Any]) -> list[str]:
    """Return the table and what its lines are."""
    names = {
        "ours": "this package: run → bytes",
        "pywats": "pyWATS alone: `add_…_step`, dump",
        "models": "pyWATS alone: constructors, dump",
    }
    rows = []
    for length in result["lengths"]:
        seconds = length["seconds"]
        rows += [
            f"| {length['steps']} | {label} | **{seconds['ours'] / seconds[name]:.2f}** | "
            f"{seconds[name] / length['runs'] * 1e3:.3f} | {length['runs'] / seconds[name]:,.0f} |"
            for name, label in names.items()
        ]
    return [
        (
            "pyWATS alone builds the very documents that the mapping makes, compared value by value, from values "
            "that lie ready: names cut, limits judged, verdicts known. The mapping has the run and its staged line. "
            "pyWATS is used once with the calls its documentation shows, once with the constructors that these calls "
            "use. The constructors skip the sequence object and the "
            "circular references of parent and step that the garbage collector must find; the mapping uses them. "
            f"Best of {result['rounds']}."
        ),
        "",
        "| steps | contender | ours ÷ this | ms per run | runs/s |",
        "|---:|---|---:|---:|---:|",
        *rows,
    ]


# ---------------------------------------------------------------------- what runs in the mapper's process
_COMMON = {"name": "name", "status": "status", "report_text": "reportText", "id": "id"}
_prepared: dict[str, Any] = {}


def prepare(environment: dict[str, str], runs: int) -> None:
    """Read the runs, map them once, and take the documents apart into values for the others."""
    from datetime import timedelta

    from vte_wats.config.settings import Settings
    from vte_wats.intervals.wall_clock import LocalRange
    from vte_wats.mapping.report_builder import map_run
    from vte_wats.vte.reader import VteSource

    os.environ |= environment
    settings = Settings.model_validate_json(environment["AIRFLOW_VAR_VTE_WATS"])
    begin = emulated_servers.START.replace(tzinfo=None)
    with VteSource(settings) as source:
        read = list(source.runs_between([LocalRange(begin, begin + timedelta(seconds=runs))]))
    bodies = [map_run(run, settings).body for run in read]
    values = [_values(body) for body in bodies]
    for document, body in zip(values, bodies, strict=True):
        for text in (_by_calls(document), _by_models(document)):
            if json.loads(text) != _unmarked(body):
                raise AssertionError(f"pyWATS alone builds another document: {text[:500]}")
    _prepared.update(settings=settings, runs=[(run, run.as_json()) for run in read], values=values)


def ours() -> float:
    """Map every run."""
    from vte_wats.domain.run import run_hash
    from vte_wats.mapping.report_builder import map_run

    settings = _prepared["settings"]
    runs = _prepared["runs"]
    return timed(lambda: [map_run(run, settings, None, run_hash(run, text)).document for run, text in runs] and None)


def pywats_calls() -> float:
    """Build and dump every report by the documented calls."""
    return timed(lambda: [_by_calls(values).encode() for values in _prepared["values"]] and None)


def pywats_models() -> float:
    """Build and dump every report by constructors."""
    return timed(lambda: [_by_models(values).encode() for values in _prepared["values"]] and None)


def _unmarked(body: str) -> dict[str, Any]:
    """Return a document without the hashes that the mapping puts in after the dump."""
    document: dict[str, Any] = json.loads(body)
    del document["startUTC"]  # pyWATS works it out, too, and does not send it
    hashes = {"source_hash", "run_hash"}
    document["miscInfos"] = [info for info in document["miscInfos"] if info["description"] not in hashes]
    return document


def _values(body: str) -> dict[str, Any]:
    """Return a document's values in the types that pyWATS takes without converting."""
    from pywats.domains.report.report_models.common_types import ReportStatus, StepStatus
    from pywats.shared.enums import CompOp

    values = _unmarked(body)
    values["id"], values["start"] = UUID(values["id"]), datetime.fromisoformat(values["start"])
    values["result"] = ReportStatus(values["result"])
    for step in values["root"]["steps"]:
        step["status"] = StepStatus(step["status"])
        step.setdefault("reportText", None)
        for measured in step.get("numericMeas", ()):
            measured["compOp"] = CompOp[measured["compOp"]]
            measured.update({name: measured.get(name) for name in ("unit", "lowLimit", "highLimit")})
    return values


def _header(values: dict[str, Any], **more: Any) -> Any:
    from pywats.domains.report.report_models.uut.uut_info import UUTInfo
    from pywats.models import UUTReport

    report = UUTReport(
        id=values["id"], pn=values["pn"], sn=values["sn"], rev=values["rev"], process_code=values["processCode"],
        station_name=values["machineName"], location=values["location"], purpose=values["purpose"],
        start=values["start"], result=values["result"], **more,
    )  # fmt: skip
    unit = values["uut"]
    report.info = UUTInfo(
        operator=unit.get("user", ""),
        comment=unit.get("comment"),
        fixture_id=None,
        exec_time=unit.get("execTime"),
        error_code=unit.get("errorCode"),
        error_message=unit.get("errorMessage"),
        step_id_caused_uut_failure=unit.get("stepIdCausedUUTFailure"),
    )
    return report


def _by_calls(values: dict[str, Any]) -> str:
    from pywats.domains.report.report_models import Attachment
    from pywats.domains.report.report_models.common_types import SequenceCallInfo, StepStatus

    report, source = _header(values), values["root"]
    root = report.root
    root.name, root.status = source["name"], StepStatus(source["status"])
    root.sequence = SequenceCallInfo(**source["seqCall"])
    for step in source["steps"]:
        common = {name: step[key] for name, key in _COMMON.items()}
        if "numericMeas" in step:
            (measured,) = step["numericMeas"]
            added = root.add_numeric_step(
                value=measured["value"], unit=measured["unit"], comp_op=measured["compOp"],
                low_limit=measured["lowLimit"], high_limit=measured["highLimit"], **common,
            )  # fmt: skip
        elif "stringMeas" in step:
            added = root.add_string_step(value=step["stringMeas"][0]["value"], **common)
        else:
            added = root.add_action_step(**common)
            added.attachment = Attachment(**step["attachment"])
        if "causedUUTFailure" in step:
            added.caused_uut_failure = True
    for info in values["miscInfos"]:
        report.add_misc_info(info["description"], info["text"])
    return str(report.model_dump_json(by_alias=True, exclude_none=True))


def _by_models(values: dict[str, Any]) -> str:
    from pywats.domains.report.report_models.common_types import SequenceCallInfo, StepStatus
    from pywats.domains.report.report_models.misc_info import MiscInfo
    from pywats.domains.report.report_models.uut.steps import SequenceCall

    source = values["root"]
    root = SequenceCall(
        name=source["name"], status=StepStatus(source["status"]), sequence=SequenceCallInfo(**source["seqCall"])
    )
    root.steps.extend(map(_step_model, source["steps"]))
    infos = [MiscInfo(description=info["description"], string_value=info["text"]) for info in values["miscInfos"]]
    report = _header(values, misc_infos=infos, root=root)
    return str(report.model_dump_json(by_alias=True, exclude_none=True))


def _step_model(step: dict[str, Any]) -> Any:
    from pywats.domains.report.report_models import Attachment
    from pywats.domains.report.report_models.uut.steps import ActionStep, NumericStep, StringValueStep
    from pywats.domains.report.report_models.uut.steps.measurement import NumericMeasurement, StringMeasurement
    from pywats.shared.enums import CompOp

    common = {name: step[key] for name, key in _COMMON.items()}
    common["caused_uut_failure"] = step.get("causedUUTFailure")
    if "numericMeas" in step:
        (measured,) = step["numericMeas"]
        number = NumericMeasurement(
            value=measured["value"], unit=measured["unit"], comp_op=measured["compOp"], low_limit=measured["lowLimit"],
            high_limit=measured["highLimit"], status=step["status"],
        )  # fmt: skip
        return NumericStep(measurement=number, **common)
    if "stringMeas" in step:
        value = step["stringMeas"][0]["value"]
        string = StringMeasurement(value=value, comp_op=CompOp.LOG, status=step["status"])
        return StringValueStep(measurement=string, **common)
    return ActionStep(attachment=Attachment(**step["attachment"]), **common)
