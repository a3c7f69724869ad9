"""The plots of a survey as SVG that stands inside a page: its texts have the page's colour, light or dark."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from vte_wats.config.settings import RunResult
from vte_wats.survey.sample_findings import BusyHour, Distribution, StepCounts

_MOST_BARS = 25
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_COLOURS = {
    RunResult.PASSED: "#2e9d57",
    RunResult.FAILED: "#d1483d",
    RunResult.ERROR: "#e0912b",
    RunResult.TERMINATED: "#8d78c9",
}
_OTHER_COLOURS = ("#4c8fd6", "#9aa4b2", "#c76fa7", "#55aeb8", "#a58b5f")
_TEXT = {"labelColor": "currentColor", "titleColor": "currentColor"}
_WIDTH = 560
_PADDING = 16  # for fonts that are wider than the one that texts are measured with


def distribution_svg(distribution: Distribution, results: Mapping[str, str]) -> str:
    """Return the runs of each name by result; ``results`` says what codes mean, as far as anybody knows."""
    import altair as alt  # noqa: PLC0415 -- half a second that nothing else needs

    names = list(distribution.runs)[-_MOST_BARS:] if distribution.of == "month" else [*distribution.runs][:_MOST_BARS]
    shown = {name: distribution.runs[name] for name in names}
    codes = sorted({code for runs in shown.values() for code in runs})
    rows = [
        {"name": name, "result": _result(code, results), "runs": runs}
        for name, by_code in shown.items()
        for code, runs in by_code.items()
    ]
    colour = alt.Color(
        "result:N",
        title="result",
        scale=alt.Scale(domain=[_result(code, results) for code in codes], range=list(_colours(codes, results))),
    )
    chart = _chart(rows).mark_bar()
    if distribution.of == "month":
        chart = chart.encode(x=alt.X("name:O", title=None), y=alt.Y("sum(runs):Q", title="runs"), color=colour)
    else:
        chart = chart.encode(
            y=alt.Y("name:N", title=None, sort=names, axis=alt.Axis(labelLimit=220)),
            x=alt.X("sum(runs):Q", title="runs"),
            color=colour,
        )
    height = 180 if distribution.of == "month" else 18 * len(names)
    return _svg(chart.properties(width=_WIDTH, height=height))


def week_svg(hours: Iterable[BusyHour]) -> str:
    """Return the heat map of the week."""
    import altair as alt  # noqa: PLC0415 -- as above

    runs = {(hour.weekday, hour.hour): hour.runs for hour in hours}
    rows = [
        {"day": day, "hour": hour, "runs": runs.get((number, hour), 0)}
        for number, day in enumerate(_DAYS)
        for hour in range(24)
    ]
    chart = (
        _chart(rows)
        .mark_rect()
        .encode(
            x=alt.X("hour:O", title="hour of the day, as the stations' clocks show it", axis=alt.Axis(labelAngle=0)),
            y=alt.Y("day:O", title=None, sort=list(_DAYS)),
            color=alt.Color("runs:Q", title="runs", scale=alt.Scale(scheme="viridis")),
        )
    )
    return _svg(chart.properties(width=_WIDTH, height=170))


def steps_svg(counts: StepCounts) -> str:
    """Return how many steps the sampled runs have."""
    import altair as alt  # noqa: PLC0415 -- as above

    edges = sorted(counts.runs)
    rows = [{"steps": "none" if edge == 0 else f"≤ {edge:,}", "runs": counts.runs[edge]} for edge in edges]
    chart = (
        _chart(rows)
        .mark_bar(color=_OTHER_COLOURS[0])
        .encode(
            x=alt.X("steps:O", title="steps per run", sort=None, axis=alt.Axis(labelAngle=0)),
            y=alt.Y("runs:Q", title="runs of the sample"),
        )
    )
    return _svg(chart.properties(width=_WIDTH, height=150))


def _chart(rows: Sequence[Mapping[str, object]]) -> Any:
    import altair as alt  # noqa: PLC0415 -- as above

    return alt.Chart(alt.Data(values=list(rows)))  # type: ignore[no-untyped-call]


def _result(code: str, results: Mapping[str, str]) -> str:
    return f"{code} {results[code]}" if code in results else f"{code} (not known)"


def _colours(codes: Iterable[str], results: Mapping[str, str]) -> Iterator[str]:
    unknown = 0
    for code in codes:
        known = {result.value: colour for result, colour in _COLOURS.items()}.get(results.get(code, ""))
        yield known or _OTHER_COLOURS[unknown % len(_OTHER_COLOURS)]
        unknown += known is None


def _svg(chart: Any) -> str:
    import vl_convert  # noqa: PLC0415 -- starts a JavaScript engine

    styled = chart.configure(background="transparent", font="Helvetica, Arial, sans-serif", padding=_PADDING)
    styled = styled.configure_axis(**_TEXT, gridColor="currentColor", gridOpacity=0.15, domainColor="currentColor")
    styled = styled.configure_legend(**_TEXT).configure_view(stroke=None)
    svg: str = vl_convert.vegalite_to_svg(json.dumps(styled.to_dict()))
    return svg
