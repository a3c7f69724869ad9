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
_BOX_WIDTH, _BOX_HEIGHT, _BOX_GAP = 150, 22, 70
_DRAWN = ("#4c8fd6", "#d1483d")  # in both schemas, in this one alone
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


def relations_svg(relations: Mapping[str, Iterable[str]], elsewhere: Mapping[str, Iterable[str]]) -> str:
    """Return tables as boxes, each with lines to those that it points to, at its left.

    ``relations`` has the parents of each table. What ``elsewhere``, the other schema, lacks is drawn in another colour.
    """
    import altair as alt  # noqa: PLC0415 -- as above

    places = _places(relations)
    boxes = [
        {"name": name, "x": x, "y": y, "x2": x + _BOX_WIDTH, "y2": y + _BOX_HEIGHT, "here": _here(name in elsewhere)}
        for name, (x, y) in places.items()
    ]
    lines = [
        {
            "x": places[parent][0] + _BOX_WIDTH, "y": places[parent][1] + _BOX_HEIGHT / 2,
            "x2": places[name][0], "y2": places[name][1] + _BOX_HEIGHT / 2,
            "here": _here(parent in elsewhere.get(name, ())),
        }
        for name, parents in relations.items()
        for parent in parents
        if parent in places and parent != name
    ]  # fmt: skip
    width = max(x for x, _ in places.values()) + _BOX_WIDTH
    height = max(y for _, y in places.values()) + _BOX_HEIGHT
    across, down = alt.Scale(domain=[0, width]), alt.Scale(domain=[height, 0])
    left, top = alt.X("x:Q", axis=None, scale=across), alt.Y("y:Q", axis=None, scale=down)
    corners = {"x": left, "y": top, "x2": "x2:Q", "y2": "y2:Q"}
    colour = alt.Color(
        "here:N", title=None, scale=alt.Scale(domain=[_here(True), _here(False)], range=list(_DRAWN)),  # noqa: FBT003
        legend=alt.Legend(orient="bottom"),
    )  # fmt: skip
    names = (
        _chart(boxes)
        .transform_calculate(middle=f"datum.y + {_BOX_HEIGHT / 2}")
        .mark_text(align="left", dx=5, color="currentColor", limit=_BOX_WIDTH - 8)
        .encode(x=left, y=alt.Y("middle:Q", axis=None, scale=down), text="name:N")
    )
    drawn = alt.layer(
        _chart(lines).mark_rule(opacity=0.7).encode(**corners, color=colour),
        _chart(boxes).mark_rect(fillOpacity=0.25).encode(**corners, color=colour),
        names,
    )
    return _svg(drawn.properties(width=width, height=height))


def _here(also_elsewhere: object) -> str:
    return "in both" if also_elsewhere else "here alone"


def _places(relations: Mapping[str, Iterable[str]]) -> dict[str, tuple[float, float]]:
    """Return the upper left corner of each table: right of all that it points to, as far as they do not point back."""
    columns: dict[int, list[str]] = {}

    def column_of(name: str, seen: frozenset[str]) -> int:
        parents = [parent for parent in relations.get(name, ()) if parent in relations and parent not in seen]
        return 1 + max((column_of(parent, seen | {parent}) for parent in parents), default=-1)

    for name in relations:
        columns.setdefault(column_of(name, frozenset({name})), []).append(name)
    return {
        name: (number * (_BOX_WIDTH + _BOX_GAP), place * (_BOX_HEIGHT + 8))
        for number, names in columns.items()
        for place, name in enumerate(sorted(names))
    }


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
