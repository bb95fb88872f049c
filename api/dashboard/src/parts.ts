// Panels that the overview and the page of a customer share.

import { of, path, range, type Latency, type Point, type Series, type Stats } from "./api";
import { Chart, sparkline, type Pick } from "./chart";
import { everyMs, granularity, timeAxis, type Context } from "./context";
import { fill, h } from "./dom";
import { count, errorShare, latency, NONE, points, relative, share, short, when } from "./format";
import { panel, Source, type Tool } from "./panel";
import { worst, stretches } from "./trouble";

export const CLASSES = [
  { name: "5xx", label: "5xx server error", color: "--c5" },
  { name: "4xx", label: "4xx client error", color: "--c4" },
  { name: "3xx", label: "3xx redirection", color: "--c3" },
  { name: "2xx", label: "2xx success", color: "--c2" },
] as const;

export function statsSource(c: Context): Source<Stats> {
  const route = () => of(c.state, "stats");
  const compared = c.state.compare === "previous" ? { compare: "previous" } : {};
  return new Source<Stats>(() => path(route(), { ...range(c.state), ...compared }), () => everyMs(c.state), (parameter) => (parameter === "compare" ? path(route(), range(c.state)) : null));
}

export function seriesSource(c: Context): Source<Series> {
  const question = (own: Record<string, string>) => path(of(c.state, "series"), { ...range(c.state), ...own });
  const compared: Record<string, string> = c.state.compare === "previous" ? { compare: "previous" } : {};
  return new Source<Series>(() => question({ granularity: granularity(c.state), ...compared }), () => everyMs(c.state), () => question({}));
}

export function latencySource(c: Context): Source<Latency> {
  const question = (granularity: string) => path(of(c.state, "latency"), { ...range(c.state), granularity });
  return new Source<Latency>(() => question(granularity(c.state)), () => everyMs(c.state, 2), () => question("auto"));
}

interface Card { el: HTMLElement; value: HTMLElement; under: HTMLElement; delta: HTMLElement; spark: HTMLElement }

export function card(title: string, hint: string): Card {
  const value = h("div", { class: "value" }, NONE), under = h("div", { class: "under" }), delta = h("span", { class: "delta" }), spark = h("div", { class: "spark-box" });
  const el = h("div", { class: "card loading", title: hint, role: "group", "aria-label": title }, h("h2", null, title), h("div", { class: "row" }, value, delta), under, spark);
  return { el, value, under, delta, spark };
}

/** `better`: which way is good news. */
export function showCard(card: Card, value: string, under: string, change?: { text: string; sign: number; better: "up" | "down" | "none" } | null): void {
  card.el.classList.remove("loading");
  fill(card.value, value);
  fill(card.under, under);
  if (!change) return void fill(card.delta);
  const good = change.better === "none" || change.sign === 0 ? "" : (change.sign > 0) === (change.better === "up") ? "good" : "bad";
  card.delta.className = `delta ${good}`;
  fill(card.delta, h("span", { "aria-hidden": "true" }, change.sign > 0 ? "▲ " : change.sign < 0 ? "▼ " : ""), change.text, h("span", { class: "sr" }, " against the period before"));
}

/** The cards of a range, from its statistics and its series. */
export function cards(stats: Source<Stats>, series: Source<Series>): { els: HTMLElement[]; rate(perSecond: number | null): void } {
  const requests = card("Requests", "Requests in the range"), availability = card("Availability", "Share of requests with a status below 500"),
    p50 = card("p50 latency", "Half of the requests were at most this slow"), p99 = card("p99 latency", "99 of 100 requests were at most this slow"),
    errors = card("Errors", "Share of requests with a status of 400 or more");
  let perSecond: number | null = null;
  const underRequests = () => (perSecond === null ? "in this range" : `${perSecond.toLocaleString(undefined, { maximumFractionDigits: 1 })} per second now`);
  stats.listen(() => {
    const s = stats.value;
    for (const one of [requests, availability, p50, p99, errors]) {
      one.el.classList.toggle("stale", stats.problem !== null);
      one.el.classList.remove("loading");
    }
    if (!s) return;
    const b = s.previous;
    const change = (now: number | null, before: number | null | undefined, better: "up" | "down" | "none") =>
      now === null || before === null || before === undefined ? null : { text: relative(now, before), sign: relative(now, before).startsWith("±") ? 0 : Math.sign(now - before), better };
    showCard(requests, count(s.total_requests), underRequests(), b ? change(s.total_requests, b.total_requests, "none") : null);
    const difference = s.availability !== null && b?.availability != null ? s.availability - b.availability : null;
    showCard(availability, share(s.availability), `${share(s.uptime)} succeeded (200–399)`,
      difference === null ? null : { text: points(Math.round(difference * 100) / 100), sign: Math.sign(Math.round(difference * 100)), better: "up" });
    showCard(p50, latency(s.median_latency), `mean ${latency(s.average_latency)}`, b ? change(s.median_latency, b.median_latency, "down") : null);
    showCard(p99, latency(s.p99_latency), `slowest ${latency(s.max_latency)}`, b ? change(s.p99_latency, b.p99_latency, "down") : null);
    const bad = s.status["4xx"] + s.status["5xx"];
    showCard(errors, errorShare(bad, s.total_requests), `${count(s.status["5xx"])} 5xx · ${count(s.status["4xx"])} 4xx`,
      b ? change(bad / (s.total_requests || 1), (b.status["4xx"] + b.status["5xx"]) / (b.total_requests || 1), "down") : null);
  });
  series.listen(() => {
    const all = series.value?.data;
    if (!all) return;
    // The bucket that is running has not all of its requests yet: a line would seem to fall.
    const data = Date.parse(series.value!.to) > Date.now() ? all.slice(0, -1) : all;
    const line = (c: Card, get: (p: Point) => number | null, color: string) => fill(c.spark, sparkline(data.map(get), color));
    line(requests, (p) => p.total_requests, "--c2");
    line(availability, (p) => (p.total_requests ? p.status["5xx"] : null), "--c5");
    line(p50, (p) => p.median_latency, "--l50");
    line(p99, (p) => p.p99_latency, "--l99");
    line(errors, (p) => (p.total_requests ? (p.status["4xx"] + p.status["5xx"]) / p.total_requests : null), "--c4");
  });
  return {
    els: [requests, availability, errors, p50, p99].map((one) => one.el),
    rate: (n) => { perSecond = n; if (stats.value) fill(requests.under, underRequests()); },
  };
}

const STEP: Record<string, string> = { "1m": "per minute", "15m": "per 15 minutes", "1h": "per hour", "1d": "per day" };

function starts(s: Series): { starts: number[]; end: number } {
  return { starts: s.data.map((p) => Date.parse(p.start) / 1000), end: Date.parse(s.to) / 1000 };
}

function tableTool(chart: Chart, title: string): Tool {
  return { label: `${title}: show as table`, icon: "table", pressed: false, action: (button) => button.setAttribute("aria-pressed", String(chart.toggleTable())) };
}

function noRequests(s: { data: unknown[] }, requests: number): string | null {
  return s.data.length === 0 || requests === 0 ? "No requests in this range." : null;
}

function chartOptions(c: Context) {
  return { tz: c.state.tz, onZoom: (from: number, to: number) => c.go(timeAxis(c.state).onZoom(from, to)), onBack: () => c.back() };
}

/** Where there is a list of requests, a status class of the chart can be chosen for it, and given up again. */
function pickClass(c: Context): Pick | undefined {
  if (!c.state.customer) return undefined;
  return {
    chosen: () => c.state.status,
    choose: (name) => {
      const status = c.state.status === name ? "" : name;
      c.go({ status }, true);
      c.announce(status ? `Recent requests: only ${status}` : "Recent requests: every status");
    },
    title: (name) => `Recent requests: only ${name}`,
  };
}

export function requestsPanel(c: Context, series: Source<Series>): { el: HTMLElement; chart: Chart } {
  const chart = new Chart({ label: "Requests", kind: "stack", pick: pickClass(c), height: c.state.customer ? 230 : 272, format: (v) => count(v), axis: short, ...chartOptions(c) });
  const made = panel<Series>({
    id: "requests", title: "Requests", source: series, tz: c.state.tz, announce: c.announce, tools: [tableTool(chart, "Requests")],
    isEmpty: (s) => noRequests(s, s.data.reduce((n, p) => n + p.total_requests, 0)),
    render: (s) => {
      fill(made.note, STEP[s.granularity] ?? "");
      const sum = (name: keyof Point["status"]) => s.data.reduce((n, p) => n + p.status[name], 0);
      const classes = [...CLASSES, ...(sum("1xx") ? [{ name: "1xx", label: "1xx informational", color: "--c3" } as const] : [])];
      const columns = classes.map((one) => ({ label: one.name, color: one.color, values: s.data.map((p) => p.status[one.name]) }));
      const ghost = s.previous ? { label: "before", color: "--ghost", values: s.data.map((_, i) => s.previous![i]?.total_requests ?? null) } : undefined;
      const bad = worst(stretches(s.data, Date.parse(s.to)));
      chart.show({ ...starts(s), columns, ghost },
        `Requests ${STEP[s.granularity] ?? ""} from ${when(Date.parse(s.from), c.state.tz)} to ${when(Date.parse(s.to), c.state.tz)}: ${count(s.data.reduce((n, p) => n + p.total_requests, 0))} in all, ${count(sum("5xx"))} server errors.` +
        (bad ? ` Most of them from ${when(bad.from, c.state.tz)} to ${when(bad.to, c.state.tz)}.` : ""));
    },
  }, chart.el);
  return { el: made.el, chart };
}

export function latencyPanel(c: Context, series: Source<Series>): { el: HTMLElement; chart: Chart } {
  const log = c.state.scale === "log";
  const chart = new Chart({ label: "Latency", kind: "lines", height: 230, log, format: latency, axis: (v) => (log && !/^1(0*|e.*)$/.test(String(v).replace(/^0\.0*/, "")) ? "" : latency(v)), ...chartOptions(c) });
  const scale = h("button", { class: "text-tool", type: "button", "aria-pressed": String(log), title: "Logarithmic axis", onclick: () => c.go({ scale: log ? "linear" : "log" }, true) }, "log");
  const made = panel<Series>({
    id: "latency", title: "Latency", source: series, tz: c.state.tz, announce: c.announce, head: [scale], tools: [tableTool(chart, "Latency")],
    isEmpty: (s) => noRequests(s, s.data.reduce((n, p) => n + p.total_requests, 0))
      ?? (s.data.every((p) => p.median_latency === null) ? "This log does not say how long requests took, so there is no latency to show. In nginx, add $request_time to the log_format." : null),
    render: (s) => {
      fill(made.note, STEP[s.granularity] ?? "");
      const line = (name: string, color: string) => ({ label: name, color, values: s.data.map((p) => p.latency[name] ?? null) });
      const ghost = s.previous ? { label: "p99 before", color: "--ghost", values: s.data.map((_, i) => s.previous![i]?.p99_latency ?? null) } : undefined;
      const slowest = s.data.reduce<Point | null>((most, p) => ((p.p99_latency ?? -1) > (most?.p99_latency ?? -1) ? p : most), null);
      chart.show({ ...starts(s), columns: [line("p50", "--l50"), line("p95", "--l95"), line("p99", "--l99")], ghost },
        slowest ? `Latency ${STEP[s.granularity] ?? ""}: the highest p99 is ${latency(slowest.p99_latency)} at ${when(Date.parse(slowest.start), c.state.tz)}.` : "No latency.");
    },
  }, chart.el);
  return { el: made.el, chart };
}

export function bucketName(above: number, upTo: number | null): string {
  return upTo === null ? `> ${latency(above)}` : `≤ ${latency(upTo)}`;
}

export function heatPanel(c: Context, source: Source<Latency>): { el: HTMLElement; chart: Chart } {
  const chart = new Chart({ label: "Latency heat map", kind: "heat", height: 230, format: count, axis: short, ...chartOptions(c) });
  const made = panel<Latency>({
    id: "heat", title: "Latency distribution", source, tz: c.state.tz, announce: c.announce, tools: [tableTool(chart, "Latency distribution")],
    isEmpty: (s) => (s.data.every((b) => b.requests === 0) ? "No requests with a latency in this range." : null),
    render: (s) => {
      fill(made.note, STEP[s.granularity ?? ""] ?? "");
      const times = [...new Set(s.data.map((b) => b.start))];
      const rows = s.data.filter((b) => b.start === times[0]).map((b) => bucketName(b.above, b.up_to));
      const counts = times.map((_, i) => s.data.slice(i * rows.length, (i + 1) * rows.length).map((b) => b.requests));
      // Rows that nobody is in at either end only take room.
      const used = rows.map((_, r) => counts.some((row) => row[r]! > 0));
      const first = Math.max(0, used.indexOf(true)), last = used.lastIndexOf(true) + 1;
      chart.showHeat({ starts: times.map((t) => Date.parse(t) / 1000), end: Date.parse(s.to) / 1000, rows: rows.slice(first, last), counts: counts.map((row) => row.slice(first, last)) },
        "How many requests took how long, over time. The table view has the numbers.");
    },
  }, chart.el);
  return { el: made.el, chart };
}
