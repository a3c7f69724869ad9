"""Settings for a site, each with its reason. What data cannot show is asked, never guessed."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pydantic import JsonValue
from pydantic_core import PydanticUndefined

from vte_wats.config.settings import RunResult, Settings, StepResult, TextField, TimestampMarks, parse_settings
from vte_wats.domain.errors import FatalError
from vte_wats.survey.clocks import ClockFacts
from vte_wats.survey.sample_findings import Closed, CodeFacts, ColumnFacts, Findings
from vte_wats.survey.settling import CLASS_S, StepDelay

_ENOUGH = 20  # runs, steps or neighbours that say something together
_NONE = 0.01  # of them: stations with oddities, nothing to conclude from
_COMMON = 0.5
_BEYOND_MEASURING = 1e30
_SUSPECT_STEPS = 5  # different steps with one limit, a thousand times beyond what is measured beside it
_SUSPECT_FACTOR = 1_000.0
_NEARLY_ALL = 0.99
_SHOWN_ZONES = 40
_SLICE_S = 25.0  # a slice keeps a slot of the pool for VTE no longer, as it keeps none of WATS longer
_FAR_CHECK_S = 3_600.0  # of a day, for reading the part of the history that is compared on it
_FIRST_READ_S = 300  # after the settle delay: a sync reads what came within its data interval
_LONGEST_S = {"guard_band_s": 86_400, "near_check_h": 172_800}
_TO_FILL_IN = "0,"  # no process has this code
_UNANSWERED: dict[str, JsonValue] = {"source_timezone": "UTC", "process_map": {"(no test plan yet)": 1}}
_COLUMN_OF = {
    TextField.PRODUCT_NAME: "IndexData.ProductName",
    TextField.TESTPLAN_NAME: "IndexData.TestplanName",
    TextField.TESTPLAN_VARIANT: "IndexData.TestplanVariant",
    TextField.TESTPLAN_REVISION: "IndexData.TestplanRevision",
    TextField.HOSTNAME: "IndexData.Hostname",
    TextField.SITE: "IndexData.Site",
    TextField.TESTSYSTEM_NAME: "TestSystems.Name",
    TextField.INFO1: "IndexData.Info1",
    TextField.INFO2: "IndexData.Info2",
    TextField.INFO3: "IndexData.Info3",
}


class Origin(StrEnum):
    """Where a proposed value comes from."""

    DATA = "from the data"
    SET = "as it is set"
    DEFAULT = "default"
    ASKED = "to be answered"


class ProposedSetting(Closed):
    """One setting: what is proposed, why, and what is set now; ``differs`` says that it would change something."""

    setting: str
    value: JsonValue = None
    origin: Origin
    reason: str
    now: JsonValue = None
    differs: bool = False


class Question(Closed):
    """What a person must answer, with what the data says about it.

    ``to_fill_in`` are lines of JSON whose values a person completes, the most frequent first.
    """

    setting: str
    question: str
    to_fill_in: tuple[str, ...] = ()
    candidates: tuple[str, ...] = ()


class Proposal(Closed):
    """Settings for the Variable ``vte_wats``, the answers they are made of, and what remains to be asked.

    ``mistakes`` says why the settings are not valid yet; it is empty for settings that a sync can work with.
    """

    settings: dict[str, JsonValue]
    answers: tuple[ProposedSetting, ...]
    questions: tuple[Question, ...]
    mistakes: str


def known_results(proposal: Proposal) -> dict[str, str]:
    """Return what result codes mean: as it is proposed, else as it is set."""
    answer = next(answer for answer in proposal.answers if answer.setting == "result_codes")
    known = answer.value or answer.now
    return {str(code): str(result) for code, result in known.items()} if isinstance(known, dict) else {}


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the proposal is made of. ``given`` is the object in the Variable, ``None`` where there is none.

    ``processes`` are the test operations of WATS by code, ``None`` where it was not reached. ``guard_band_s`` is what
    late runs were measured to need; ``measured_late_arrivals`` says whether any sync has measured it. ``read_s`` is how
    long the runs of ``findings`` took to read; ``stored_runs`` is how many runs there are.
    """

    clocks: ClockFacts | None = None
    findings: Findings | None = None
    settling: StepDelay | None = None
    given: Mapping[str, Any] | None = None
    processes: Mapping[int, str] | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    possible_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    guard_band_s: int | None = None
    measured_late_arrivals: bool = False
    read_s: float | None = None
    stored_runs: int = 0


@dataclass(frozen=True, slots=True)
class _Found:
    """A value from the data, or nothing but a reason or a question."""

    reason: str
    value: Any = None
    questions: tuple[Question, ...] = ()


def propose(evidence: Evidence, variable: str) -> Proposal:
    """Return a proposal; it is validated by the very rules that settings are read with."""
    answers: list[ProposedSetting] = []
    questions: list[Question] = []
    for name in Settings.model_fields:
        found = _looked_up(name, evidence)
        answers.append(_answer(name, found, evidence.given or {}))
        questions += found.questions
    settings = {
        answer.setting: answer.value
        for answer in answers
        if answer.origin in {Origin.DATA, Origin.SET} and answer.setting != "alerts"
    }
    return Proposal(
        settings=settings,
        answers=tuple(answers),
        questions=tuple(questions),
        mistakes=_mistakes(settings, variable),
    )


def settings_for_trial(proposal: Proposal, variable: str) -> Settings:
    """Return the proposed settings; what is not answered is read as UTC, and test plans without process are held."""
    return parse_settings(json.dumps(_UNANSWERED | proposal.settings), variable)


def settings_to_survey_with(text: str | None, variable: str) -> Settings:
    """Return the settings that VTE and the storage are opened with, also before there are any, or with a part of them.

    Raises FatalError for wrong ones.
    """
    return parse_settings(_with_the_required(text), variable)


def _with_the_required(text: str | None) -> str:
    try:
        given = {} if text is None else json.loads(text)
    except ValueError:
        given = None
    return json.dumps(_UNANSWERED | given) if isinstance(given, dict) else str(text)


def _answer(name: str, found: _Found, given: Mapping[str, Any]) -> ProposedSetting:
    default = default_of(name)
    now = given.get(name, default)
    if name == "alerts":
        return ProposedSetting(
            setting=name,
            origin=Origin.SET if name in given else Origin.DEFAULT,
            reason="Kept as it is and not repeated here, for it holds people's addresses. No data speaks about it.",
        )
    if found.value is not None:
        origin = Origin.DATA
        value = found.value
    elif name in given:
        origin, value = Origin.SET, given[name]
    else:
        asked = bool(found.questions)
        origin, value = (Origin.ASKED, None) if asked else (Origin.DEFAULT, default)
    differs = value is not None and value != now
    return ProposedSetting(setting=name, value=value, origin=origin, reason=found.reason, now=now, differs=differs)


def default_of(name: str) -> JsonValue:
    """Return what a setting is where it is not set, as JSON; ``None`` for one that is required."""
    setting = Settings.model_fields[name]
    default = setting.get_default(call_default_factory=True, validated_data={})
    if default is PydanticUndefined:
        return None
    plain: JsonValue = json.loads(json.dumps(default, default=_plain))
    return plain


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json")


def _mistakes(settings: Mapping[str, JsonValue], variable: str) -> str:
    try:
        parse_settings(json.dumps(settings), variable)
    except FatalError as exc:
        return exc.detail
    return ""


def _looked_up(name: str, evidence: Evidence) -> _Found:
    if name in _WITHOUT_FINDINGS:
        return _WITHOUT_FINDINGS[name](evidence)
    if name == "guard_band_s" and (measured := _measured_guard_band(evidence)):
        return measured
    if evidence.findings is None:
        return _Found("No data was read.")
    look = _OF_FINDINGS.get(name)
    if look is None:
        return _Found("Nothing in the data speaks about it.")
    return look(evidence, evidence.findings)


def _zone(evidence: Evidence) -> _Found:
    given = (evidence.given or {}).get("source_timezone")
    clocks = evidence.clocks
    if clocks is None or clocks.offset_minutes is None:
        reason = "No station wrote a run within a quarter of an hour, so how far its clock is from UTC is not known."
        ask = "Which time zone do the stations' clocks show? Survey again while stations are at work to narrow it down."
        if clocks is not None and clocks.ahead_stations:
            reason = (
                f"The newest runs of {clocks.ahead_stations} of {clocks.stations} stations lie after the server's wall "
                f"clock, {clocks.server_offset_minutes:+d} minutes from UTC: they keep another time than the server."
            )
            ask = "Which time zone do the stations' clocks show? It is not the server's."
        return _Found(reason, questions=() if given else (Question(setting="source_timezone", question=ask),))
    fits = [name for family in clocks.zones for name in family]
    what = (
        f"{clocks.fresh_stations} of {clocks.stations} stations wrote a run that is less than a quarter of an hour old "
        f"by a clock {clocks.offset_minutes:+d} minutes from UTC; {len(fits)} zones fit that and the idle hours"
    )
    if given in fits:
        return _Found(f"{what}, {given} among them.")
    if given:
        why = clocks.impossible.get(given, "it is not among those that fit")
        ask = f"{given} is set, but {why}. Which time zone do the stations' clocks show?"
    else:
        ask = "In which place are the stations? Zones of one line showed the same time, and will for two years."
    candidates = tuple(", ".join(_shortened(family)) for family in clocks.zones[:10])
    return _Found(f"{what}.", questions=(Question(setting="source_timezone", question=ask, candidates=candidates),))


def _shortened(names: Sequence[str]) -> list[str]:
    more = len(names) - _SHOWN_ZONES
    return [*names[:_SHOWN_ZONES], *([f"and {more} more"] if more > 0 else [])]


def _process_map(evidence: Evidence, findings: Findings) -> _Found:
    given: dict[str, int] = dict((evidence.given or {}).get("process_map") or {})
    known = Settings(source_timezone="UTC", process_map=given or {"(none)": 1})
    unmapped = [name for name in findings.testplans if name and (not given or known.process_code(name) is None)]
    names = evidence.processes or {}
    matched = {name: code for name in unmapped if (code := _process_of(name, names)) is not None}
    unknown = [name for name in unmapped if name not in matched]
    questions: tuple[Question, ...] = ()
    if unknown:
        ask = "Which WATS process is each of these test plans? Until the map has it, its runs are held."
        by_runs = sorted(unknown, key=lambda name: -findings.testplans[name])
        lines = tuple(f"{json.dumps(name, ensure_ascii=False)}: {_TO_FILL_IN}" for name in by_runs)
        candidates = tuple(f"{code} {name}" for code, name in sorted(names.items()))
        questions = (Question(setting="process_map", question=ask, to_fill_in=lines, candidates=candidates),)
    if matched:
        reason = "By name: " + ", ".join(f"{name} is {names[code]} ({code})" for name, code in matched.items()) + "."
        return _Found(reason, {**given, **matched}, questions)
    reached = "" if evidence.processes is not None else " WATS was not reached, so its processes are not known."
    reason = "No name of a WATS process is in a test plan's." if unknown else "Every test plan of the sample is mapped."
    return _Found(reason + reached, questions=questions)


def _process_of(testplan: str, processes: Mapping[int, str]) -> int | None:
    """Return the one process all of whose words are in the test plan's name; of several the one with most words."""
    words = _words(testplan)
    fitting = sorted(
        ((len(own), code) for code, name in processes.items() if (own := _words(name)) and own <= words), reverse=True
    )
    if not fitting or (len(fitting) > 1 and fitting[0][0] == fitting[1][0]):
        return None
    return fitting[0][1]


def _words(name: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", name.casefold()))


def _timestamp_marks(evidence: Evidence, findings: Findings) -> _Found:
    given, marks = (evidence.given or {}).get("timestamp_marks"), findings.marks
    what = (
        f"Of {marks.neighbours} neighbouring runs of one station {marks.overlaps_as_end} would overlap if Timestamp "
        f"were the end of a test, {marks.overlaps_as_start} if it were the start"
    )
    least, most = sorted((marks.overlaps_as_end, marks.overlaps_as_start))
    if most >= _ENOUGH and least <= most / 10:
        found = (TimestampMarks.END if marks.overlaps_as_end == least else TimestampMarks.START).value
        if given in (None, found):
            return _Found(f"{what}.", found)
        ask = f"{given} is set, but the data says {found}. Is Timestamp the end or the start of a test? {what}."
    elif given is not None:
        return _Found(f"{what}: not enough to decide.")
    else:
        ask = f"Is Timestamp the end or the start of a test? {what}: not enough to decide."
    asked = Question(setting="timestamp_marks", question=ask, candidates=tuple(TimestampMarks))
    return _Found(f"{what}.", questions=(asked,))


def _result_codes(evidence: Evidence, findings: Findings) -> _Found:
    return _codes(_RUN_CODES, findings.run_codes, (evidence.given or {}).get("result_codes"))


def _step_result_codes(evidence: Evidence, findings: Findings) -> _Found:
    return _codes(_STEP_CODES, findings.step_codes, (evidence.given or {}).get("step_result_codes"))


@dataclass(frozen=True, slots=True)
class _Codes:
    """A setting that gives codes their meanings; ``most_of_failed`` have a value outside its limits."""

    setting: str
    column: str
    results: tuple[str, ...]
    most_of_failed: float


# Runs also fail by a text, or by what no limit shows.
_RUN_CODES = _Codes("result_codes", "IndexData.Result", tuple(RunResult), most_of_failed=0.5)
_STEP_CODES = _Codes("step_result_codes", "TestResultType", tuple(StepResult), most_of_failed=0.9)


def _codes(of: _Codes, facts: Sequence[CodeFacts], given: Mapping[str, str] | None) -> _Found:
    """Say which codes are Passed and Failed by the values outside of their limits; what others mean is asked."""
    coded = {str(fact.code): fact for fact in facts if fact.code is not None}  # NULL can mean nothing
    total = sum(fact.seen for fact in coded.values())
    meant = {code: _meaning(fact, total, of.most_of_failed) for code, fact in coded.items()}
    known = dict(given or {})
    derived = {code: meaning for code, meaning in meant.items() if meaning and known.get(code, meaning) == meaning}
    value = {**known, **derived} if derived else None
    default = default_of(of.setting)
    assert isinstance(default, dict)  # noqa: S101 -- as the setting is
    in_force = given or default
    reasons = [f"{code} is {meaning}: {_judged(coded[code])}" for code, meaning in derived.items()]
    questions = []
    for code, fact in coded.items():
        if code in derived or (code in known and not meant[code]):
            continue
        against = f" Its values say {meant[code]}." if meant[code] else ""
        exits = f" ExitCode: {', '.join(fact.exit_codes)}." if fact.exit_codes else ""
        until = f"It is read as {in_force[code]}" if code in in_force else "Its runs are held"
        ask = f"What does {of.column} {code} mean? Seen {fact.seen} times: {_judged(fact)}.{against}{exits}"
        held = "; with the codes proposed its runs are held" if value and code in in_force.keys() - value.keys() else ""
        asked = Question(setting=of.setting, question=f"{ask} {until} until then{held}.", candidates=of.results)
        questions.append(asked)
    reason = "; ".join(reasons) + "." if reasons else "No code shows by its values what it means."
    if value and given is None and (dropped := sorted(default.keys() - value.keys())):
        reason += f" Not in it any more: {', '.join(dropped)} of the default, which no value shows; such runs are held."
    return _Found(reason, value, tuple(questions))


def _judged(facts: CodeFacts) -> str:
    return f"{facts.judged} with limits, {facts.outside} of them with a value outside"


def _meaning(facts: CodeFacts, total: int, most_of_failed: float) -> str | None:
    if facts.judged < _ENOUGH:
        return None
    share = facts.outside / facts.judged
    if share <= _NONE and facts.seen >= _COMMON * total:
        return RunResult.PASSED.value
    return RunResult.FAILED.value if share >= most_of_failed else None


def _no_limit_values(evidence: Evidence, findings: Findings) -> _Found:
    given = (evidence.given or {}).get("no_limit_values")
    known = [*(given if given is not None else _default_markers())]
    settings = Settings(source_timezone="UTC", process_map={"*": 1}, no_limit_values=tuple(known))
    beyond = [seen.limit for seen in findings.limits if abs(seen.limit) >= _BEYOND_MEASURING]
    new = sorted(limit for limit in beyond if settings.is_limit(limit))
    suspects = [
        seen
        for seen in findings.limits
        if abs(seen.limit) < _BEYOND_MEASURING
        and settings.is_limit(seen.limit)
        and seen.steps >= _SUSPECT_STEPS
        and abs(seen.limit) >= _SUSPECT_FACTOR * max(seen.largest_measured, 1.0)
    ]
    questions = tuple(
        Question(
            setting="no_limit_values",
            question=f"Does a limit of {seen.limit:g} mean that there is none? {seen.steps} different steps have it, "
            f"{seen.times} times in all, and measure {seen.largest_measured:g} at most.",
            candidates=("yes", "no"),
        )
        for seen in suspects
    )
    if new:
        reason = f"No value is as large as {', '.join(f'{limit:g}' for limit in new)}, which stand in limit columns."
        return _Found(reason, [*known, *new], questions)
    seen_ones = ", ".join(f"{limit:g}" for limit in beyond) or "none of them"
    return _Found(f"Of these the sample has {seen_ones}; it has no other limit that large.", questions=questions)


def _default_markers() -> Iterable[float]:
    default: tuple[float, ...] = Settings.model_fields["no_limit_values"].default
    return default


def _part_number(evidence: Evidence, findings: Findings) -> _Found:
    return _filled("part_number", "Products.Name", evidence, findings)


def _station(evidence: Evidence, findings: Findings) -> _Found:
    return _filled("station", "IndexData.Hostname", evidence, findings)


def _filled(setting: str, other: str, evidence: Evidence, findings: Findings) -> _Found:
    """Say how often a column that identifies says something; ``other`` is where the mapping looks if it does not."""
    columns = {facts.column: facts for facts in findings.columns}
    source = (evidence.given or {}).get(setting) or Settings.model_fields[setting].default
    facts, second = columns[_COLUMN_OF[TextField(source)]], columns[other]
    reason = f"{_empty(facts)}; where it says nothing, {other} is used: {_empty(second)}."
    if min(facts.empty_share, second.empty_share) <= 1 - _NEARLY_ALL or not facts.rows:
        return _Found(reason)
    ask = f"Which column names the {setting.replace('_', ' ')}? {reason} Runs without one become dead letters."
    usable = tuple(column.value for column, name in _COLUMN_OF.items() if columns[name].empty_share <= 1 - _NEARLY_ALL)
    return _Found(reason, questions=(Question(setting=setting, question=ask, candidates=usable),))


def _empty(facts: ColumnFacts) -> str:
    return f"{facts.column} is NULL or blank in {facts.nulls + facts.blanks} of {facts.rows} rows"


def _max_steps(evidence: Evidence, findings: Findings) -> _Found:
    given, most = (evidence.given or {}).get("max_steps_per_run"), findings.step_counts.most
    now = int(given or Settings.model_fields["max_steps_per_run"].default)
    reason, enough = f"The largest run of the sample has {most} steps.", min(200_000, 2 * most)
    if given is None:
        return _Found(reason, enough) if 2 * most > now else _Found(reason)
    if most <= now:
        return _Found(reason)
    ask = f"{now} is set, but the largest run of the sample has {most} steps. How many may a run have?"
    return _Found(reason, questions=(Question(setting="max_steps_per_run", question=ask, candidates=(str(enough),)),))


def _measured_guard_band(evidence: Evidence) -> _Found | None:
    late_s, given = evidence.guard_band_s, (evidence.given or {}).get("guard_band_s")
    if late_s is not None:
        reason = f"Syncs and comparisons found runs as late as {late_s} s."
        if given is None:
            return _Found(reason, late_s)
        ask = f"{given} is set, but syncs and comparisons found runs as late as {late_s} s. How late may a run come?"
        return _Found(reason, questions=(Question(setting="guard_band_s", question=ask, candidates=(str(late_s),)),))
    if evidence.measured_late_arrivals:
        return _Found("No sync or comparison found a run that came later than the guard band.")
    return None


def _guard_band(evidence: Evidence, findings: Findings) -> _Found:
    """Propose what tests need whose Timestamp is their start; how late other rows come is not known before a sync."""
    marks = _timestamp_marks(evidence, findings).value or _given(evidence, "timestamp_marks")
    if marks == TimestampMarks.START:
        why = "Timestamp is the start of a test, so its row comes no sooner than TestTime later"
        found = _by_test_times("guard_band_s", 1, why, evidence, findings)
        if found is not None:
            return found
    appearing = evidence.settling.appearing if evidence.settling else {}
    reason = "How late rows appear is measured by the syncs; before the first one little shows it."
    if appearing:
        reason += f" During the survey {sum(appearing.values())} runs came late, by {max(appearing)} s or more."
    ask = "How many seconds after its Timestamp may a run appear in VTE, as from a station that was offline?"
    return _asked("guard_band_s", reason, f"{ask} {reason}" if appearing else ask, evidence)


def _settle_delay(evidence: Evidence) -> _Found:
    """Propose an age at which runs had all their steps, where two looks at enough of them show it."""
    settling, given = evidence.settling, _given(evidence, "settle_delay_s")
    ask = "How many seconds after its Timestamp is the last step of a run in VTE?"
    if settling is None:
        return _asked("settle_delay_s", "VTE does not say when a row was written.", ask, evidence)
    now = int(default_of("settle_delay_s") if given is None else given)  # type: ignore[arg-type]
    late = {age_s: runs for age_s, runs in settling.growing.items() if age_s >= now}
    enough_s = max(late) + CLASS_S if late else now
    read_then = range(enough_s, enough_s + _FIRST_READ_S)
    older = sum(runs for age_s, runs in settling.runs.items() if age_s in read_then)
    reason = (
        f"{sum(late.values())} runs that were {now} s old or more had more steps {settling.apart_s} s later, and of "
        f"{older} runs that were between {enough_s} and {enough_s + _FIRST_READ_S} s old none"
    )
    if late and given is not None:
        asked = f"{given} is set. {reason}. Should it be {enough_s}?"
        question = Question(setting="settle_delay_s", question=asked, candidates=(str(enough_s),))
        return _Found(f"{reason}.", questions=(question,))
    if older >= _ENOUGH and settling.apart_s >= enough_s:
        return _Found(f"{reason}.", enough_s if late else None)
    reason = f"{reason}: not enough to decide, for that takes {_ENOUGH} of them, and {enough_s} s"
    return _asked("settle_delay_s", f"{reason}.", f"{ask} {reason}.", evidence)


def _near_check(evidence: Evidence, findings: Findings) -> _Found:
    why = "A run may change for as long as its test takes"
    found = _by_test_times("near_check_h", 3_600, why, evidence, findings)
    if found is not None:
        return found
    reason = "VTE does not say when a row was changed. However many runs that are, the statement takes half a second."
    ask = "For how many hours after its test may a run still change in VTE, as by a corrected serial?"
    return _asked("near_check_h", reason, ask, evidence)


def _by_test_times(setting: str, unit_s: int, why: str, evidence: Evidence, findings: Findings) -> _Found | None:
    """Propose a setting in units of ``unit_s`` that is longer than nearly all tests; nothing where it is already."""
    runs, given = sum(findings.test_times.values()), _given(evidence, setting)
    if runs < _ENOUGH:
        return None
    left, wanted_s = runs, 0
    for edge_s, tests in sorted(findings.test_times.items()):
        left, wanted_s = left - tests, edge_s
        if left <= _NONE * runs:
            break
    wanted = min(wanted_s, _LONGEST_S[setting]) // unit_s
    now = given if given is not None else default_of(setting)
    assert isinstance(now, int)  # noqa: S101 -- as the setting is
    if wanted <= now:
        return None
    longer = sum(tests for edge_s, tests in findings.test_times.items() if edge_s > now * unit_s)
    reason = f"{why}: {longer} of {runs} tests of the sample took longer than {now * unit_s} s."
    if given is None:
        return _Found(reason, wanted)
    ask = f"{now} is set. {reason} Should it be {wanted}?"
    return _Found(reason, questions=(Question(setting=setting, question=ask, candidates=(str(wanted),)),))


def _asked(setting: str, reason: str, ask: str, evidence: Evidence) -> _Found:
    """Ask for a setting that has a default and is not set."""
    if _given(evidence, setting) is not None:
        return _Found(reason)
    question = Question(setting=setting, question=f"{ask} {default_of(setting)} holds until then.")
    return _Found(reason, questions=(question,))


def _given(evidence: Evidence, setting: str) -> Any:
    return (evidence.given or {}).get(setting)


def _batch_size(evidence: Evidence, findings: Findings) -> _Found:
    if not evidence.read_s or findings.runs < _ENOUGH:
        return _Found("Too few runs were read to say how long a slice takes.")
    given, run_s = _given(evidence, "batch_size"), evidence.read_s / findings.runs
    now = int(given or Settings.model_fields["batch_size"].default)
    reason = (
        f"{findings.runs} runs of the sample, {findings.steps / findings.runs:.0f} steps each, took "
        f"{evidence.read_s:.1f} s to read, so a slice of {now} takes {now * run_s:.1f} s"
    )
    if now * run_s <= _SLICE_S:
        return _Found(f"{reason}, of {_SLICE_S:.0f} s that it may.")
    wanted = max(1, int(_SLICE_S / run_s))
    reason = f"{reason}; {wanted} take the {_SLICE_S:.0f} s that it may, so that no sync waits longer for its turn."
    if given is None:
        return _Found(reason, wanted)
    asked = Question(setting="batch_size", question=f"{now} is set. {reason} How many?", candidates=(str(wanted),))
    return _Found(reason, questions=(asked,))


def _verify_cycle(evidence: Evidence, findings: Findings) -> _Found:
    if not evidence.read_s or findings.runs < _ENOUGH:
        return _Found("Too few runs were read to say how long the whole history takes.")
    given, whole_s = _given(evidence, "verify_cycle_days"), evidence.stored_runs * evidence.read_s / findings.runs
    now = int(default_of("verify_cycle_days") if given is None else given)  # type: ignore[arg-type]
    reason = f"At the speed of the sample all {evidence.stored_runs} runs take {whole_s:.0f} s to read"
    if not now:
        return _Found(f"{reason}; it is set that they are not compared.")
    if whole_s <= now * _FAR_CHECK_S:
        return _Found(f"{reason}, in {now} parts {whole_s / now:.0f} s a day.")
    wanted = min(3_650, math.ceil(whole_s / _FAR_CHECK_S))
    reason = f"{reason}, in {now} parts more than an hour a day; in {wanted} parts {whole_s / wanted:.0f} s."
    if given is None:
        return _Found(reason, wanted)
    ask = f"{now} is set. {reason} In how many days should the whole history be compared once?"
    asked = Question(setting="verify_cycle_days", question=ask, candidates=(str(wanted),))
    return _Found(reason, questions=(asked,))


def _column_overrides(evidence: Evidence) -> _Found:
    questions = []
    if evidence.overrides:
        text = json.dumps(_with_those_set(evidence), ensure_ascii=False)
        ask = f"Are these the new names of what is read? Then set column_overrides to {text}"
        questions.append(Question(setting="column_overrides", question=ask))
    for missing, names in evidence.possible_names.items():
        ask = f"Which column is {missing} here? These may be it by type and content. Name it in column_overrides."
        questions.append(Question(setting="column_overrides", question=ask, candidates=names))
    reason = "By keys, content, names and types; see the comparison."
    return _Found(reason if questions else "Nothing that is read seems to have another name.", None, tuple(questions))


def _with_those_set(evidence: Evidence) -> dict[str, Any]:
    """Return the names that are guessed, and those that are set already."""
    overrides = {table: dict(given) for table, given in (_given(evidence, "column_overrides") or {}).items()}
    for table, guess in evidence.overrides.items():
        override = overrides.setdefault(table, {})
        columns = {**override.get("columns", {}), **guess.get("columns", {})}
        override |= guess | ({"columns": columns} if columns else {})
    return overrides


_WITHOUT_FINDINGS = {
    "column_overrides": _column_overrides,
    "settle_delay_s": _settle_delay,
    "source_timezone": _zone,
}
_OF_FINDINGS = {
    "process_map": _process_map,
    "timestamp_marks": _timestamp_marks,
    "result_codes": _result_codes,
    "step_result_codes": _step_result_codes,
    "no_limit_values": _no_limit_values,
    "part_number": _part_number,
    "station": _station,
    "max_steps_per_run": _max_steps,
    "guard_band_s": _guard_band,
    "near_check_h": _near_check,
    "batch_size": _batch_size,
    "verify_cycle_days": _verify_cycle,
}
