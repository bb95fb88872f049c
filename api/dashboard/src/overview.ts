// The first page: who is hurt and since when, all requests, latencies, the table of customers.

import { json, path, range, type CustomerRow, type Customers, type Hurt, type HurtRow, type Pipeline, type Series } from "./api";
import { sparkline } from "./chart";
import { everyMs, type Context, type View } from "./context";
import { CustomersTable } from "./customers";
import { fill, h } from "./dom";
import { ago, bytes, count, duration, points, rfc3339, share, when } from "./format";
import { panel, Source } from "./panel";
import { card, cards, heatPanel, latencyPanel, latencySource, requestsPanel, seriesSource, showCard, statsSource } from "./parts";
import { isMoving, rangeSeconds } from "./state";
import { stretches, worst, type Stretch } from "./trouble";

const HURT_SHOWN = 7;
/** Fewer errors than that can be chance, whatever their share. */
const ERRORS_SURE = 3;
const SHARE_SURE = 2;

interface Since { stretch: Stretch | null; values: (number | null)[] }

/** Whether so many requests failed that it is no chance. */
function isHurt(row: HurtRow): boolean {
  return row.server_errors >= ERRORS_SURE && (row.error_share_at_least ?? 0) >= SHARE_SURE;
}

export function overview(c: Context): View {
  const stats = statsSource(c), series = seriesSource(c), heat = latencySource(c);
  const made = cards(stats, series);
  const active = card("Active customers", "Customers with requests in the range. New: whose first request of all that are kept lies in it");
  const requests = requestsPanel(c, series), latency = latencyPanel(c, series), heatMap = heatPanel(c, heat);
  const table = new CustomersTable(c);
  const hurt = hurtPanel(c);
  const empty = h("div", { class: "nothing", hidden: true });
  const content = h("div", { class: "panels" },
    h("h1", { class: "sr" }, "Overview: all customers"),
    hurt.verdict,
    h("div", { class: "cards" }, made.els, active.el),
    h("div", { class: "two" }, requests.el, hurt.el),
    h("div", { class: "two" }, latency.el, heatMap.el),
    table.el);
  const drawActive = () => {
    const value = hurt.source.value, fresh = table.source.value?.new_customers;
    active.el.classList.toggle("loading", !value && !hurt.source.problem);
    if (value) showCard(active, count(value.total_customers), `${count(value.total_hurt)} with server errors or a drop`);
    if (value && fresh != null) fill(active.delta, `${count(fresh)} new`);
  };
  hurt.source.listen(drawActive);
  table.source.listen(drawActive);
  stats.listen(() => {
    const none = stats.value?.total_requests === 0 && !stats.problem;
    content.hidden = none;
    empty.hidden = !none;
    if (none) void nothing(c, empty);
  });
  return {
    el: h("div", null, empty, content),
    title: "Overview",
    sources: [stats, series, hurt.source, heat, table.source] as Source<unknown>[],
    charts: [requests.chart, latency.chart, heatMap.chart],
    tick: (tick) => made.rate(tick.requests_per_second),
    update(changed) {
      const rows = ["sort", "order", "q"] as const;
      if (rows.some((name) => changed.has(name))) table.changed();
      if (changed.has("hurt")) hurt.changed();
      if (["from", "to"].some((name) => changed.has(name as "from"))) {
        for (const source of [stats, series, heat]) void source.refresh(true);
        hurt.changed();
        table.rangeChanged();
      }
    },
    destroy: () => { hurt.stop(); table.stop(); },
  };
}

function hurtPanel(c: Context) {
  const source = new Source<Hurt>(() => path("/v1/hurt", { ...range(c.state), sort: c.state.hurt, limit: 50 }), () => everyMs(c.state, 2));
  const since = new Map<string, Since>();
  let stop = new AbortController();
  const list = h("ol", { class: "hurt" });
  const verdict = h("p", { class: "verdict loading" }, h("span", { class: "mark", "aria-hidden": "true" }), h("span", null, "Looking who is hurt …"));
  const choose = h("select", { "aria-label": "Rank by", onchange: () => c.go({ hurt: choose.value }, true) },
    [["evidence", "surest failures"], ["drop", "own drop"], ["share", "share of errors"]].map(([value, label]) => h("option", { value, selected: c.state.hurt === value }, label!)));
  const draw = (value: Hurt) => {
    const most = Math.max(1, ...value.data.map((row) => row.share_of_errors ?? 0));
    fill(list, ...value.data.slice(0, HURT_SHOWN).map((row) => item(c, row, since.get(row.customer_id), most)));
    say(c, verdict, value, since);
  };
  const made = panel<Hurt>({
    id: "hurt", title: "Who is hurt", source, tz: c.state.tz, announce: c.announce, head: [choose],
    isEmpty: (value) => (value.total_hurt === 0 ? "Nobody: no server error in this range, and nobody worse off than before." : null),
    render: (value) => {
      fill(made.note, value.total_hurt > HURT_SHOWN ? `${HURT_SHOWN} of ${count(value.total_hurt)}` : "");
      draw(value);
      void sinceWhen(c, value, since, stop.signal).then((news) => { if (news && source.value) draw(source.value); });
    },
  }, list);
  source.listen(() => {
    verdict.classList.toggle("stale", source.problem !== null && source.value !== null);
    if (source.problem && !source.value) {
      verdict.className = "verdict was";
      fill(verdict, h("span", { class: "mark", "aria-hidden": "true" }, "◆"), h("span", null, h("strong", null, "Who is hurt is not known. "), `${source.problem.title}.`));
    }
    if (source.value?.total_hurt === 0) say(c, verdict, source.value, since);
  });
  return {
    el: made.el, source, verdict,
    changed: () => { stop.abort(); stop = new AbortController(); since.clear(); void source.refresh(true); },
    stop: () => stop.abort(),
  };
}

/** Minutes as far back as the trouble may have begun before the range did. */
function sinceQuestion(c: Context, customer: string): string {
  const short = rangeSeconds(c.state) <= 3 * 3600;
  const query = short && isMoving(c.state) ? { from: "-3h", granularity: "1m" } : { ...range(c.state), granularity: rangeSeconds(c.state) <= 60 * 3600 ? "15m" : "1h" };
  return path(`/v1/customers/${encodeURIComponent(customer)}/series`, query);
}

async function sinceWhen(c: Context, value: Hurt, known: Map<string, Since>, signal: AbortSignal): Promise<boolean> {
  const rows = value.data.slice(0, HURT_SHOWN);
  const asked = rows.map(async (row) => {
    try {
      const series = await json<Series>(sinceQuestion(c, row.customer_id), signal);
      known.set(row.customer_id, { stretch: worst(stretches(series.data, Date.parse(series.to))), values: series.data.map((p) => p.status["5xx"]) });
      return true;
    } catch {
      return false; // The row stands without it.
    }
  });
  return (await Promise.all(asked)).some(Boolean) && !signal.aborted;
}

function item(c: Context, row: HurtRow, since: Since | undefined, most: number): HTMLElement {
  const bar = h("i", { class: "share", "aria-hidden": "true" });
  bar.style.setProperty("--part", `${((row.share_of_errors ?? 0) / most) * 100}%`);
  const drop = row.availability_drop;
  return h("li", { class: isHurt(row) ? "sure" : null },
    h("div", { class: "who" }, h("a", { href: c.link({ view: "customer", customer: row.customer_id }), class: "row-link" }, row.customer_id),
      h("span", { class: "since" }, since ? sinceText(c, since.stretch) : "")),
    since ? sparkline(since.values, "--c5") : h("span", { class: "spark" }),
    h("div", { class: "how" }, h("b", null, share(row.availability)), h("small", null, drop === null ? "" : drop > 0 ? points(-drop) : drop < 0 ? points(-drop) : "as before")),
    h("div", { class: "part", title: `${share(row.share_of_errors, 1)} of all server errors` }, h("span", null, `${count(row.server_errors)} ${row.server_errors === 1 ? "error" : "errors"}`), bar));
}

function sinceText(c: Context, stretch: Stretch | null): string {
  if (!stretch || stretch.errors < ERRORS_SURE) return "now and then";
  return stretch.ongoing ? `since ${when(stretch.from, c.state.tz)}` : `${when(stretch.from, c.state.tz)}–${when(stretch.to, c.state.tz)}, over`;
}

/** The page in one sentence. */
function say(c: Context, el: HTMLElement, value: Hurt, since: Map<string, Since>): void {
  const sure = c.state.hurt === "evidence" ? value.data.filter(isHurt) : value.data.filter(isHurt).sort((a, b) => (b.error_share_at_least ?? 0) - (a.error_share_at_least ?? 0));
  const first = sure[0];
  const over = sure.length > 0 && sure.every((row) => { const s = since.get(row.customer_id)?.stretch; return s != null && !s.ongoing; });
  el.className = `verdict ${first ? (over ? "was" : "bad") : "ok"}`;
  const mark = h("span", { class: "mark", "aria-hidden": "true" }, first ? (over ? "◆" : "▲") : "●");
  if (!first) {
    const errors = value.server_errors;
    return fill(el, mark, h("span", null, h("strong", null, "Nobody is clearly hurt. "),
      errors === 0 ? `No server error among ${count(value.total_customers)} customers.` : `${count(errors)} server ${errors === 1 ? "error" : "errors"} among ${count(value.total_customers)} customers, scattered.`));
  }
  const s = since.get(first.customer_id)?.stretch;
  const many = sure.length === value.data.length && value.data.length < value.total_hurt ? `${count(sure.length)} or more` : count(sure.length);
  fill(el, mark, h("span", null,
    h("strong", null, `${many} of ${count(value.total_customers)} customers ${over ? (sure.length === 1 ? "was" : "were") : sure.length === 1 ? "is" : "are"} hurt. `),
    sure.length > 1 ? "Most: " : "", h("a", { href: c.link({ view: "customer", customer: first.customer_id }) }, first.customer_id),
    `, ${share(first.availability)} available`,
    s ? (s.ongoing ? `, since ${when(s.from, c.state.tz)} (${duration((Date.now() - s.from) / 1000)}), and it goes on.` : `, from ${when(s.from, c.state.tz)} to ${when(s.to, c.state.tz)}; over for ${duration((Date.now() - s.to) / 1000)}.`) : "."));
}

/** No requests in the range: where there are some, or what is waited for. */
async function nothing(c: Context, el: HTMLElement): Promise<void> {
  const newest = await json<Customers>(path("/v1/customers", { from: "1970-01-01", sort: "last_seen", limit: 1 })).catch(() => null);
  const row: CustomerRow | undefined = newest?.data[0];
  if (row) {
    const end = (Math.floor(Date.parse(row.last_seen) / 60_000) + 1) * 60_000;
    const long = rangeSeconds(c.state) * 1000;
    const begin = Math.floor((end - Math.max(long, 3_600_000)) / 86_400_000) * 86_400_000;
    const address = c.link(Date.now() - end < 40 * 3_600_000 ? { from: rfc3339(end - Math.max(long, 3_600_000)), to: rfc3339(end) } : { from: rfc3339(begin).slice(0, 10), to: rfc3339(end + 86_400_000).slice(0, 10) });
    return fill(el, h("h1", null, "No requests in this range"), h("p", null, `The newest request was ${ago(row.last_seen)}, at ${when(Date.parse(row.last_seen), c.state.tz)} (${c.state.tz}).`), h("p", null, h("a", { class: "button", href: address }, "Show the newest requests")));
  }
  const pipeline = await json<Pipeline>("/v1/pipeline").catch(() => null);
  const files = pipeline?.processor?.files.map((file) => h("li", null, h("code", null, file.path), ` ${bytes(file.size)}`)) ?? [];
  fill(el, h("h1", null, "No lines yet"),
    files.length ? h("div", null, h("p", null, "Watching"), h("ul", null, ...files)) : h("p", null, pipeline?.running ? "The processor runs and waits for the log to appear." : "No processor follows a log for this api at the moment."),
    h("p", { class: "muted" }, "This page fills by itself as soon as lines come in. The demo writes some: ./start.sh demo"));
}
