// The status page: fetches the JSON under api/ and draws it. Every text goes in as text, never as markup.

const STATUS_S = 10, LETTERS_S = 30, HISTORY_S = 60, UNREAD_S = 1;
const OUTCOMES = ["uploaded", "replaced", "unchanged", "dead", "held"];
const SPANS = { day: "24 hours", fortnight: "14 days", year: "Year" };
const HOUR = 3600e3, DAY = 24 * HOUR;
const ROOT = new URL("../", document.baseURI); // where Airflow's own pages begin

const $ = (id) => document.getElementById(id);
const number = new Intl.NumberFormat("en");
const shown = { site: "", span: "day", hidden: new Set(), status: null, past: null, letters: null, updatedAt: null };

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

// Draws a section anew when what it shows has changed, and keeps what is open in it and where the keyboard is.
const drawn = new Map();
function draw(id, data, make) {
  const text = JSON.stringify(data);
  if (drawn.get(id) === text) return;
  drawn.set(id, text);
  const place = $(id);
  const open = new Set([...place.querySelectorAll("details[open]")].map((one) => one.dataset.key));
  const focused = place.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  place.replaceChildren(...[make(data)].flat());
  for (const one of place.querySelectorAll("details")) if (open.has(one.dataset.key)) one.open = true;
  if (focused) [...place.querySelectorAll("[data-key]")].find((one) => one.dataset.key === focused)?.focus();
}

// Inside Airflow the page is in a frame that may not navigate; a link of Airflow's own document may.
function follow(event) {
  if (window.parent === window) return;
  event.preventDefault();
  const outer = window.parent.document;
  const link = outer.createElement("a");
  link.href = event.currentTarget.href instanceof SVGAnimatedString ? event.currentTarget.href.baseVal : event.currentTarget.href;
  if (event.ctrlKey || event.metaKey) link.target = "_blank";
  outer.body.append(link);
  link.click();
  link.remove();
}
const address = ({ dag_id, run_id }) =>
  new URL(`dags/${encodeURIComponent(dag_id)}/runs/${encodeURIComponent(run_id)}`, ROOT).href;
const runLink = (dagRun, text, key) => el("a", { href: address(dagRun), on: { click: follow }, "data-key": key }, text);

// Words ---------------------------------------------------------------------------------------------------------------

const count = (n, thing) => `${number.format(n)} ${thing}${n === 1 ? "" : "s"}`;
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

// Standing and tiles --------------------------------------------------------------------------------------------------

function drawStanding({ standing, conditions, problem }) {
  $("standing").className = `standing ${standing.word}`;
  if ($("word").textContent !== standing.word) $("word").textContent = standing.word;
  if ($("reason").textContent !== standing.reason) $("reason").textContent = standing.reason;
  $("conditions").hidden = !conditions.length && !problem;
  draw("conditions", { conditions, problem }, () => [
    ...(problem ? [el("li", {}, problem)] : []),
    ...conditions.map((one) =>
      el("li", {}, el("div", {}, one.summary), el("div", { class: "quiet" }, `since ${when(one.opened_at)} · ${one.advice}`))),
  ]);
}

const tile = (name, figure, small, ...notes) =>
  el("dl", { class: "tile" }, el("dt", {}, name),
    el("dd", { class: "figure" }, figure, small ? el("small", {}, ` ${small}`) : null),
    ...notes.map((note) => el("dd", typeof note === "string" ? { class: "note" } : {}, note)));

function drawTiles(status) {
  const { lag, uploads, budget, totals, letters, redriven } = status;
  const inWats = (totals.uploaded ?? 0);
  draw("tiles", { lag, uploads, budget, totals, letters, redriven }, () => {
    const share = budget.per_minute ? Math.min(1, budget.last_minute / budget.per_minute) : 0;
    const bar = el("span");
    bar.style.width = `${(share * 100).toFixed(1)}%`;
    return [
      tile("Behind VTE by", lag.behind_s === null ? "–" : duration(lag.behind_s), null,
        lag.last_sync ? `in WATS up to ${when(lag.last_sync)}` : "nothing synced yet",
        lag.newest_at ? `newest run in VTE ${when(lag.newest_at)}` : "no run seen in VTE yet"),
      tile("Runs waiting", number.format(lag.runs_waiting), null, lag.seen_until_at ? `VTE seen up to ${when(lag.seen_until_at)}` : ""),
      tile("Runs uploaded", number.format(inWats), null,
        `${number.format(totals.replaced ?? 0)} replaced, ${number.format(totals.unchanged ?? 0)} read again`),
      tile("Dead letters", number.format(letters), null, redriven ? `${number.format(redriven)} went through later` : "runs that are not in WATS"),
      tile("Upload time, p50", milliseconds(uploads.p50_ms), null,
        `p95 ${milliseconds(uploads.p95_ms)}`, uploads.reports ? `${count(uploads.reports, "report")} lately` : "none lately"),
      tile("Budget of WATS", budget.per_minute ? `${Math.round(share * 100)} %` : "–", null,
        el("div", { class: "meter", role: "meter", "aria-label": "Share of the budget used in the last minute", "aria-valuemin": 0,
          "aria-valuemax": 100, "aria-valuenow": Math.round(share * 100) }, bar),
        budget.per_minute ? `${number.format(budget.last_minute)} of ${number.format(budget.per_minute)} a minute` : "not known yet"),
    ];
  });
}

// Coverage ------------------------------------------------------------------------------------------------------------

const KINDS = { complete: "complete", running: "running", waiting: "waiting", gap: "gap" };

function drawCoverage(coverage) {
  const width = Math.max(260, $("coverage").clientWidth);
  const shape = coverage && { ...coverage, to_at: coverage.to_at.slice(0, 16), width,
    pieces: coverage.pieces.map((piece) => ({ ...piece, to_at: piece.to_at.slice(0, 16) })) };
  draw("coverage", shape, () => (coverage ? coveragePicture(coverage, width) : el("p", { class: "empty" }, "Nothing has been synced yet.")));
  const gaps = (coverage?.pieces ?? []).filter((piece) => piece.kind === "gap").reverse();
  draw("gaps", gaps, () => (gaps.length ? gapList(gaps) : []));
}

function coveragePicture(coverage, width) {
  const label = width < 480 ? 52 : 84, row = 17, bar = 12, top = 4, bottom = 20;
  const days = daysUntil(new Date(coverage.to_at));
  const height = top + days.length * row + bottom;
  const x = (day, at) => label + ((Math.min(Math.max(at, day.begins), day.ends) - day.begins) / (day.ends - day.begins)) * (width - label);
  const gaps = coverage.pieces.filter((piece) => piece.kind === "gap").length;
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "group",
    "aria-label": `Coverage since ${when(coverage.from_at)}: ${gaps ? count(gaps, "gap") : "no gaps"}` });
  days.forEach((day, index) => {
    const y = top + index * row;
    picture.append(svg("text", { x: 0, y: y + bar - 2 }, dayName.format(day.begins).slice(0, width < 480 ? 6 : 12)));
    picture.append(svg("rect", { class: "track", x: label, y, width: width - label, height: bar, rx: 3 }));
    const order = { complete: 0, waiting: 1, running: 2, gap: 3 };
    const pieces = coverage.pieces.filter((one) => new Date(one.from_at) < day.ends && new Date(one.to_at) > day.begins);
    for (const piece of pieces.sort((one, other) => order[one.kind] - order[other.kind])) picture.append(pieceShape(piece, day, x, y, bar));
  });
  for (const hour of [0, 6, 12, 18, 24]) {
    const at = label + (hour / 24) * (width - label);
    picture.append(svg("text", { x: at, y: height - 5, "text-anchor": hour === 24 ? "end" : hour ? "middle" : "start" }, `${String(hour).padStart(2, "0")}:00`));
  }
  return picture;
}

function pieceShape(piece, day, x, y, height) {
  const left = x(day, new Date(piece.from_at)), natural = x(day, new Date(piece.to_at)) - left;
  const width = piece.kind === "complete" || piece.kind === "waiting" ? natural : Math.max(3, natural); // a gap is never too thin to see
  const text = `${KINDS[piece.kind]} ${range(piece.from_at, piece.to_at)}`;
  const shape = svg("rect", { class: piece.kind, x: left.toFixed(1), y, width: Math.max(0.5, width).toFixed(1), height, rx: 2 },
    svg("title", {}, text));
  if (!piece.dag_run || piece.kind !== "gap") return shape;
  return svg("a", { href: address(piece.dag_run), "aria-label": `${text}: open the DAG run that left it`, on: { click: follow },
    "data-key": `${piece.from_at}/${day.begins.getTime()}` }, shape);
}

function daysUntil(end) {
  return [...Array(14).keys()].map((back) => {
    const begins = new Date(end.getFullYear(), end.getMonth(), end.getDate() - back);
    return { begins, ends: new Date(end.getFullYear(), end.getMonth(), end.getDate() - back + 1) };
  });
}

function gapList(gaps) {
  const few = gaps.slice(0, 8);
  const more = gaps.length - few.length;
  return el("ul", { "aria-label": "Gaps" },
    ...few.map((gap) => el("li", {}, range(gap.from_at, gap.to_at), " · ", gap.dag_run
      ? runLink(gap.dag_run, gap.dag_runs > 1 ? `the first of ${gap.dag_runs} DAG runs that left it` : "the DAG run that left it", `gap ${gap.from_at}`)
      : "no DAG run of the last 14 days left it")),
    more ? el("li", { class: "quiet" }, `and ${count(more, "older gap")}`) : null);
}

// The chart -----------------------------------------------------------------------------------------------------------

function drawChart(past) {
  if (!past) return;
  const width = Math.max(260, $("chart").clientWidth);
  const sums = Object.fromEntries(OUTCOMES.map((one) => [one, past.points.reduce((sum, point) => sum + (point.outcomes[one] ?? 0), 0)]));
  draw("outcomes", { sums, hidden: [...shown.hidden] }, () => [
    ...OUTCOMES.map((one) => el("button", { type: "button", "aria-pressed": String(!shown.hidden.has(one)), "data-key": one,
      on: { click: () => { shown.hidden.has(one) ? shown.hidden.delete(one) : shown.hidden.add(one); drawChart(shown.past); } } },
      el("i", { class: `swatch ${one}` }), `${one} `, el("b", {}, number.format(sums[one])))),
    el("span", { class: "quiet" }, `of ${number.format(past.points.reduce((sum, point) => sum + point.read, 0))} read`),
  ]);
  draw("chart", { past, width, hidden: [...shown.hidden] }, () =>
    past.points.some((point) => point.read) ? chartPicture(past, width) : el("p", { class: "empty" }, "No runs were read in this time."));
  drawTable(past);
}

function chartPicture(past, width) {
  const left = 44, top = 8, plot = 150, bottom = 22, height = top + plot + bottom;
  const visible = OUTCOMES.filter((one) => !shown.hidden.has(one));
  const tall = past.points.map((point) => visible.reduce((sum, one) => sum + (point.outcomes[one] ?? 0), 0));
  const ceiling = niceCeiling(Math.max(1, ...tall));
  const step = (width - left) / past.points.length, gap = step > 8 ? 2 : 1;
  const y = (value) => top + plot - (value / ceiling) * plot;
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img",
    "aria-label": `Runs over the last ${SPANS[past.span].toLowerCase()}; the table below has the numbers` });
  for (const value of [0, ceiling / 2, ceiling]) {
    picture.append(svg("line", { class: "grid", x1: left, x2: width, y1: y(value), y2: y(value) }));
    picture.append(svg("text", { x: left - 8, y: y(value) + 4, "text-anchor": "end" }, short(value)));
  }
  past.points.forEach((point, index) => {
    const x = left + index * step;
    const bars = svg("g", {}, svg("title", {}, pointText(point)));
    let below = 0;
    for (const one of visible) {
      const runs = point.outcomes[one] ?? 0;
      if (!runs) continue;
      const high = Math.max(one === "dead" || one === "held" ? 2 : 0.5, y(below) - y(below + runs)); // never too thin to see
      bars.append(svg("rect", { class: one, x: (x + gap / 2).toFixed(1), y: (y(below) - high).toFixed(1), width: Math.max(1, step - gap).toFixed(1), height: high.toFixed(1) }));
      below += runs;
    }
    picture.append(bars);
  });
  const every = Math.ceil(past.points.length / (width < 480 ? 4 : 8));
  past.points.forEach((point, index) => {
    if (index % every === 0) picture.append(svg("text", { x: left + index * step, y: height - 6 }, axisText(past.span, new Date(point.from_at))));
  });
  return picture;
}

function niceCeiling(value) {
  const size = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 5, 10].map((factor) => factor * size).find((candidate) => candidate >= value);
}
const short = (value) => (value >= 1e6 ? `${value / 1e6} M` : value >= 1e4 ? `${value / 1e3} k` : number.format(value));
const axisDay = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const axisText = (span, at) => (span === "day" ? time.format(at) : axisDay.format(at));
const pointText = (point) => [range(point.from_at, point.to_at),
  ...OUTCOMES.filter((one) => point.outcomes[one]).map((one) => `${number.format(point.outcomes[one])} ${one}`),
  point.p95_ms === null ? "" : `upload p50 ${milliseconds(point.p50_ms)}, p95 ${milliseconds(point.p95_ms)}`].filter(Boolean).join("\n");

function drawTable(past) {
  const body = $("chart-table").querySelector("div");
  const rows = past.points.filter((point) => point.read).reverse();
  body.replaceChildren(el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Runs as a table" }, el("table", {},
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Time"), ...["read", ...OUTCOMES, "p50", "p95"].map((one) => el("th", { class: "number", scope: "col" }, one)))),
    el("tbody", {}, ...rows.map((point) => el("tr", {}, el("td", {}, range(point.from_at, point.to_at)), amount(point.read),
      ...OUTCOMES.map((one) => amount(point.outcomes[one] ?? 0)),
      el("td", { class: "number" }, milliseconds(point.p50_ms)), el("td", { class: "number" }, milliseconds(point.p95_ms))))))));
}
const amount = (n) => el("td", { class: n ? "number" : "number zero" }, number.format(n));

function drawSpans() {
  draw("spans", shown.span, () => Object.entries(SPANS).map(([span, text]) =>
    el("button", { type: "button", "aria-pressed": String(span === shown.span), "data-key": span,
      on: { click: () => { shown.span = span; drawSpans(); refreshHistory(); } } }, text)));
}

// Dead letters --------------------------------------------------------------------------------------------------------

function drawLetters(letters, mayRedrive) {
  $("letters-count").textContent = letters.read < letters.listed
    ? `${number.format(letters.read)} of ${number.format(letters.listed)} looked at so far` : letters.listed ? count(letters.listed, "run") : "";
  draw("letters", { letters, mayRedrive }, () => [
    ...(letters.groups.length ? letters.groups.map((group) => letterGroup(group, mayRedrive))
      : [el("p", { class: "empty" }, letters.listed ? "Looking at them …" : "None: every run that was read is in WATS.")]),
    ...(letters.unreadable ? [el("p", { class: "quiet" }, `${count(letters.unreadable, "file")} in the folder cannot be read as dead letters.`)] : []),
  ]);
}

function letterGroup(group, mayRedrive) {
  const more = group.dead_letters - group.examples.length;
  const button = el("button", { type: "button", disabled: !mayRedrive, "data-key": `again ${group.kind} ${group.signature}`,
    on: { click: () => askToRedrive(group) } }, "Drive again");
  return el("details", { class: "group", "data-key": `${group.kind} ${group.signature}` },
    el("summary", { "data-key": `open ${group.kind} ${group.signature}` }, el("span", { class: "many" }, number.format(group.dead_letters)),
      el("span", { class: "signature" }, group.signature),
      el("span", { class: `badge ${group.kind}` }, group.kind)),
    el("div", { class: "body" },
      el("p", { class: "quiet" }, `first ${when(group.first_at)}, last ${when(group.last_at)}`,
        group.kind === "held" ? " · waits for a setting and goes through by itself once it is there" : ""),
      el("ul", { class: "examples" }, ...group.examples.map((one) => el("li", {},
        el("div", {}, one.product ?? "no product", " · ", one.serial || "no serial", ` · ${count(one.attempts, "try").replace("trys", "tries")}`),
        el("div", {}, one.reason), el("code", {}, one.index_guid))), more > 0 ? el("li", { class: "quiet" }, `and ${count(more, "more run")}`) : null),
      el("div", { class: "actions" }, button,
        mayRedrive ? null : el("span", { class: "quiet" }, "You may not trigger the DAG that does it."))));
}

function askToRedrive(group) {
  const dialog = $("confirm");
  $("confirm-text").textContent = `${count(group.dead_letters, "run")} with “${group.signature}” will be read from VTE anew and carried. Those that are still wrong stay dead letters.`;
  $("confirm-no").onclick = () => dialog.close();
  $("confirm-yes").onclick = async () => { dialog.close(); await redrive(group.signature); };
  dialog.showModal();
}

async function redrive(signature) {
  const answer = await ask(`api/redrive?site=${encodeURIComponent(shown.site)}`, {
    method: "POST", body: JSON.stringify({ signature }), headers: { "Content-Type": "application/json", "X-VTE-WATS": "redrive" } });
  if (!answer) return;
  $("redriven").replaceChildren(answer.is_paused ? `Waits until ${answer.dag_run.dag_id} is unpaused: ` : "On its way: ", runLink(answer.dag_run, "DAG run", "redriven"));
  refreshStatus();
}

// Connections, backfill, runs -----------------------------------------------------------------------------------------

function drawReach({ checked_at, vte, wats }) {
  $("checked").textContent = checked_at ? `checked ${when(checked_at)}` : "";
  draw("reach", { vte, wats }, () => [["VTE", vte, "SQL Server "], ["WATS", wats, ""]].map(([name, one, product]) => el("div", { class: "reach" },
    el("strong", {}, name),
    el("span", { class: "about" }, one ? (one.ok ? (one.version ? `${product}${one.version}` : "answers") : (one.problem ?? "does not answer")) : "not checked yet"),
    one ? el("span", { class: `badge ${one.ok ? "ok" : "failed"}` }, one.ok ? (one.round_trip_ms === null ? "ok" : milliseconds(one.round_trip_ms)) : "away") : "")));
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
      el("div", { class: "meter", role: "meter", "aria-label": "Runs carried", "aria-valuemin": 0, "aria-valuemax": backfill.runs, "aria-valuenow": backfill.transferred }, bar),
      el("p", { class: "quiet" }, `${number.format(backfill.transferred)} of ${count(backfill.runs, "run")} · `,
        backfill.ended_at ? `ended ${when(backfill.ended_at)}` : `${duration(backfill.remaining_s)} to go`, " · ",
        runLink(backfill.dag_run, "DAG run", "backfill")),
    ];
  });
}

const outcomeText = (counts) => {
  const parts = OUTCOMES.filter((one) => counts[one]).map((one) => `${number.format(counts[one])} ${one}`);
  return parts.length ? parts.join(", ") : "nothing to do";
};

function drawComparisons(comparisons) {
  draw("comparisons", comparisons, () => comparisons.length
    ? comparisons.map((one) => el("div", { class: "reach" },
      runLink(one.dag_run, one.begun_at ? when(one.begun_at) : "queued", one.dag_run.run_id),
      el("span", { class: "about" }, one.state === "success" ? comparisonText(one.counts) : ""),
      el("span", { class: `badge ${one.state}` }, one.state)))
    : el("p", { class: "empty" }, "None yet. vte_wats_reconcile compares VTE with WATS once a day."));
}
const comparisonText = (counts) => (Object.keys(counts).length ? `carried: ${outcomeText(counts)}` : "nothing was missing in WATS");

function drawRecent(recent) {
  draw("recent", recent, () => recent.length ? el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Last DAG runs" }, el("table", {},
    el("thead", {}, el("tr", {}, ...["Begun", "DAG", "Interval", "State", "Took"].map((one) => el("th", { scope: "col" }, one)),
      ...OUTCOMES.map((one) => el("th", { class: "number", scope: "col" }, one)))),
    el("tbody", {}, ...recent.map((run) => el("tr", {},
      el("td", {}, runLink(run.dag_run, run.begun_at ? when(run.begun_at) : "queued", run.dag_run.run_id)),
      el("td", {}, run.dag),
      el("td", {}, run.from_at && run.to_at && run.from_at !== run.to_at ? range(run.from_at, run.to_at) : "–"),
      el("td", {}, el("span", { class: `badge ${run.state}` }, run.state)),
      el("td", {}, run.took_s === null ? "–" : duration(run.took_s)),
      ...OUTCOMES.map((one) => amount(run.counts[one] ?? 0)))))))
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

const about = (extra) => new URLSearchParams({ site: shown.site, ...extra });

async function refreshStatus() {
  const status = await ask(`api/status?${about()}`);
  if (!status || status.site !== shown.site) return;
  const before = shown.status;
  shown.status = status;
  shown.updatedAt = new Date();
  drawStanding(status);
  drawTiles(status);
  drawCoverage(status.coverage);
  drawReach(status.connectivity);
  drawBackfill(status.backfill);
  drawComparisons(status.comparisons);
  drawRecent(status.recent);
  drawUpdated();
  $("main").setAttribute("aria-busy", "false");
  if (before && JSON.stringify(before.totals) !== JSON.stringify(status.totals)) refreshHistory();
  if (before && before.letters !== status.letters) refreshLetters();
}

async function refreshHistory() {
  const { span, site } = shown;
  const past = await ask(`api/history?${about({ span })}`);
  if (!past || span !== shown.span || site !== shown.site) return;
  shown.past = past;
  drawChart(past);
}

async function refreshLetters() {
  const { site } = shown;
  const letters = await ask(`api/letters?${about()}`);
  if (!letters || site !== shown.site) return;
  shown.letters = letters;
  drawLetters(letters, shown.status?.may_redrive ?? false);
}

const drawUpdated = () => { if (shown.updatedAt) $("updated").textContent = `updated ${timeAndSecond.format(shown.updatedAt)}`; };

function every(seconds, work) {
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
  shown.site = sites.find((one) => one.site === asked)?.site ?? sites[0]?.site ?? "";
  if (sites.length > 1) {
    $("site-picker").hidden = false;
    $("site").replaceChildren(...sites.map((one) => el("option", { value: one.site, selected: one.site === shown.site }, `${one.site}: ${one.standing.word}`)));
    $("site").onchange = () => {
      shown.site = $("site").value;
      history.replaceState(null, "", `?${about()}`);
      $("redriven").replaceChildren();
      refreshStatus(); refreshHistory(); refreshLetters();
    };
  }
  return true;
}

// Airflow's own light or dark, where it can be seen from its frame; else what the system prefers.
function followTheme() {
  let outer;
  try { outer = window.parent === window ? null : window.parent.document.documentElement; } catch { outer = null; }
  if (!outer) return;
  const take = () => {
    const dark = outer.classList.contains("dark"), light = outer.classList.contains("light");
    document.documentElement.classList.toggle("dark", dark);
    document.documentElement.classList.toggle("light", light && !dark);
  };
  take();
  new MutationObserver(take).observe(outer, { attributes: true, attributeFilter: ["class"] });
}

async function begin() {
  followTheme();
  $("zone").textContent = `Times are those of ${Intl.DateTimeFormat().resolvedOptions().timeZone}. The page refreshes itself every ${STATUS_S} seconds; nothing on it asks VTE or WATS.`;
  drawSpans();
  while (!(await chooseSite())) await new Promise((resolve) => setTimeout(resolve, 1000 * STATUS_S));
  await refreshStatus();
  every(HISTORY_S, refreshHistory);
  every(() => (shown.letters && shown.letters.read < shown.letters.listed ? UNREAD_S : LETTERS_S), refreshLetters);
  setTimeout(() => every(STATUS_S, refreshStatus), 1000 * STATUS_S);
  new ResizeObserver(() => { if (shown.status) drawCoverage(shown.status.coverage); drawChart(shown.past); }).observe($("main"));
}

begin();
