// The status page: fetches the JSON under api/ and draws it. Every text goes in as text, never as markup.

const STATUS_S = 10, DEAD_LETTERS_S = 30, HISTORY_S = 60, UNREAD_S = 1;
const OUTCOMES = ["uploaded", "replaced", "unchanged", "dead", "held"];
const SPANS = { day: "24 hours", fortnight: "14 days", year: "Year" };
const HOUR = 3600e3, DAY = 24 * HOUR;
const ROOT = new URL("../", document.baseURI); // where Airflow's own pages begin

const $ = (id) => document.getElementById(id);
const number = new Intl.NumberFormat("en");
const shown = { site: "", span: "day", hidden: new Set(), status: null, history: null, deadLetters: null, proof: null, day: null, survey: null, ticked: new Set(), updatedAt: null };

// Elements ------------------------------------------------------------------------------------------------------------

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name === "on") for (const [event, handler] of Object.entries(value)) node.addEventListener(event, handler);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}
const el = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

// Draws a section again when what it shows has changed, and keeps what is open in it and where the keyboard is.
const drawn = new Map();
function draw(id, data, make) {
  const text = JSON.stringify(data);
  if (drawn.get(id) === text) return;
  drawn.set(id, text);
  const section = $(id);
  const open = new Set([...section.querySelectorAll("details[open]")].map((details) => details.dataset.key));
  const focused = section.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  section.replaceChildren(...[make(data)].flat());
  for (const details of section.querySelectorAll("details")) if (open.has(details.dataset.key)) details.open = true;
  if (focused) [...section.querySelectorAll("[data-key]")].find((element) => element.dataset.key === focused)?.focus();
}

// Inside Airflow the page is in a frame that may not navigate; a link of Airflow's own document may.
function follow(event) {
  if (window.parent === window) return;
  event.preventDefault();
  const outer = window.parent.document;
  const link = outer.createElement("a");
  link.href = event.currentTarget.href instanceof SVGAnimatedString ? event.currentTarget.href.baseVal : event.currentTarget.href;
  if (event.ctrlKey || event.metaKey || event.currentTarget.target === "_blank") link.target = "_blank";
  outer.body.append(link);
  link.click();
  link.remove();
}
const address = ({ dag_id, dag_run_id }) =>
  new URL(`dags/${encodeURIComponent(dag_id)}/runs/${encodeURIComponent(dag_run_id)}`, ROOT).href;
const runLink = (dagRun, text, key) => el("a", { href: address(dagRun), on: { click: follow }, "data-key": key }, text);

// Words ---------------------------------------------------------------------------------------------------------------

const count = (n, noun, plural = `${noun}s`) => `${number.format(n)} ${n === 1 ? noun : plural}`;
const dayAndTime = new Intl.DateTimeFormat(undefined, { day: "2-digit", month: "short", hour: "2-digit", minute: "2-digit", hour12: false });
const time = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hour12: false });
const timeAndSecond = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const dayName = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "2-digit", month: "short" });

const isToday = (at) => at.toDateString() === new Date().toDateString();
const when = (text) => {
  const at = new Date(text);
  return (isToday(at) ? time : dayAndTime).format(at);
};
const range = (from, to) => `${when(from)} – ${new Date(from).toDateString() === new Date(to).toDateString() ? time.format(new Date(to)) : when(to)}`;

function duration(seconds) {
  for (const [unit, size] of [["day", 86400], ["h", 3600], ["min", 60]]) {
    if (seconds >= size * 2 || (seconds >= size && unit !== "day")) {
      const whole = Math.floor(seconds / size);
      return unit === "day" ? count(whole, "day") : `${number.format(whole)} ${unit}`;
    }
  }
  return `${Math.round(seconds)} s`;
}
const milliseconds = (ms) => (ms === null ? "–" : ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);

// Assessment and tiles ------------------------------------------------------------------------------------------------

function drawAssessment({ assessment, conditions, problem }) {
  $("assessment").className = `assessment ${assessment.status}`;
  if ($("status").textContent !== assessment.status) $("status").textContent = assessment.status;
  if ($("reason").textContent !== assessment.reason) $("reason").textContent = assessment.reason;
  $("conditions").hidden = !conditions.length && !problem;
  draw("conditions", { conditions, problem }, () => [
    ...(problem ? [el("li", {}, problem)] : []),
    ...conditions.map((condition) => el("li", {}, el("div", {}, condition.reason ? `${condition.summary}: ${condition.reason}` : condition.summary),
      el("div", { class: "quiet" }, `since ${when(condition.opened_at)} · ${condition.advice}`))),
  ]);
}

const tile = (name, figure, small, ...notes) =>
  el("dl", { class: "tile" }, el("dt", {}, name),
    el("dd", { class: "figure" }, figure, small ? el("small", {}, ` ${small}`) : null),
    ...notes.map((note) => el("dd", typeof note === "string" ? { class: "note" } : {}, note)));

function drawTiles(status) {
  const { lag, uploads, budget, totals, dead_letters, redriven } = status;
  const proven = shown.proof && provenThrough(shown.proof);
  draw("tiles", { lag, uploads, budget, totals, dead_letters, redriven, proven }, () => {
    const share = budget.per_minute ? Math.min(1, budget.last_minute / budget.per_minute) : 0;
    const bar = el("span");
    bar.style.width = `${(share * 100).toFixed(1)}%`;
    return [
      tile("Behind VTE by", lag.behind_s === null ? "–" : duration(lag.behind_s), null,
        lag.last_sync ? `in WATS up to ${when(lag.last_sync)}` : "nothing synced yet", proven ?? "",
        lag.newest_at ? `newest run in VTE ${when(lag.newest_at)}` : "no run seen in VTE yet"),
      tile("Runs waiting", number.format(lag.runs_waiting), null, lag.seen_until_at ? `VTE read up to ${when(lag.seen_until_at)}` : ""),
      tile("Runs uploaded", number.format(totals.uploaded ?? 0), null,
        `${number.format(totals.replaced ?? 0)} replaced, ${number.format(totals.unchanged ?? 0)} unchanged`),
      tile("Dead letters", number.format(dead_letters), null, redriven ? `${number.format(redriven)} were uploaded later` : "runs that are not in WATS"),
      tile("Upload time, p50", milliseconds(uploads.p50_ms), null,
        `p95 ${milliseconds(uploads.p95_ms)}`, uploads.reports ? `${count(uploads.reports, "report")} in two hours` : "none in two hours"),
      tile("Budget of WATS", budget.per_minute ? `${Math.round(share * 100)} %` : "–", null,
        el("div", { class: "meter", role: "meter", "aria-label": "Share of the budget used in the last minute", "aria-valuemin": 0,
          "aria-valuemax": 100, "aria-valuenow": Math.round(share * 100) }, bar),
        budget.per_minute ? `${number.format(budget.last_minute)} of ${number.format(budget.per_minute)} a minute` : "not known yet"),
    ];
  });
}

// Coverage ------------------------------------------------------------------------------------------------------------

function drawCoverage({ coverage, state_problem }) {
  const width = Math.max(260, $("coverage").clientWidth);
  const empty = state_problem ?? "Nothing has been synced yet.";
  const toMinute = (timed) => ({ ...timed, interval: { ...timed.interval, to: timed.interval.to.slice(0, 16) } });
  const shape = coverage ? { ...toMinute(coverage), width, segments: coverage.segments.map(toMinute) } : empty;
  draw("coverage", shape, () => (coverage ? coverageChart(coverage, width) : el("p", { class: "empty" }, empty)));
  const gaps = (coverage?.segments ?? []).filter((segment) => segment.kind === "gap").reverse();
  draw("gaps", gaps, () => (gaps.length ? gapList(gaps) : []));
}

function coverageChart(coverage, width) {
  const label = width < 480 ? 52 : 84, row = 17, bar = 12, top = 4, bottom = 20;
  const days = daysUntil(new Date(coverage.interval.to));
  const height = top + days.length * row + bottom;
  const x = (day, at) => label + ((Math.min(Math.max(at, day.start), day.end) - day.start) / (day.end - day.start)) * (width - label);
  const gaps = coverage.segments.filter((segment) => segment.kind === "gap").length;
  const chart = svg("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "group",
    "aria-label": `Coverage since ${when(coverage.interval.from)}: ${gaps ? count(gaps, "gap") : "no gaps"}` });
  days.forEach((day, index) => {
    const y = top + index * row;
    chart.append(svg("text", { x: 0, y: y + bar - 2 }, dayName.format(day.start).slice(0, width < 480 ? 6 : 12)));
    chart.append(svg("rect", { class: "track", x: label, y, width: width - label, height: bar, rx: 3 }));
    const order = { complete: 0, waiting: 1, running: 2, gap: 3 };
    const segments = coverage.segments.filter((segment) => new Date(segment.interval.from) < day.end && new Date(segment.interval.to) > day.start);
    segments.sort((left, right) => order[left.kind] - order[right.kind]);
    chart.append(...segments.map((segment) => segmentShape(segment, day, x, y, bar)));
  });
  for (const hour of [0, 6, 12, 18, 24]) {
    const at = label + (hour / 24) * (width - label);
    chart.append(svg("text", { x: at, y: height - 5, "text-anchor": hour === 24 ? "end" : hour ? "middle" : "start" }, `${String(hour).padStart(2, "0")}:00`));
  }
  return chart;
}

function segmentShape(segment, day, x, y, height) {
  const left = x(day, new Date(segment.interval.from)), natural = x(day, new Date(segment.interval.to)) - left;
  const width = segment.kind === "complete" || segment.kind === "waiting" ? natural : Math.max(3, natural); // a gap is never too thin to see
  const text = `${segment.kind} ${range(segment.interval.from, segment.interval.to)}`;
  const shape = svg("rect", { class: segment.kind, x: left.toFixed(1), y, width: Math.max(0.5, width).toFixed(1), height, rx: 2 },
    svg("title", {}, text));
  if (!segment.dag_run || segment.kind !== "gap") return shape;
  return svg("a", { href: address(segment.dag_run), "aria-label": `${text}: open the DAG run that caused it`, on: { click: follow },
    "data-key": `${segment.interval.from}/${day.start.getTime()}` }, shape);
}

function daysUntil(end) {
  return [...Array(14).keys()].map((back) => {
    const start = new Date(end.getFullYear(), end.getMonth(), end.getDate() - back);
    return { start, end: new Date(end.getFullYear(), end.getMonth(), end.getDate() - back + 1) };
  });
}

function gapList(gaps) {
  const latest = gaps.slice(0, 8);
  const more = gaps.length - latest.length;
  return el("ul", { "aria-label": "Gaps" },
    ...latest.map((gap) => el("li", {}, range(gap.interval.from, gap.interval.to), " · ", gap.dag_run
      ? runLink(gap.dag_run, gap.dag_runs > 1 ? `the first of ${gap.dag_runs} DAG runs that caused it` : "the DAG run that caused it", `gap ${gap.interval.from}`)
      : "no DAG run of the last 14 days left it")),
    more ? el("li", { class: "quiet" }, `and ${count(more, "older gap")}`) : null);
}

// What is proven ------------------------------------------------------------------------------------------------------

const DIFFERENCES_SHOWN = 12;
const DAY_STATUS = { proven: "proven", dead_letters: "proven except for dead letters", open: "open", not_compared: "not yet proven" };
const wholeDay = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });
const monthName = new Intl.DateTimeFormat(undefined, { month: "short", year: "2-digit" });
const dayOf = (key) => new Date(...key.split("-").map((part, index) => Number(part) - (index === 1 ? 1 : 0)));

function provenThrough({ proven_through, compared_at }) {
  if (proven_through) return `proven through ${wholeDay.format(dayOf(proven_through))}`;
  return compared_at ? "not yet proven" : "not yet proven: no comparison has ended";
}

function drawProof(proof) {
  if (!proof) return;
  $("proven-through").textContent = provenThrough(proof);
  $("proof-csv").href = new URL(`api/proof.csv?${query()}`, document.baseURI).href;
  draw("proof-legend", proof.days, (days) => Object.entries(DAY_STATUS).map(([status, text]) =>
    el("li", {}, el("i", { class: `swatch ${status}` }), `${text}: ${count(days.filter((day) => day.status === status).length, "day")}`)));
  draw("calendar", { days: proof.days, chosen: shown.day }, ({ days, chosen }) => (days.length
    ? calendar(days, chosen) : el("p", { class: "empty" }, "The first day is compared once it has ended.")));
  const day = proof.days.find((candidate) => candidate.day === shown.day);
  draw("day", { day, alone: proof.counts_alone }, () => (day ? dayDetails(day, proof.counts_alone) : []));
  draw("odd", { odd: proof.odd }, ({ odd }) => (odd.length ? [el("h3", {}, "Outside every window"), ...odd.map(oddRuns)] : []));
  draw("differences", proof.differences.slice(0, DIFFERENCES_SHOWN), (found) => (found.length
    ? [el("h3", {}, "Reports with other content, as comparisons found them"), el("ul", {}, ...found.map((change) =>
      el("li", {}, `${wholeDay.format(dayOf(change.found_on))}: ${number.format(change.reports)} ${change.text}`)))] : []));
}

const EXCLUDED = "excluded on purpose"; // nothing waits for these

const oddRuns = (runs) => el("div", {},
  el("p", {}, `${runs.text}: ${dayCounts(runs)}`),
  runs.examples.length ? el("ul", { class: "examples" }, ...runs.examples.map((run) =>
    el("li", {}, el("code", {}, run.index_guid), ` ${run.timestamp_local?.replace("T", " ") ?? "no Timestamp"}`))) : "");

function calendar(days, chosen) {
  const reached = days.some(({ day }) => day === chosen) ? chosen : days.at(-1).day; // one stop for the keyboard, then arrows
  const months = Map.groupBy(days, ({ day }) => day.slice(0, 7));
  return [...months.values()].reverse().map((month) => el("div", { class: "month", role: "group", "aria-label": monthName.format(dayOf(month[0].day)),
    on: { keydown: moveInCalendar } }, el("span", { "aria-hidden": "true" }, monthName.format(dayOf(month[0].day))),
    ...month.map((day) => {
      const text = dayText(day);
      const cell = el("button", { type: "button", class: day.status, "data-key": day.day, title: text, "aria-label": text, tabindex: day.day === reached ? 0 : -1,
        "aria-pressed": String(day.day === chosen), on: { click: () => { shown.day = day.day; drawProof(shown.proof); } } });
      cell.style.gridColumnStart = Number(day.day.slice(8)) + 1;
      return cell;
    })));
}

function moveInCalendar(event) {
  const cells = [...$("calendar").querySelectorAll("button")].sort((left, right) => (left.dataset.key < right.dataset.key ? -1 : 1));
  const at = cells.indexOf(event.target), day = Number(event.target.dataset.key.slice(8));
  const inMonth = (months) => { // the same day of another month, its last one where it is shorter
    const from = dayOf(event.target.dataset.key);
    const last = new Date(from.getFullYear(), from.getMonth() + months + 1, 0);
    const to = new Date(last.getFullYear(), last.getMonth(), Math.min(day, last.getDate()));
    return at + Math.round((to - from) / DAY);
  };
  const moves = { ArrowLeft: () => at - 1, ArrowRight: () => at + 1, ArrowUp: () => inMonth(1), ArrowDown: () => inMonth(-1), Home: () => 0, End: () => cells.length - 1 };
  if (at < 0 || !moves[event.key]) return;
  event.preventDefault();
  const next = cells[Math.min(Math.max(moves[event.key](), 0), cells.length - 1)];
  for (const cell of cells) cell.tabIndex = cell === next ? 0 : -1;
  next.focus();
}

const dayCounts = (day) => [`${count(day.in_vte, "run")} in VTE`, `${number.format(day.proven)} proven`, count(day.dead, "dead letter"),
  `${number.format(day.held)} held`, `${number.format(day.open)} open`].join(", ");
const dayText = (day) => `${wholeDay.format(dayOf(day.day))}: ${DAY_STATUS[day.status]}${day.in_vte === null ? "" : ` (${dayCounts(day)})`}`;

function dayDetails(day, alone) {
  const more = (day.open ?? 0) - day.open_runs.length;
  return [
    el("h3", {}, `${wholeDay.format(dayOf(day.day))}: ${DAY_STATUS[day.status]}`),
    day.in_vte === null ? el("p", { class: "quiet" }, "No comparison has looked at this day since it ended.")
      : el("p", {}, dayCounts(day), el("span", { class: "quiet" }, ` · compared ${when(day.verified_at)}`)),
    day.open_runs.length ? el("ul", { class: "examples" }, ...day.open_runs.map((run) => el("li", {}, el("div", {}, run.reason), el("code", {}, run.index_guid))),
      more > 0 ? el("li", { class: "quiet" }, `and ${count(more, "more run")}`) : null) : "",
    day.gone ? el("p", {}, `${count(day.gone, "run")} in WATS and no longer in VTE`,
      el("span", { class: "quiet" }, day.gone_is_listed ? "" : " · by the numbers alone: this WATS does not list its reports")) : "",
    day.gone_runs.length ? el("ul", { class: "examples" }, ...day.gone_runs.map((guid) => el("li", {}, el("code", {}, guid)))) : "",
    day.open && alone ? el("p", { class: "quiet" }, "To see which runs are open you need the right to read task logs in Airflow.") : "",
  ];
}

// The chart -----------------------------------------------------------------------------------------------------------

function drawHistory(history) {
  if (!history) return;
  const width = Math.max(260, $("chart").clientWidth);
  const sums = Object.fromEntries(OUTCOMES.map((outcome) => [outcome, history.points.reduce((sum, point) => sum + (point.outcomes[outcome] ?? 0), 0)]));
  draw("outcomes", { sums, hidden: [...shown.hidden] }, () => [
    ...OUTCOMES.map((outcome) => el("button", { type: "button", "aria-pressed": String(!shown.hidden.has(outcome)), "data-key": outcome,
      on: { click: () => { shown.hidden.has(outcome) ? shown.hidden.delete(outcome) : shown.hidden.add(outcome); drawHistory(shown.history); } } },
      el("i", { class: `swatch ${outcome}` }), `${outcome} `, el("b", {}, number.format(sums[outcome])))),
    el("span", { class: "quiet" }, `of ${number.format(history.points.reduce((sum, point) => sum + point.read, 0))} read`),
  ]);
  draw("chart", { history, width, hidden: [...shown.hidden] }, () =>
    history.points.some((point) => point.read) ? historyChart(history, width) : el("p", { class: "empty" }, "No runs were read in this time."));
  drawTable(history);
}

function historyChart(history, width) {
  const left = 44, top = 8, plot = 150, bottom = 22, height = top + plot + bottom;
  const visible = OUTCOMES.filter((outcome) => !shown.hidden.has(outcome));
  const sums = history.points.map((point) => visible.reduce((sum, outcome) => sum + (point.outcomes[outcome] ?? 0), 0));
  const ceiling = niceCeiling(Math.max(1, ...sums));
  const step = (width - left) / history.points.length, gap = step > 8 ? 2 : 1;
  const y = (value) => top + plot - (value / ceiling) * plot;
  const chart = svg("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img",
    "aria-label": `Runs over the last ${SPANS[history.span].toLowerCase()}; the table below has the numbers` });
  for (const value of [0, ceiling / 2, ceiling]) {
    chart.append(svg("line", { class: "grid", x1: left, x2: width, y1: y(value), y2: y(value) }));
    chart.append(svg("text", { x: left - 8, y: y(value) + 4, "text-anchor": "end" }, short(value)));
  }
  history.points.forEach((point, index) => {
    const x = left + index * step;
    const bars = svg("g", {}, svg("title", {}, pointText(point)));
    let below = 0;
    for (const outcome of visible) {
      const runs = point.outcomes[outcome] ?? 0;
      if (!runs) continue;
      const high = Math.max(outcome === "dead" || outcome === "held" ? 2 : 0.5, y(below) - y(below + runs)); // never too thin to see
      bars.append(svg("rect", { class: outcome, x: (x + gap / 2).toFixed(1), y: (y(below) - high).toFixed(1), width: Math.max(1, step - gap).toFixed(1), height: high.toFixed(1) }));
      below += runs;
    }
    chart.append(bars);
  });
  const labelEvery = Math.ceil(history.points.length / (width < 480 ? 4 : 8));
  history.points.forEach((point, index) => {
    if (index % labelEvery === 0) chart.append(svg("text", { x: left + index * step, y: height - 6 }, axisText(history.span, new Date(point.interval.from))));
  });
  return chart;
}

function niceCeiling(value) {
  const size = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 5, 10].map((factor) => factor * size).find((candidate) => candidate >= value);
}
const short = (value) => (value >= 1e6 ? `${value / 1e6} M` : value >= 1e4 ? `${value / 1e3} k` : number.format(value));
const axisDay = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const axisText = (span, at) => (span === "day" ? time.format(at) : axisDay.format(at));
const outcomeCounts = (counts) => OUTCOMES.filter((outcome) => counts[outcome]).map((outcome) => `${number.format(counts[outcome])} ${outcome}`);
const pointText = (point) => [range(point.interval.from, point.interval.to),
  ...outcomeCounts(point.outcomes),
  point.p95_ms === null ? "" : `upload p50 ${milliseconds(point.p50_ms)}, p95 ${milliseconds(point.p95_ms)}`].filter(Boolean).join("\n");

function drawTable(history) {
  const body = $("chart-table").querySelector("div");
  const rows = history.points.filter((point) => point.read).reverse();
  body.replaceChildren(el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Runs as a table" }, el("table", {},
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Time"), ...["read", ...OUTCOMES, "p50", "p95"].map((heading) => el("th", { class: "number", scope: "col" }, heading)))),
    el("tbody", {}, ...rows.map((point) => el("tr", {}, el("td", {}, range(point.interval.from, point.interval.to)), amount(point.read),
      ...OUTCOMES.map((outcome) => amount(point.outcomes[outcome] ?? 0)),
      el("td", { class: "number" }, milliseconds(point.p50_ms)), el("td", { class: "number" }, milliseconds(point.p95_ms))))))));
}
const amount = (n, before = "") => el("td", { class: n ? "number" : "number zero" }, n ? before : "", number.format(n));

function drawSpans() {
  draw("spans", shown.span, () => Object.entries(SPANS).map(([span, text]) =>
    el("button", { type: "button", "aria-pressed": String(span === shown.span), "data-key": span,
      on: { click: () => { shown.span = span; drawSpans(); refreshHistory(); } } }, text)));
}

// Dead letters --------------------------------------------------------------------------------------------------------

function deadLetterGroups({ groups, messages, counts_alone, listed, dead, held }, mayRedrive) {
  if (groups.length) return groups.map((group) => deadLetterGroup(group, messages[group.code], mayRedrive));
  if (!listed) return [el("p", { class: "empty" }, "None: every run that was read is in WATS.")];
  if (counts_alone) return [el("p", { class: "quiet" }, `${count(dead, "dead letter")}, ${count(held, "held run")}. To see them you need the right to read task logs in Airflow.`)];
  return [el("p", { class: "empty" }, "Reading them …")];
}

function drawDeadLetters(deadLetters, mayRedrive) {
  $("dead-letters-count").textContent = deadLetters.read < deadLetters.listed
    ? `${number.format(deadLetters.read)} of ${number.format(deadLetters.listed)} read so far` : deadLetters.listed ? count(deadLetters.listed, "run") : "";
  const { read_at, ...content } = deadLetters;
  const isOld = Date.now() - new Date(read_at) > 2000 * DEAD_LETTERS_S;
  draw("dead-letters", { content, mayRedrive, old: isOld && read_at }, () => [
    ...(isOld ? [el("p", { class: "quiet" }, `As of ${when(read_at)}: the storage has not answered since.`)] : []),
    ...deadLetterGroups(deadLetters, mayRedrive),
    ...(deadLetters.unreadable ? [el("p", { class: "quiet" }, `${count(deadLetters.unreadable, "file")} in the folder cannot be read as dead letters.`)] : []),
  ]);
}

function deadLetterGroup(group, message, mayRedrive) {
  const more = group.dead_letters - group.examples.length;
  const button = el("button", { type: "button", disabled: !mayRedrive, "data-key": `redrive ${group.kind} ${group.signature}`,
    on: { click: () => askToRedrive(group) } }, "Redrive");
  return el("details", { class: "group", "data-key": `${group.kind} ${group.signature}` },
    el("summary", { "data-key": `open ${group.kind} ${group.signature}` }, el("span", { class: "total" }, number.format(group.dead_letters)),
      el("span", { class: "signature" }, group.signature),
      el("span", { class: `badge ${group.kind}` }, group.kind)),
    el("div", { class: "body" },
      message ? el("p", {}, `${group.code}: ${message.meaning}. What to do: ${message.advice}.`) : null,
      el("p", { class: "quiet" }, `first ${when(group.first_at)}, last ${when(group.last_at)}`,
        group.kind === "held" && group.signature !== EXCLUDED ? " · waits for a setting and is uploaded automatically once it is there" : ""),
      el("ul", { class: "examples" }, ...group.examples.map((example) => el("li", {},
        el("div", {}, example.product ?? "no product", " · ", example.serial || "no serial", ` · ${count(example.attempts, "attempt")}`),
        el("div", {}, example.reason), el("code", {}, example.index_guid))), more > 0 ? el("li", { class: "quiet" }, `and ${count(more, "more run")}`) : null),
      el("div", { class: "actions" }, button,
        mayRedrive ? null : el("span", { class: "quiet" }, "You may not trigger the DAG that does it."))));
}

function askToRedrive(group) {
  confirmed("Redrive", `${count(group.dead_letters, "run")} with “${group.signature}” will be read from VTE again and transferred. Those that are still wrong stay dead letters.`,
    () => redrive(group.signature));
}

function confirmed(what, text, act) {
  const dialog = $("confirm");
  $("confirm-title").textContent = `${what}?`;
  $("confirm-text").textContent = text;
  $("confirm-no").onclick = () => dialog.close();
  $("confirm-yes").textContent = what;
  $("confirm-yes").onclick = async () => { dialog.close(); await act(); };
  dialog.showModal();
}

async function redrive(signature) {
  const answer = await ask(`api/redrive?site=${encodeURIComponent(shown.site)}`, {
    method: "POST", body: JSON.stringify({ signature }), headers: { "Content-Type": "application/json", "X-VTE-WATS": "redrive" } });
  if (!answer) return;
  $("redriven").replaceChildren(answer.is_paused ? `Waits until ${answer.dag_run.dag_id} is unpaused: ` : "Started: ", runLink(answer.dag_run, "DAG run", "redriven"));
  refreshStatus();
}

// The survey ----------------------------------------------------------------------------------------------------------

const size = (bytes) => (bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`);
const surveyAddress = (survey, name) => new URL(`survey/${survey}/${name}?${query()}`, document.baseURI).href;

function drawSurvey(survey) {
  $("survey-at").textContent = survey.measured_at ? `surveyed ${wholeDay.format(new Date(survey.measured_at))}, ${time.format(new Date(survey.measured_at))}` : "";
  draw("survey", survey, () => surveyFacts(survey));
  draw("proposal", survey, () => (survey.proposal ? proposal(survey.proposal) : []));
}

function surveyFacts({ may_read, survey, figures, files, problem, proposal }) {
  if (!may_read) return [el("p", { class: "quiet" }, "To see it you need the right to read task logs of vte_wats_survey in Airflow.")];
  if (!survey) return [el("p", { class: "empty" }, "None yet. Trigger vte_wats_survey in Airflow: it looks at the data of VTE and proposes settings.")];
  return [
    problem ? el("p", { class: "trouble" }, problem) : "",
    figures?.stopped ? el("p", { class: "trouble" }, figures.stopped) : "",
    figures ? el("div", { class: "tiles" }, ...surveyTiles(figures, proposal)) : "",
    el("p", { class: "files" }, ...files.map(({ name, size_bytes }) => (name === "survey.html"
      ? el("a", { href: surveyAddress(survey, name), target: "_blank", rel: "noopener", on: { click: follow }, "data-key": name }, "Open the report")
      : el("a", { href: surveyAddress(survey, name), on: { click: follow }, "data-key": name }, `${name} (${size(size_bytes)})`)))),
  ];
}

function surveyTiles(figures, proposal) {
  const { report = 0, dead = 0, held = 0 } = figures.trial;
  return [
    tile("Runs in VTE", number.format(figures.counted_runs), null, figures.counted_from_local ? `since ${figures.counted_from_local.slice(0, 10)}, ${number.format(figures.sampled_runs)} read` : ""),
    tile("Would be uploaded", number.format(report), `of ${number.format(report + dead + held)}`, `${count(dead, "dead letter")}, ${number.format(held)} held, of chosen runs of every kind`),
    tile("Data issues", number.format(figures.issues), null, "kinds of them in the data; the report has examples"),
    ...(proposal ? [tile("Questions", number.format(proposal.questions.length), null, `${count(proposal.changes.length, "setting")} proposed`)] : []),
  ];
}

function proposal({ changes, questions, may_change, in_database }) {
  return [
    changes.length ? [el("h3", {}, "Proposed settings"), proposedSettings(changes, may_change && in_database),
      el("div", { class: "actions" },
        el("button", { id: "take-over", type: "button", "data-key": "take over", disabled: !shown.ticked.size, on: { click: askToTakeOver } }, "Take over what is ticked"),
        !may_change ? el("span", { class: "quiet" }, "You may not edit Variables in Airflow.")
          : in_database ? null : el("span", { class: "quiet" }, "The settings are not in Airflow's database but in the environment or a secrets backend: change them there."))] : [],
    questions.length ? [el("h3", {}, "What the data cannot answer"), el("ul", { class: "examples" }, ...questions.map((question, index) => el("li", {},
      el("div", {}, el("strong", {}, question.setting), ` ${question.question}`),
      question.to_fill_in.length ? el("pre", {}, question.to_fill_in.join("\n")) : null,
      question.candidates.length ? el("details", { class: "quiet-details", "data-key": `candidates ${index}` }, el("summary", { "data-key": `choose ${index}` }, "to choose from"),
        el("ul", {}, ...question.candidates.map((candidate) => el("li", {}, candidate)))) : null)))] : [],
  ].flat();
}

function proposedSettings(changes, mayChange) {
  return el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Proposed settings" }, el("table", { class: "proposed" },
    el("thead", {}, el("tr", {}, ...["Setting", "Now", "Proposed", "Why"].map((heading) => el("th", { scope: "col" }, heading)))),
    el("tbody", {}, ...changes.map((change) => el("tr", {},
      el("td", {}, change.state === "open" ? tickable(change.setting, mayChange) : change.setting,
        change.state === "taken" ? el("div", {}, el("span", { class: "badge success" }, "as proposed")) : null,
        change.state === "outdated" ? el("div", { class: "quiet" }, "set to something else since: survey again") : null),
      el("td", {}, change.is_default ? el("div", { class: "quiet" }, "default") : null, ...valueLines(change.now, change.proposed, change.setting, "now")),
      el("td", {}, ...valueLines(change.proposed, change.now, change.setting, "proposed")),
      el("td", { class: "why" }, change.reason))))));
}

function tickable(setting, mayChange) {
  const box = el("input", { type: "checkbox", "data-key": `tick ${setting}`, disabled: !mayChange, checked: shown.ticked.has(setting), on: { change: () => {
    box.checked ? shown.ticked.add(setting) : shown.ticked.delete(setting);
    $("take-over").disabled = !shown.ticked.size;
  } } });
  return el("label", {}, box, ` ${setting}`);
}

const plainValue = (value) => (typeof value === "string" ? value : JSON.stringify(value));

// The entries that the other value lacks or has otherwise come first; those of both can be opened.
function valueLines(value, other, setting, column) {
  if (value === null) return [el("span", { class: "quiet" }, "not set")];
  if (typeof value !== "object") return [el("code", { class: "differs" }, plainValue(value))];
  const texts = (of) => (of === null || typeof of !== "object" ? [] : Array.isArray(of) ? of.map(plainValue) : Object.entries(of).map(([name, entry]) => `${name}: ${plainValue(entry)}`));
  const others = new Set(texts(other));
  const [same, different] = [texts(value).filter((text) => others.has(text)), texts(value).filter((text) => !others.has(text))];
  return [
    ...different.map((text) => el("div", {}, el("code", { class: "differs" }, text))),
    same.length ? el("details", { class: "quiet-details", "data-key": `same ${setting} ${column}` }, el("summary", { "data-key": `open ${setting} ${column}` }, `${number.format(same.length)} as in both`),
      ...same.map((text) => el("div", {}, el("code", {}, text)))) : null,
  ];
}

function askToTakeOver() {
  const { survey, proposal } = shown.survey, settings = [...shown.ticked];
  confirmed("Take over", `${settings.join(", ")}: the proposed values become settings, and the next DAG runs use them. All other settings stay.`,
    () => takeOver({ survey, settings, shown: proposal.shown }));
}

async function takeOver(body) {
  const { site } = shown;
  const answer = await ask(`api/survey/take-over?${query()}`, {
    method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json", "X-VTE-WATS": "take over" } });
  if (site !== shown.site) return;
  $("taken-over").className = answer ? "quiet" : "trouble";
  $("taken-over").textContent = answer ? `Taken over: ${body.settings.join(", ")}.` : $("trouble").textContent;
  answer ? showSurvey(answer) : refreshSurvey();
}

function showSurvey(survey) {
  if (survey.survey !== shown.survey?.survey || survey.proposal?.shown !== shown.survey?.proposal?.shown) shown.ticked.clear(); // they were for what was seen
  shown.survey = survey;
  drawSurvey(survey);
}

// Connections, backfill, runs -----------------------------------------------------------------------------------------

function drawConnections({ checked_at, vte, wats }, profile) {
  $("checked").textContent = checked_at ? `checked ${when(checked_at)}` : "";
  draw("connections", { vte, wats, profile }, () => [connectionLine("VTE", vte, "SQL Server "), connectionLine("WATS", wats, ""), profileLine(profile)]);
}

function profileLine(profile) {
  const text = profile ? `version ${profile.wats_version ?? "unknown"}, ${count(profile.known, "behaviour")} known` : "not measured: nothing is assumed of WATS";
  return el("div", { class: "line" }, el("strong", {}, "Profile"), el("span", { class: "details" }, text),
    profile?.measured_at ? el("span", { class: "quiet" }, `measured ${when(profile.measured_at)}`) : "");
}

function connectionLine(name, check, product) {
  if (!check) return el("div", { class: "line" }, el("strong", {}, name), el("span", { class: "details" }, "not checked yet"), "");
  const answer = check.version ? `${product}${check.version}` : "answers";
  const roundTrip = check.round_trip_ms === null ? "ok" : milliseconds(check.round_trip_ms);
  return el("div", { class: "line" }, el("strong", {}, name),
    el("span", { class: "details" }, check.ok ? answer : (check.problem ?? "does not answer")),
    el("span", { class: `badge ${check.ok ? "ok" : "failed"}` }, check.ok ? roundTrip : "down"));
}

function drawBackfill(backfill) {
  $("backfill-card").hidden = !backfill;
  if (!backfill) return;
  draw("backfill", backfill, () => {
    const share = backfill.runs ? backfill.transferred / backfill.runs : 1;
    const bar = el("span");
    bar.style.width = `${(share * 100).toFixed(1)}%`;
    return [
      el("p", {}, backfill.asked, backfill.dry_run ? " (dry run)" : ""),
      el("div", { class: "meter", role: "meter", "aria-label": backfill.dry_run ? "Runs compared" : "Runs transferred", "aria-valuemin": 0, "aria-valuemax": backfill.runs, "aria-valuenow": backfill.transferred }, bar),
      el("p", { class: "quiet" }, `${number.format(backfill.transferred)} of ${count(backfill.runs, "run")} · `,
        backfill.ended_at ? `ended ${when(backfill.ended_at)}` : `${duration(backfill.remaining_s)} to go`, " · ",
        runLink(backfill.dag_run, "DAG run", "backfill")),
    ];
  });
}

const outcomeText = (counts) => {
  const parts = outcomeCounts(counts);
  return parts.length ? parts.join(", ") : "nothing to do";
};

function drawComparisons(comparisons) {
  draw("comparisons", comparisons, () => comparisons.length
    ? comparisons.map((comparison) => el("div", { class: "line" },
      runLink(comparison.dag_run, comparison.started_at ? when(comparison.started_at) : "queued", comparison.dag_run.dag_run_id),
      el("span", { class: "details" }, comparison.state === "success" ? comparisonText(comparison) : ""),
      el("span", {}, ...runBadges(comparison))))
    : el("p", { class: "empty" }, "None yet. vte_wats_reconcile compares VTE with WATS once a day."));
}
const comparisonText = ({ counts, dry_run }) => (Object.keys(counts).length ? `${dry_run ? "would be" : "transferred"}: ${outcomeText(counts)}` : "nothing was missing in WATS");
const runBadges = ({ state, dry_run }) => [el("span", { class: `badge ${state}` }, state), ...(dry_run ? [" ", el("span", { class: "badge dry-run" }, "dry run")] : [])];

function drawRecent(recent) {
  draw("recent", recent, () => recent.length ? el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Last DAG runs" }, el("table", {},
    el("thead", {}, el("tr", {}, ...["Started", "DAG", "Interval", "State", "Duration"].map((heading) => el("th", { scope: "col" }, heading)),
      ...OUTCOMES.map((outcome) => el("th", { class: "number", scope: "col" }, outcome)))),
    el("tbody", {}, ...recent.map((run) => el("tr", {},
      el("td", {}, runLink(run.dag_run, run.started_at ? when(run.started_at) : "queued", run.dag_run.dag_run_id)),
      el("td", {}, run.dag),
      el("td", {}, run.interval && run.interval.from !== run.interval.to ? range(run.interval.from, run.interval.to) : "–"),
      el("td", {}, ...runBadges(run)),
      el("td", {}, run.took_s === null ? "–" : duration(run.took_s)),
      ...OUTCOMES.map((outcome) => amount(run.counts[outcome] ?? 0, run.dry_run ? "would be " : "")))))))
    : el("p", { class: "empty" }, "No DAG run yet. Unpause vte_wats_sync in Airflow."));
}

// Talking to the server -----------------------------------------------------------------------------------------------

async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(new URL(path, document.baseURI), { credentials: "same-origin", cache: "no-store", ...options });
  } catch {
    return trouble("Airflow does not answer. What is shown below may be old; the page keeps trying.");
  }
  if (answer.ok) {
    $("trouble").hidden = true;
    return answer.json();
  }
  if (answer.status === 401) return trouble("Your login has ended. Sign in to Airflow again, then reload.");
  let detail = "";
  try { detail = (await answer.json()).detail; } catch { /* no JSON, no detail */ }
  return trouble(typeof detail === "string" && detail ? detail : `Airflow answers with HTTP ${answer.status}.`);
}

function trouble(text) {
  if ($("trouble").textContent !== text) $("trouble").textContent = text;
  $("trouble").hidden = false;
  return null;
}

const query = (extra) => new URLSearchParams({ site: shown.site, ...extra });

async function refreshStatus() {
  const status = await ask(`api/status?${query()}`);
  if (!status || status.site !== shown.site) return;
  const before = shown.status;
  shown.status = status;
  shown.updatedAt = new Date();
  drawAssessment(status);
  drawTiles(status);
  drawCoverage(status);
  drawConnections(status.connectivity, status.wats_profile);
  drawBackfill(status.backfill);
  drawComparisons(status.comparisons);
  drawRecent(status.recent);
  drawUpdated();
  $("main").setAttribute("aria-busy", "false");
  if (before && JSON.stringify(before.totals) !== JSON.stringify(status.totals)) refreshHistory();
  if (before && before.dead_letters !== status.dead_letters) refreshDeadLetters();
}

async function refreshHistory() {
  const { span, site } = shown;
  const history = await ask(`api/history?${query({ span })}`);
  if (!history || span !== shown.span || site !== shown.site) return;
  shown.history = history;
  drawHistory(history);
}

async function refreshDeadLetters() {
  const { site } = shown;
  const deadLetters = await ask(`api/dead-letters?${query()}`);
  if (!deadLetters || site !== shown.site) return;
  shown.deadLetters = deadLetters;
  drawDeadLetters(deadLetters, shown.status?.may_redrive ?? false);
}

async function refreshProof() {
  const { site } = shown;
  const proof = await ask(`api/proof?${query()}`);
  if (!proof || site !== shown.site) return;
  shown.proof = proof;
  drawProof(proof);
  if (shown.status) drawTiles(shown.status);
}

async function refreshSurvey() {
  const { site } = shown;
  const survey = await ask(`api/survey?${query()}`);
  if (survey && site === shown.site) showSurvey(survey);
}

const drawUpdated = () => { if (shown.updatedAt) $("updated").textContent = `updated ${timeAndSecond.format(shown.updatedAt)}`; };

function repeat(seconds, work) {
  const turn = async () => {
    if (!document.hidden) await work();
    setTimeout(turn, 1000 * (typeof seconds === "function" ? seconds() : seconds));
  };
  turn();
}

async function chooseSite() {
  const sites = await ask("api/sites");
  if (!sites) return false;
  const asked = new URLSearchParams(location.search).get("site");
  shown.site = sites.find((candidate) => candidate.site === asked)?.site ?? sites[0]?.site ?? "";
  if (sites.length > 1) {
    $("site-picker").hidden = false;
    $("site").replaceChildren(...sites.map(({ site, assessment }) => el("option", { value: site, selected: site === shown.site }, `${site}: ${assessment.status}`)));
    $("site").onchange = () => {
      shown.site = $("site").value;
      window.history.replaceState(null, "", `?${query()}`);
      $("redriven").replaceChildren();
      $("taken-over").replaceChildren();
      shown.proof = shown.day = shown.survey = null;
      refreshStatus(); refreshProof(); refreshHistory(); refreshDeadLetters(); refreshSurvey();
    };
  }
  return true;
}

// Airflow's own light or dark, where it can be seen from its frame; else what the system prefers.
function followTheme() {
  let outer;
  try { outer = window.parent === window ? null : window.parent.document.documentElement; } catch { outer = null; }
  if (!outer) return;
  const apply = () => {
    const dark = outer.classList.contains("dark"), light = outer.classList.contains("light");
    document.documentElement.classList.toggle("dark", dark);
    document.documentElement.classList.toggle("light", light && !dark);
  };
  apply();
  new MutationObserver(apply).observe(outer, { attributes: true, attributeFilter: ["class"] });
}

async function start() {
  followTheme();
  $("zone").textContent = `Times are those of ${Intl.DateTimeFormat().resolvedOptions().timeZone}. The page refreshes itself every ${STATUS_S} seconds; nothing on it asks VTE or WATS.`;
  drawSpans();
  while (!(await chooseSite())) await new Promise((resolve) => setTimeout(resolve, 1000 * STATUS_S));
  await refreshStatus();
  $("proof-csv").addEventListener("click", follow);
  repeat(HISTORY_S, refreshProof);
  repeat(HISTORY_S, refreshHistory);
  repeat(HISTORY_S, refreshSurvey);
  repeat(() => (shown.deadLetters && shown.deadLetters.read < shown.deadLetters.listed ? UNREAD_S : DEAD_LETTERS_S), refreshDeadLetters);
  setTimeout(() => repeat(STATUS_S, refreshStatus), 1000 * STATUS_S);
  new ResizeObserver(() => { if (shown.status) drawCoverage(shown.status); drawHistory(shown.history); }).observe($("main"));
}

start();
