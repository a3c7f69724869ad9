"""The questions of an acceptance run, and what the observations answer: evidence, and what follows for the package."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Any

from vte_wats.acceptance.behaviour import Behaviour, finds_plain, is_taken, median_delay_s
from vte_wats.acceptance.observe import Observations, Posted, WatsResponse
from vte_wats.acceptance.own_upload import OwnUpload
from vte_wats.acceptance.probes import ATTACHMENT, ATTACHMENT_LIMIT_BYTES, UNIT_LIMIT, Case, source_id_of
from vte_wats.wording import count

_MOST_DIFFERENCES = 5
_NUMERIC = "numericMeas"
_RATE_HEADER = re.compile(r"rate.?limit|retry-after|throttl|quota", re.IGNORECASE)
_RESULTS = {
    Case.PLAIN: "Passed",
    Case.FAILED: "Failed",
    Case.ERROR: "Error",
    Case.TERMINATED: "Terminated",
}
_CONTENT = (Case.COMPARISONS, Case.STEP_TYPES, Case.SKIPPED, Case.NON_ASCII, Case.NOT_A_NUMBER)


class FindingStatus(StrEnum):
    """What a finding asks of a person."""

    FINE = "fine"
    ACT = "act"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Finding:
    """One question with its answer, what shows it, and what the package does about it."""

    question: str
    answer: str
    evidence: Sequence[str]
    consequence: str
    status: FindingStatus = FindingStatus.FINE


def findings_of(seen: Observations, behaviour: Behaviour) -> list[Finding]:
    """WatsResponse every question, in the order in which a reader asks."""
    return [question(seen, behaviour) for question in _QUESTIONS]


def own_finding(own: OwnUpload) -> Finding:
    """Say what became of the run that went the way of every run."""
    if own.error is not None:
        answer = "no, it is not uploaded"
    else:
        answer = (
            "yes, and found with its content" if own.is_proven else "it is uploaded, and not found with its content"
        )
    return Finding(
        "Is a run uploaded and found again as the package does it, with every default?",
        answer,
        ["equal step names, a long unit, one limit or none, a file, no operator", *filter(None, [own.error])],
        "Nothing to do."
        if own.is_proven
        else "Do not start the sync before this works; the evidence says what is missing.",
        FindingStatus.FINE if own.is_proven else FindingStatus.ACT,
    )


def _answer_form(seen: Observations, behaviour: Behaviour) -> Finding:
    posted = seen.posted[Case.PLAIN]
    answers = {
        "object": "one JSON object, as the API description says",
        "array": "an array with one object",
        None: "something that confirms no report",
    }
    return Finding(
        "In which form is a posted report answered?",
        answers[behaviour.answer_form],
        [_shown(posted)],
        "Both forms confirm an upload; anything else is tried again under the same id.",
        FindingStatus.ACT if behaviour.answer_form is None else FindingStatus.FINE,
    )


def _renames(seen: Observations, behaviour: Behaviour) -> Finding:
    posted = seen.posted[Case.PLAIN]
    header = posted.header or {}
    return Finding(
        "Does WATS keep a report under the id that it was posted with?",
        _said(behaviour.renames, "no, under an id of its own", "yes"),
        [f"posted as {posted.probe.report_id}, shows as {header.get('uuid')}", _shown(posted)],
        "Set existence_check to source_id: the package then finds its reports by the misc info source_id."
        if behaviour.renames
        else "existence_check = uuid, the default, is right: one request finds many reports.",
        FindingStatus.ACT if behaviour.renames else FindingStatus.FINE,
    )


def _visibility(seen: Observations, behaviour: Behaviour) -> Finding:
    delay_s, half_s = behaviour.visibility_delay_s, median_delay_s(seen)
    late = [
        posted.probe.case.value
        for posted in seen.posted.values()
        if posted.answer.is_success and posted.header is None and posted.probe.case is not Case.UNKNOWN_PROCESS
    ]
    evidence = [f"{posted.probe.case.value}: {posted.seen_after_s:.1f} s" for posted in _slowest(seen)]
    return Finding(
        "How long does it take until a stored report shows in queries?",
        "unknown" if delay_s is None else f"half of them within {half_s:g} s, all within {delay_s:g} s",
        evidence + ([f"taken, and not there at the end: {', '.join(late)}"] if late else []),
        "An upload is confirmed by its answer. A report that does not show yet is neither lost nor posted again while "
        "this delay lasts.",
    )


def _slowest(seen: Observations) -> list[Posted]:
    shown = [posted for posted in seen.posted.values() if posted.seen_after_s is not None]
    return sorted(shown, key=lambda posted: -(posted.seen_after_s or 0))[:3]


def _header_start(seen: Observations, behaviour: Behaviour) -> Finding:
    posted = seen.posted[Case.PLAIN]
    return Finding(
        "How is the start of a report written in a header?",
        _said(behaviour.start_fraction, "with the fraction of a second", "in whole seconds"),
        [f"posted {posted.probe.content['start']}, shows {(posted.header or {}).get('start')}"],
        "Starts are compared by second, then exactly on the report itself.",
    )


def _id_forms(seen: Observations, behaviour: Behaviour) -> Finding:
    found = [form for form in seen.ids if finds_plain(seen, form)]
    refused = [f"{form}: {seen.ids[form].status}" for form in seen.ids if form not in found]
    return Finding(
        "How must report ids be written in a query?",
        (f"understood: {', '.join(found)}" if found else "in none of the known forms")
        + (f"; not understood: {', '.join(refused)}" if refused else ""),
        [f"{form}: {_headers(answer)}" for form, answer in seen.ids.items()],
        f"Queries use the form {behaviour.id_form}, from the first one on."
        if found
        else "Reports cannot be looked up by id. Ask the administrator of WATS before any upload.",
        FindingStatus.FINE if found else FindingStatus.ACT,
    )


def _listing(seen: Observations, behaviour: Behaviour) -> Finding:
    return Finding(
        "Can headers be listed by a range of start times?",
        _said(behaviour.range_listing, "yes", "no, or not all of them"),
        [_headers(seen.listing)],
        "What is compared is listed by range, a day in a few requests."
        if behaviour.range_listing
        else "What is compared is asked by id, some forty reports a request.",
    )


def _natural_key(seen: Observations, _: Behaviour) -> Finding:
    probe = seen.posted[Case.NON_ASCII].probe
    shows = seen.posted[Case.NON_ASCII].header is not None
    found = probe.serial in {header.get("serialNumber") for header in seen.natural_key.objects}
    return Finding(
        "Is a report found by serial number and start, with an apostrophe and characters beyond ASCII?",
        "yes" if found else "no" if shows else "unknown: that report does not show",
        [f"{probe.serial}: {_headers(seen.natural_key)}"],
        "Reports with an equal natural key are found before posting."
        if found
        else "The package falls back to queries by start alone.",
        FindingStatus.FINE if found else FindingStatus.OPEN,
    )


def _by_source_id(seen: Observations, behaviour: Behaviour) -> Finding:
    found = len(seen.by_source_id.objects)
    return Finding(
        "Is a report found by a misc info?",
        {0: "no", 1: "yes, and no other"}.get(found, f"{found} reports are found for a text that one has"),
        [_headers(seen.by_source_id)],
        "Needed for existence_check = source_id only.",
        FindingStatus.ACT if behaviour.renames and not found else FindingStatus.FINE,
    )


def _misc_infos(seen: Observations, behaviour: Behaviour) -> Finding:
    header = seen.posted[Case.PLAIN].header
    listed = source_id_of(header) is not None
    return Finding(
        "Do headers list the misc infos of a report?",
        "yes" if listed else "not listed",
        [f"a header of the plain report has {', '.join(sorted(map(str, header or {})))}"],
        "The hash of a report is read in its header."
        if listed
        else "What a report holds is read in the report itself; with existence_check = source_id no run is found.",
        FindingStatus.FINE if listed else FindingStatus.ACT if behaviour.renames else FindingStatus.OPEN,
    )


def _same_second(seen: Observations, behaviour: Behaviour) -> Finding:
    cases = (Case.SAME_SECOND_FIRST, Case.SAME_SECOND_SECOND)
    return Finding(
        "Are two reports of one unit that start within one second both kept?",
        _said(behaviour.merges_within_second, "no, only the last remains", "yes"),
        [_shows(seen, case) for case in cases],
        "The second run becomes a dead letter, so that no report disappears."
        if behaviour.merges_within_second
        else "Both runs are uploaded."
        if behaviour.merges_within_second is False
        else "Without an answer both runs are kept apart by their exact start.",
        FindingStatus.OPEN if behaviour.merges_within_second is None else FindingStatus.FINE,
    )


def _equal_key(seen: Observations, _: Behaviour) -> Finding:
    first, second = seen.posted[Case.EQUAL_KEY_FIRST], seen.posted[Case.EQUAL_KEY_SECOND]
    known = first.answer.is_success and second.header is not None
    both = known and first.header is not None
    return Finding(
        "What becomes of a report whose serial number, part number, process and start another one has already?",
        ("both are kept" if both else "it takes the place of the first") if known else "unknown",
        [_shows(seen, Case.EQUAL_KEY_FIRST), _shows(seen, Case.EQUAL_KEY_SECOND)],
        "Such a run is never posted: it becomes a dead letter that names the other.",
        FindingStatus.FINE if known else FindingStatus.OPEN,
    )


def _posted_again(seen: Observations, _: Behaviour) -> Finding:
    header = seen.posted[Case.POSTED_AGAIN].header or {}
    replaced = header.get("revision") == "B"
    return Finding(
        "What becomes of a report that is posted twice under one id, the second time with other content?",
        "the second takes the place of the first" if replaced else "not as expected: the first is still there",
        [f"received {header.get('receiveCount')} times, revision {header.get('revision')}"],
        "A report whose run changed is replaced by posting it again; a retry can never make a second report.",
        FindingStatus.FINE if replaced else FindingStatus.ACT,
    )


def _unknown_process(seen: Observations, _: Behaviour) -> Finding:
    posted = seen.posted[Case.UNKNOWN_PROCESS]
    if not posted.answer.is_success:
        answer = "it is refused"
    elif posted.header is None:
        answer = "it is taken and does not show: it is in quarantine"
    else:
        answer = "it shows as any other"
    return Finding(
        "What becomes of a report with a process code that WATS does not know?",
        answer,
        [_shows(seen, Case.UNKNOWN_PROCESS)],
        "The package asks for the process codes first and holds such runs; they are never posted.",
    )


def _content(seen: Observations, _: Behaviour) -> Finding:
    lines: list[str] = []
    status = FindingStatus.FINE
    for case in _CONTENT:
        posted = seen.posted[case]
        different = list(islice(_differences(posted), _MOST_DIFFERENCES))
        if is_taken(seen, case) is not True or posted.stored is None or not posted.stored.is_success:
            lines.append(_shows(seen, case))
            status = FindingStatus.OPEN if status is FindingStatus.FINE else status
        elif different:
            lines += [f"{case.value}: {line}" for line in different]
            status = FindingStatus.ACT
        else:
            lines.append(f"{case.value}: every value came back as it was posted")
    answers = {
        FindingStatus.FINE: "yes: every comparison, step type, text and number",
        FindingStatus.OPEN: "as far as taken, yes; something was not taken",
        FindingStatus.ACT: "no, something came back otherwise",
    }
    return Finding(
        "Does a stored report hold what was posted: all step types, comparisons, limits, non-ASCII texts, NaN?",
        answers[status],
        lines,
        "The daily comparison reads a sample of reports value by value; what WATS alters by itself shows there.",
        status,
    )


def _results(seen: Observations, _: Behaviour) -> Finding:
    lines = [f"{result}: {_result_of(seen, case)}" for case, result in _RESULTS.items()]
    right = all(_result_of(seen, case) == result for case, result in _RESULTS.items())
    return Finding(
        "Are the verdicts Passed, Failed, Error and Terminated shown as they were posted?",
        "yes" if right else "not all",
        lines,
        "A run's verdict is posted as the settings say; it is never derived from its steps.",
        FindingStatus.FINE if right else FindingStatus.ACT,
    )


def _result_of(seen: Observations, case: Case) -> str:
    posted = seen.posted[case]
    return str(posted.header.get("result")) if posted.header else _shows(seen, case)


def _attachment(seen: Observations, _: Behaviour) -> Finding:
    posted = seen.posted[Case.ATTACHMENT]
    content = posted.stored.content if posted.stored is not None else None
    data = [file.get("data") for file in _attachments(content)]
    same = [base64.b64decode(text) for text in data if isinstance(text, str)] == [ATTACHMENT]
    return Finding(
        "Does an attachment come back byte by byte?",
        "yes" if same else "no" if is_taken(seen, Case.ATTACHMENT) else "it is not taken",
        [f"{len(ATTACHMENT)} bytes, each value once: {_shown(posted)}"],
        "Binary values and long texts of VTE are attached to their steps.",
        FindingStatus.FINE if same else FindingStatus.ACT,
    )


def _large_attachment(seen: Observations, behaviour: Behaviour) -> Finding:
    refused = behaviour.large_attachments == "refused"
    return Finding(
        "May an attachment have more than 100 KB?",
        {"taken": "yes", "refused": "no", None: "unknown"}[behaviour.large_attachments],
        [f"{ATTACHMENT_LIMIT_BYTES + 1:,} bytes: {_shows(seen, Case.LARGE_ATTACHMENT)}"],
        "A run with a larger one is refused and becomes a dead letter; its neighbours go through. Ask the "
        "administrator of WATS for a higher limit, or keep such values out of VTE."
        if refused
        else "Attachments are sent whole.",
        FindingStatus.ACT if refused else FindingStatus.FINE,
    )


def _attachments(content: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(content, dict):
        if isinstance(content.get("attachment"), dict):
            yield content["attachment"]
        for value in content.values():
            yield from _attachments(value)
    elif isinstance(content, list):
        for value in content:
            yield from _attachments(value)


def _measurement_status(seen: Observations, behaviour: Behaviour) -> Finding:
    cases = (Case.MEASUREMENT_DONE, Case.MEASUREMENT_ERROR, Case.MEASUREMENT_TERMINATED)
    answers = {"any": "Done, Error and Terminated, too", "pfs": "Passed, Failed and Skipped only", None: "unknown"}
    return Finding(
        "Which statuses may a measurement have?",
        answers[behaviour.measurement_status],
        [_shows(seen, case) for case in cases],
        "A measurement is posted as Passed, Failed or Skipped; Done, Error and Terminated stay on its step.",
    )


def _step_done(seen: Observations, behaviour: Behaviour) -> Finding:
    return Finding(
        "May a step with a measurement be Done?",
        _said(behaviour.done_on_measured_step, "yes", "no"),
        [_shows(seen, Case.STEP_DONE)],
        "A logged value is Passed with comparison LOG by default; logged_values can make it Done."
        if behaviour.done_on_measured_step is not False
        else "Leave logged_values at its default: a logged value is Passed with comparison LOG.",
    )


def _skipped_value(seen: Observations, _: Behaviour) -> Finding:
    posted = seen.posted[Case.SKIPPED_MEASURED]
    content = posted.stored.content if posted.stored is not None and posted.stored.is_success else None
    kept = None if not isinstance(content, dict) else bool(_steps(content)[-1:] and _steps(content)[-1].get(_NUMERIC))
    return Finding(
        "Does WATS keep the measurement of a skipped step?",
        _said(kept, "yes", "no, it is ignored"),
        [_shows(seen, Case.SKIPPED_MEASURED)],
        "The value of a skipped step is written into its report text, too, and its file into a step behind it.",
        FindingStatus.OPEN if kept is None else FindingStatus.FINE,
    )


def _steps(content: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    root = content.get("root")
    steps = root.get("steps") if isinstance(root, dict) else None
    return [step for step in steps if isinstance(step, dict)] if isinstance(steps, list) else []


def _equal_names(seen: Observations, behaviour: Behaviour) -> Finding:
    return Finding(
        "May two steps under one parent have the same name?",
        _said(
            None if behaviour.equal_step_names is None else behaviour.equal_step_names == "taken",
            "yes",
            "no",
        ),
        [_shows(seen, Case.EQUAL_NAMES)],
        "Steps of one name are numbered by default; equal_step_names = keep is possible."
        if behaviour.equal_step_names == "taken"
        else "Leave equal_step_names at number, the default.",
    )


def _units(seen: Observations, behaviour: Behaviour) -> Finding:
    over = is_taken(seen, Case.UNIT_OVER_LIMIT)
    cases = (Case.UNIT_AT_LIMIT, Case.UNIT_OVER_LIMIT)
    if over:
        answer = f"longer than {UNIT_LIMIT} characters"
    elif behaviour.unit_length_limit is not None:
        answer = f"{behaviour.unit_length_limit} characters"
    else:
        answer = "unknown"
    return Finding(
        "How long may a unit be?",
        answer,
        [_shows(seen, case) for case in cases],
        f"Units over {UNIT_LIMIT} characters are shortened, and the step's text says so.",
    )


def _user(seen: Observations, behaviour: Behaviour) -> Finding:
    blank = is_taken(seen, Case.USER_BLANK)
    return Finding(
        "Must a report name its operator?",
        _said(behaviour.user_required, "yes", "no") + ("" if blank is not False else "; and not by an empty text"),
        [_shows(seen, Case.USER_MISSING), _shows(seen, Case.USER_BLANK)],
        "The operator is always sent, the empty text included."
        if blank is not False
        else "Set default_operator: a run without an operator is refused otherwise.",
        FindingStatus.ACT if blank is False else FindingStatus.FINE,
    )


def _start_utc(seen: Observations, _: Behaviour) -> Finding:
    return Finding(
        "Must a report hold its start in UTC beside the one with an offset?",
        _said(is_taken(seen, Case.NO_START_UTC), "no", "yes"),
        [_shows(seen, Case.NO_START_UTC)],
        "Both are sent.",
    )


def _body(seen: Observations, behaviour: Behaviour) -> Finding:
    question = "How large may a report be?"
    if not seen.bodies:
        return Finding(
            question,
            "not measured",
            [],
            "Give the form a largest body to measure it. Until then 30,000,000 bytes are assumed, IIS's default.",
            FindingStatus.OPEN,
        )
    limit = behaviour.body_limit_bytes
    return Finding(
        question,
        f"at least {max(size for size, _ in seen.bodies):,} bytes" if limit is None else f"about {limit:,} bytes",
        [f"{size:,} bytes: {answer}" for size, answer in seen.bodies],
        "A larger report is not posted: its run becomes a dead letter that names its largest parts.",
    )


def _rate(seen: Observations, _: Behaviour) -> Finding:
    named = {
        f"{name}: {value}"
        for _, answer in seen.answers
        for name, value in answer.headers.items()
        if _RATE_HEADER.search(name)
    }
    again = [f"{what}: {text}" for what, answer in seen.answers for text in answer.tries_before]
    return Finding(
        "Does WATS say how many requests it allows?",
        ", ".join(sorted(name.partition(":")[0] for name in named)) or "no header says so",
        [*sorted(named)[:5], *again[:5], f"{count(len(seen.answers), 'request')}, {len(again)} of them more than once"],
        "requests_per_minute of the connection is the budget; a Retry-After pauses all requests."
        + (" Lower it: WATS asked to wait." if any("429" in text for text in again) else ""),
        FindingStatus.ACT if any("429" in text for text in again) else FindingStatus.FINE,
    )


def _round_trips(seen: Observations, _: Behaviour) -> Finding:
    lines: list[str] = []
    for method, noun in (("POST", "post"), ("GET", "query")):
        took_ms = sorted(answer.took_ms for what, answer in seen.answers if what.startswith(method) and answer.status)
        if took_ms:
            lines.append(
                f"{count(len(took_ms), noun).replace('querys', 'queries')}: half within "
                f"{took_ms[(len(took_ms) - 1) // 2]:.0f} ms, the slowest {took_ms[-1]:.0f} ms"
            )
    return Finding(
        "How long does a request take?",
        "; ".join(lines),
        [],
        "Requests run side by side (concurrency of the connection), so the budget is the limit, not the round trip.",
    )


_QUESTIONS: tuple[Callable[[Observations, Behaviour], Finding], ...] = (
    _answer_form,
    _renames,
    _visibility,
    _header_start,
    _id_forms,
    _listing,
    _natural_key,
    _by_source_id,
    _misc_infos,
    _same_second,
    _equal_key,
    _posted_again,
    _unknown_process,
    _content,
    _results,
    _attachment,
    _large_attachment,
    _measurement_status,
    _step_done,
    _skipped_value,
    _equal_names,
    _units,
    _user,
    _start_utc,
    _body,
    _rate,
    _round_trips,
)


def _said(verdict: bool | None, if_true: str, if_false: str) -> str:  # noqa: FBT001
    return "unknown" if verdict is None else if_true if verdict else if_false


def _headers(answer: WatsResponse) -> str:
    """Say how many headers were found; whose they are concerns nobody who reads the evidence."""
    return f"{answer.status}, {count(len(answer.objects), 'header')}" if answer.is_success else str(answer)


def _shown(posted: Posted) -> str:
    return f"{posted.probe.case.value}: {posted.answer}"


def _shows(seen: Observations, case: Case) -> str:
    """Say what a report was answered with, and whether it shows."""
    posted = seen.posted[case]
    if not posted.answer.is_success:
        return _shown(posted)
    return f"{case.value}: {posted.answer.status}, {'shows' if posted.header is not None else 'does not show'}"


def _differences(posted: Posted) -> Iterator[str]:
    """Yield the values of a posted report that came back otherwise, each with its path."""
    stored: WatsResponse | None = posted.stored
    if stored is not None and stored.is_success:
        sent = {name: value for name, value in posted.probe.content.items() if name not in {"id", "start", "startUTC"}}
        yield from _different("", sent, stored.content)


def _different(path: str, sent: Any, stored: Any) -> Iterator[str]:
    """Compare what was sent; what WATS adds is no difference. Its own ids of steps do not count."""
    if isinstance(sent, dict) and isinstance(stored, dict):
        for name, value in sent.items():
            if name != "id":
                yield from _different(f"{path}.{name}" if path else name, value, stored.get(name))
    elif isinstance(sent, list) and isinstance(stored, list):
        for index, value in enumerate(sent):
            yield from _different(f"{path}[{index}]", value, stored[index] if index < len(stored) else None)
    elif sent != stored and _as_number(sent) != _as_number(stored):
        yield f"{path} was {sent!r}, came back as {stored!r}"


def _as_number(value: Any) -> Any:
    """Return a number for a text that reads as one; whatever is none stays itself."""
    try:
        return str(float(value))
    except (TypeError, ValueError):
        return value
