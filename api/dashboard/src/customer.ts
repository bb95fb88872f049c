// The page of one customer.

import { of, path, range, type Latency, type PathRow, type Paths, type RequestRow, type Requests, type Series } from "./api";
import { everyMs, type Context, type View } from "./context";
import { availability } from "./customers";
import { daysPanel } from "./days";
import { fill, h } from "./dom";
import { count, duration, errorShare, latency, NONE, share, time, when } from "./format";
import { panel, Source } from "./panel";
import { bucketName, cards, card, CLASSES, heatPanel, latencyPanel, latencySource, requestsPanel, seriesSource, showCard, statsSource } from "./parts";
import { shareTool } from "./share";
import { stretches } from "./trouble";

export function customer(c: Context): View {
  const stats = statsSource(c), series = seriesSource(c), heat = latencySource(c);
  const made = cards(stats, series);
  const minutes = card("Minutes up", "Share of minutes with traffic in which fewer than 5 % of the requests ended in a server error");
  stats.listen(() => {
    const s = stats.value;
    minutes.el.classList.remove("loading");
    if (s) showCard(minutes, share(s.uptime_minutes), s.minutes_with_traffic === null ? "minutes are kept for 47 hours" : `of ${count(s.minutes_with_traffic)} minutes with traffic`);
  });
  const requests = requestsPanel(c, series), lines = latencyPanel(c, series), heatMap = heatPanel(c, heat);
  const days = daysPanel(c), paths = pathsPanel(c), histogram = histogramPanel(c, stats), recent = requestsList(c);
  const classes = classesPanel(c, stats), incidents = incidentsPanel(c, series);
  const sources = [stats, series, heat, days.source, paths.source, histogram.source, recent.source] as Source<unknown>[];
  return {
    el: h("div", { class: "panels" },
      h("div", { class: "head" },
        c.me?.customer_id ? null : h("a", { class: "button quiet", href: c.link({ view: "overview", customer: "" }) }, "All customers"),
        h("h1", null, c.state.customer), c.me?.can_share ? shareTool(c) : null),
      h("div", { class: "cards" }, made.els, minutes.el),
      days.el,
      h("div", { class: "two even" }, requests.el, lines.el),
      h("div", { class: "two" }, paths.el, h("div", { class: "panels" }, classes, incidents)),
      h("div", { class: "two" }, h("div", { class: "panels" }, heatMap.el, recent.el), histogram.el)),
    title: c.state.customer,
    sources,
    charts: [requests.chart, lines.chart, heatMap.chart],
    tick: (tick) => made.rate(tick.requests_per_second),
    update(changed) {
      if (["status", "path", "min_latency"].some((name) => changed.has(name as "status"))) recent.changed();
      if (changed.has("status")) requests.chart.picked();
      if (["from", "to"].some((name) => changed.has(name as "from"))) for (const source of sources) void source.refresh(true);
    },
    destroy: () => undefined,
  };
}

function classesPanel(c: Context, source: ReturnType<typeof statsSource>): HTMLElement {
  const body = h("tbody");
  return panel({
    id: "classes", title: "Status classes", source, tz: c.state.tz, announce: c.announce,
    isEmpty: (s) => (s.total_requests === 0 ? "No requests in this range." : null),
    render: (s) => fill(body, ...CLASSES.map((one) => one).reverse().map((one) => {
      const n = s.status[one.name], before = s.previous?.status[one.name];
      const bar = h("i", { class: "share", "aria-hidden": "true", "data-color": one.color });
      bar.style.setProperty("--part", `${(n / (s.total_requests || 1)) * 100}%`);
      bar.style.setProperty("--c", `var(${one.color})`);
      return h("tr", null, h("th", { scope: "row" }, one.label), h("td", { class: "num" }, count(n)), h("td", { class: "num" }, errorShare(n, s.total_requests)), h("td", { class: "num muted wide" }, before === undefined ? "" : count(before)), h("td", { class: "bar-cell" }, bar));
    })),
  }, h("table", { class: "plain" }, h("thead", null, h("tr", null, ["Class", "Requests", "Share", "Before"].map((t, i) => h("th", { scope: "col", class: i === 3 ? "num wide" : i ? "num" : null }, t)), h("td", null))), body)).el;
}

function pathsPanel(c: Context) {
  const source = new Source<Paths>(() => path(of(c.state, "paths"), { ...range(c.state), limit: 20 }), () => everyMs(c.state, 3));
  const body = h("tbody");
  const row = (r: PathRow) => h("tr", null,
    h("th", { scope: "row" }, r.path === null ? h("em", null, "no path") : h("button", { class: "link path", title: "Show its requests", onclick: () => c.go({ path: r.path! }) }, r.path)),
    h("td", { class: "num" }, count(r.total_requests)), h("td", { class: "num" }, availability(r.availability)), h("td", { class: "num" }, count(r.status["5xx"])),
    h("td", { class: "num wide" }, count(r.status["4xx"])), h("td", { class: "num wide" }, latency(r.median_latency)), h("td", { class: "num" }, latency(r.p99_latency)));
  const made = panel<Paths>({
    id: "paths", title: "Endpoints", source, tz: c.state.tz, announce: c.announce,
    isEmpty: (p) => (p.data.length === 0 ? "No requests are kept one by one in this range." : null),
    render: (p) => {
      fill(made.note, Date.parse(p.covered.from) > Date.parse(p.from) + 60_000 ? `of requests since ${when(Date.parse(p.covered.from), c.state.tz)}` : p.total_paths > p.data.length ? `${p.data.length} of ${count(p.total_paths)}` : "");
      fill(body, ...p.data.map(row));
    },
  }, h("div", { class: "fit", tabindex: "0", role: "region", "aria-label": "Endpoints, scrollable" }, h("table", { class: "plain" }, h("thead", null, h("tr", null, ([["Path", ""], ["Requests", "num"], ["Availability", "num"], ["5xx", "num"], ["4xx", "num wide"], ["p50", "num wide"], ["p99", "num"]] as const).map(([t, k]) => h("th", { scope: "col", class: k || null }, t)))), body)));
  return { el: made.el, source };
}

function histogramPanel(c: Context, stats: ReturnType<typeof statsSource>) {
  const source = new Source<Latency>(() => path(of(c.state, "latency"), range(c.state)), () => everyMs(c.state, 2));
  const body = h("tbody");
  const draw = (l: Latency) => {
    const first = l.data.findIndex((b) => b.requests > 0), last = l.data.findLastIndex((b) => b.requests > 0);
    const most = Math.max(...l.data.map((b) => b.requests), 1), total = l.data.reduce((n, b) => n + b.requests, 0);
    const marks = Object.entries(stats.value?.latency ?? {}).filter((m): m is [string, number] => m[1] !== null);
    fill(body, ...l.data.slice(Math.max(0, first), last + 1).map((b) => {
      const bar = h("i", { class: "share", "aria-hidden": "true" });
      bar.style.setProperty("--part", `${(b.requests / most) * 100}%`);
      bar.style.setProperty("--c", "var(--heat)");
      const here = marks.filter(([, s]) => (s > b.above || (s === 0 && b.above === 0)) && (b.up_to === null || s <= b.up_to));
      return h("tr", null, h("th", { scope: "row" }, bucketName(b.above, b.up_to)), h("td", { class: "num" }, count(b.requests)), h("td", { class: "num" }, errorShare(b.requests, total, 1)),
        h("td", { class: "bar-cell marked" }, bar, here.map(([name, s]) => h("span", { class: "chip", title: `${name} is ${latency(s)}` }, name))));
    }));
  };
  const made = panel<Latency>({
    id: "histogram", title: "How slow", source, tz: c.state.tz, announce: c.announce,
    isEmpty: (l) => (l.data.every((b) => b.requests === 0) ? "No requests with a latency in this range." : null),
    render: draw,
  }, h("table", { class: "plain" }, h("thead", null, h("tr", null, ["Took", "Requests", "Share"].map((t, i) => h("th", { scope: "col", class: i ? "num" : null }, t)), h("td", null))), body));
  stats.listen(() => { if (source.value) draw(source.value); });
  return { el: made.el, source };
}

function requestsList(c: Context) {
  const source = new Source<Requests>(() => path(of(c.state, "requests"), { ...range(c.state), status: c.state.status, path: c.state.path, min_latency: c.state.min_latency, limit: 200 }), () => everyMs(c.state));
  const body = h("tbody");
  const status = h("select", { "aria-label": "Status class", onchange: () => c.go({ status: status.value }, true) });
  const classes = ["5xx", "4xx", "3xx", "2xx"];
  const statusChoices = () => ["", ...classes, ...(c.state.status && !classes.includes(c.state.status) ? [c.state.status] : [])];
  const slow = h("select", { "aria-label": "Minimum latency", onchange: () => c.go({ min_latency: slow.value }, true) });
  const slowChoices = () => [["", "every latency"], ["0.1", "≥ 100 ms"], ["0.5", "≥ 500 ms"], ["1", "≥ 1 s"], ["5", "≥ 5 s"], ...(c.state.min_latency && !["0.1", "0.5", "1", "5"].includes(c.state.min_latency) ? [[c.state.min_latency, `≥ ${c.state.min_latency} s`]] : [])];
  const chip = h("span");
  const filters = () => {
    fill(status, ...statusChoices().map((v) => h("option", { value: v, selected: c.state.status === v }, v || "every status")));
    fill(slow, ...slowChoices().map(([v, t]) => h("option", { value: v, selected: c.state.min_latency === v }, t!)));
    fill(chip, c.state.path ? h("button", { class: "chip remove", "aria-label": `No longer only ${c.state.path}`, onclick: () => c.go({ path: "" }, true) }, c.state.path, " ×") : null);
  };
  filters();
  const row = (r: RequestRow) => h("tr", null, h("td", { class: "time" }, when(Date.parse(r.time), c.state.tz, Date.now(), true)),
    h("td", null, h("span", { class: `status s${Math.floor(r.status / 100)}` }, r.status)), h("td", { class: "num" }, latency(r.latency)), h("td", { class: "path" }, r.path ?? NONE));
  const made = panel<Requests>({
    id: "recent", title: "Recent requests", source, tz: c.state.tz, announce: c.announce, head: [chip, status, slow],
    isEmpty: (r) => (r.data.length === 0 ? "No such requests are kept one by one in this range." : null),
    render: (r) => {
      fill(made.note, r.next_cursor ? `the newest ${r.data.length}` : `${r.data.length}`);
      fill(body, ...r.data.map(row));
    },
  }, h("div", { class: "fit tall", tabindex: "0", role: "region", "aria-label": "Recent requests, scrollable" },
    h("table", { class: "plain" }, h("thead", null, h("tr", null, ([["Time", ""], ["Status", ""], ["Latency", "num"], ["Path", ""]] as const).map(([t, k]) => h("th", { scope: "col", class: k || null }, t)))), body)));
  return { el: made.el, source, changed: () => { filters(); void source.refresh(true); } };
}

function incidentsPanel(c: Context, source: ReturnType<typeof seriesSource>): HTMLElement {
  const list = h("ol", { class: "incidents" });
  const found = (s: Series) => stretches(s.data, Date.parse(s.to)).filter((one) => one.errors > 1).reverse();
  return panel<Series>({
    id: "incidents", title: "Bad stretches", note: "5 % or more server errors", source, tz: c.state.tz, announce: c.announce,
    isEmpty: (s) => (found(s).length === 0 ? "None in this range." : null),
    render: (s) => fill(list, ...found(s).slice(0, 12).map((one) => h("li", null,
      h("a", { href: c.link({ from: new Date(one.from - (one.to - one.from)).toISOString().replace(/\.\d+Z/, "Z"), to: one.ongoing ? "now" : new Date(one.to + (one.to - one.from)).toISOString().replace(/\.\d+Z/, "Z") }) },
        one.ongoing ? `since ${when(one.from, c.state.tz)}` : `${when(one.from, c.state.tz)}–${time(one.to, c.state.tz)}`),
      h("span", null, one.ongoing ? "goes on" : duration((one.to - one.from) / 1000)), h("span", { class: "num" }, `${count(one.errors)} of ${count(one.requests)} failed`)))),
  }, list).el;
}
