// The table of all customers: sorted and searched by the api, fetched page by page as they come into sight, so that ten thousand are as smooth as ten.

import { ask, path, range, type CustomerRow, type Customers, type Others } from "./api";
import { sparkline } from "./chart";
import { everyMs, type Context } from "./context";
import { fill, h } from "./dom";
import { ago, count, errorShare, latency, NONE, share } from "./format";
import { panel, Source } from "./panel";
import { Sparks } from "./sparks";

const ROW_PX = 34;
const PAGE = 200;
const VISIBLE_ROWS = 14;

/** Without a key the api cannot sort by it. */
interface Column { key: string; title: string; hint: string; numeric: boolean; wide?: boolean; cell: (row: CustomerRow, c: Context) => Node | string }

const COLUMNS: Column[] = [
  { key: "customer_id", title: "Customer", hint: "", numeric: false, cell: (row, c) => h("a", { href: c.link({ view: "customer", customer: row.customer_id, q: "" }), class: "row-link" }, row.customer_id) },
  { key: "", title: "Trend", hint: "Requests over the range", numeric: false, wide: true, cell: () => h("span", { class: "trend" }) },
  { key: "total_requests", title: "Requests", hint: "", numeric: true, cell: (row) => count(row.total_requests) },
  { key: "availability", title: "Availability", hint: "Share of requests with a status below 500", numeric: true, cell: (row) => availability(row.availability) },
  { key: "uptime", title: "Success", hint: "Share of requests with a status from 200 to 399", numeric: true, wide: true, cell: (row) => share(row.uptime) },
  { key: "status.5xx", title: "5xx", hint: "Server errors, and their share", numeric: true, cell: (row) => errors(row.status["5xx"], row.total_requests) },
  { key: "status.4xx", title: "4xx", hint: "Client errors, and their share", numeric: true, wide: true, cell: (row) => errors(row.status["4xx"], row.total_requests) },
  { key: "median_latency", title: "p50", hint: "Median latency", numeric: true, wide: true, cell: (row) => latency(row.median_latency) },
  { key: "p99_latency", title: "p99", hint: "99th percentile of the latency", numeric: true, cell: (row) => latency(row.p99_latency) },
  { key: "last_seen", title: "Last seen", hint: "The newest request of all", numeric: true, wide: true, cell: (row) => ago(row.last_seen) },
];

/** A share with a bar of what is missing; the bar's scale ends at ten percent. */
export function availability(percent: number | null): HTMLElement {
  if (percent === null) return h("span", { class: "muted" }, NONE);
  const level = percent >= 99.9 ? "ok" : percent >= 99 ? "warn" : "bad";
  const bar = h("i", { class: `lack ${level}`, "aria-hidden": "true" });
  bar.style.setProperty("--lack", `${Math.min(100, (100 - percent) * 10)}%`);
  return h("span", { class: "with-bar" }, bar, h("span", { class: "share-number" }, share(percent)));
}

function errors(part: number, whole: number): Node | string {
  return part === 0 ? h("span", { class: "muted" }, "0", h("small", { class: "of" })) : h("span", null, count(part), h("small", { class: "of" }, errorShare(part, whole, 1)));
}

export class CustomersTable {
  readonly el: HTMLElement;
  readonly source: Source<Customers>;
  private readonly scroller: HTMLElement;
  private readonly body: HTMLElement;
  private readonly above: HTMLElement;
  private readonly below: HTMLElement;
  private readonly search: HTMLInputElement;
  private readonly head: HTMLElement;
  private readonly more: HTMLElement;
  private readonly foot = h("tfoot", { hidden: true });
  private rows: CustomerRow[] = [];
  private total = 0;
  private next: string | null = null;
  private loading = false;
  private drawnFor = "";
  private generation = 0;
  private readonly sparks: Sparks;
  /** Lines that were in sight and may come back into it. */
  private readonly made = new WeakMap<CustomerRow, HTMLElement>();

  constructor(private readonly c: Context) {
    this.source = new Source<Customers>(() => this.pagePath(null), () => everyMs(c.state, 2));
    this.sparks = new Sparks(c, (customer) => this.trend(this.body.querySelector(`[data-row="${CSS.escape(customer)}"]`), customer));
    this.head = h("tr");
    this.above = h("tr", { class: "space", "aria-hidden": "true" }, h("td"));
    this.below = h("tr", { class: "space", "aria-hidden": "true" }, h("td"));
    this.body = h("tbody", null, this.above, this.below);
    this.more = h("span", { class: "note" });
    const table = h("table", { class: "grid" }, h("thead", null, this.head), this.body, this.foot);
    this.scroller = h("div", { class: "scroller", tabindex: "0", role: "region", "aria-label": "Customers, scrollable", onscroll: () => this.scrolled() }, table);
    this.scroller.style.height = `${ROW_PX * (VISIBLE_ROWS + 1)}px`;
    this.search = h("input", { type: "search", placeholder: "Search customers", "aria-label": "Search customers in the table", value: c.state.q, maxlength: "256", spellcheck: "false", autocomplete: "off" });
    let typing = 0;
    this.search.addEventListener("input", () => {
      clearTimeout(typing);
      typing = window.setTimeout(() => c.go({ q: this.search.value }, true), 150);
    });
    const csv = h("button", { class: "text-tool", type: "button", title: "Download this table as CSV", onclick: () => void this.download(csv) }, "CSV");
    const made = panel<Customers>({
      id: "customers", title: "Customers", source: this.source, tz: c.state.tz, announce: c.announce, head: [this.search, csv], path: () => this.pagePath(null, 100),
      isEmpty: (page) => (page.total_customers > 0 ? null : c.state.q ? `No customer has “${c.state.q}” in the id.` : "No customer has requests in this range."),
      render: (page) => this.first(page),
    }, this.scroller);
    made.note.replaceWith(this.more);
    this.el = made.el;
    this.heads();
  }

  /** Another range has other lines. */
  rangeChanged(): void {
    this.sparks.clear();
    this.changed();
  }

  stop(): void {
    this.sparks.clear();
  }

  /** What is sorted by or searched for has changed. */
  changed(): void {
    this.heads();
    this.scroller.scrollTop = 0;
    this.rows = [];
    // The cursor belongs to the order that was.
    this.next = null;
    this.generation++;
    if (document.activeElement !== this.search) this.search.value = this.c.state.q;
    void this.source.refresh(true);
  }

  private pagePath(cursor: string | null, limit = PAGE): string {
    const { sort, order, q } = this.c.state;
    return path("/v1/customers", { ...range(this.c.state), sort, order, q, limit, cursor });
  }

  private heads(): void {
    const { sort, order } = this.c.state;
    const focused = document.activeElement?.getAttribute("data-sort");
    fill(this.head, ...COLUMNS.map((column) => {
      const now = column.key === sort;
      const next = now ? (order === "desc" ? "asc" : "desc") : column.numeric && column.key !== "availability" && column.key !== "uptime" ? "desc" : "asc";
      return h("th", { scope: "col", class: `${column.numeric ? "num" : ""} ${column.wide ? "wide" : ""}`, "aria-sort": now ? (order === "desc" ? "descending" : "ascending") : null },
        !column.key ? h("span", { class: "unsorted", title: column.hint }, column.title) : h("button", { type: "button", title: column.hint || null, "data-sort": column.key, onclick: () => this.c.go({ sort: column.key, order: next }, true) },
          column.title, h("span", { class: "arrow", "aria-hidden": "true" }, now ? (order === "desc" ? "↓" : "↑") : "")));
    }));
    if (focused) this.head.querySelector<HTMLElement>(`[data-sort="${CSS.escape(focused)}"]`)?.focus();
  }

  /** The first page came anew. Who has scrolled down is not disturbed: those rows stay as they were fetched until the table is back at its top. */
  private first(page: Customers): void {
    this.total = page.total_customers;
    fill(this.more, `${count(page.total_customers)}${this.c.state.q ? " found" : ""}`);
    if (this.rows.length === 0 || this.rows.length <= page.data.length || this.scroller.scrollTop < ROW_PX) {
      this.rows = page.data;
      this.next = page.next_cursor;
      this.rest(page.others);
    }
    this.scroller.style.height = `${ROW_PX * (Math.min(this.total, VISIBLE_ROWS) + (this.foot.hidden ? 1 : 2)) + 2}px`;
    this.drawnFor = "";
    this.draw();
  }

  /** The last line: who is not in the table, or not fetched yet, so that its lines and this one are all requests. */
  private rest(others: Others): void {
    this.foot.hidden = others.customers === 0;
    if (this.foot.hidden) return;
    const row: CustomerRow = { ...others, customer_id: "", last_seen: others.last_seen ?? "" };
    const text = h("span", { title: "Together: all customers that are not in the table" }, `${count(others.customers)} ${others.customers === 1 ? "other" : "others"}`);
    const why = "Percentiles of several customers together do not follow from those of each";
    fill(this.foot, h("tr", { "aria-rowindex": String(this.total + 2) }, COLUMNS.map((column) => {
      const attributes = { class: `${column.numeric ? "num" : ""} ${column.wide ? "wide" : ""}` };
      if (column.key === "customer_id") return h("th", { scope: "row", ...attributes }, text);
      if (column.key.endsWith("_latency")) return h("td", { ...attributes, title: why }, NONE, h("span", { class: "sr" }, ` ${why}`));
      return h("td", attributes, column.key ? column.cell(row, this.c) : "");
    })));
  }

  private scrolled(): void {
    requestAnimationFrame(() => this.draw());
  }

  private draw(): void {
    const top = this.scroller.scrollTop, shown = Math.ceil(this.scroller.clientHeight / ROW_PX);
    const first = Math.max(0, Math.floor(top / ROW_PX) - 6), end = Math.min(this.total, first + shown + 14);
    if (end > this.rows.length && this.next) void this.fetchTo(end);
    const key = `${first} ${end} ${Math.min(end, this.rows.length)} ${this.total}`;
    if (key === this.drawnFor) return;
    this.drawnFor = key;
    const focused = (document.activeElement as HTMLElement | null)?.closest?.("[data-row]")?.getAttribute("data-row");
    const rows: HTMLElement[] = [];
    for (let i = first; i < end; i++) {
      const row = this.rows[i];
      const made = (row && this.made.get(row)) ?? this.line(row);
      made.setAttribute("aria-rowindex", String(i + 2));
      if (row) this.made.set(row, made);
      rows.push(made);
    }
    this.above.style.height = `${first * ROW_PX}px`;
    this.below.style.height = `${Math.max(0, this.total - end) * ROW_PX}px`;
    this.place(rows);
    if (matchMedia("(min-width: 721px)").matches) this.sparks.want(this.rows.slice(Math.floor(top / ROW_PX), Math.ceil(top / ROW_PX) + shown).map((row) => row.customer_id));
    this.scroller.querySelector("table")!.setAttribute("aria-rowcount", String(this.total + (this.foot.hidden ? 1 : 2)));
    if (focused) this.body.querySelector<HTMLElement>(`[data-row="${CSS.escape(focused)}"] a`)?.focus({ preventScroll: true });
  }

  /** Only what comes into sight or goes out of it is touched: the browser has the less to lay out. */
  private place(rows: HTMLElement[]): void {
    const stay = new Set(rows);
    for (const old of [...this.body.children]) if (old !== this.above && old !== this.below && !stay.has(old as HTMLElement)) old.remove();
    let before: Element = this.above;
    for (const row of rows) {
      if (before.nextElementSibling !== row) before.after(row);
      before = row;
    }
  }

  private trend(line: Element | null, customer: string): void {
    const values = this.sparks.of(customer), cell = line?.querySelector(".trend");
    if (values && cell) fill(cell as HTMLElement, sparkline(values, "--c2"));
  }

  private line(row: CustomerRow | undefined): HTMLElement {
    const line = h("tr", { "data-row": row ? row.customer_id : null },
      COLUMNS.map((column, n) => {
        const attributes = { class: `${column.numeric ? "num" : ""} ${column.wide ? "wide" : ""}` };
        const content = row ? column.cell(row, this.c) : n === 0 ? "…" : "";
        return n === 0 ? h("th", { scope: "row", ...attributes }, content) : h("td", attributes, content);
      }));
    if (row) this.trend(line, row.customer_id);
    return line;
  }

  private async fetchTo(end: number): Promise<void> {
    if (this.loading) return;
    this.loading = true;
    const generation = this.generation;
    try {
      while (this.next && this.rows.length < end && generation === this.generation) {
        const far = end - this.rows.length > PAGE;
        const page = (await (await ask(this.pagePath(this.next, far ? 1000 : PAGE))).json()) as Customers;
        if (generation !== this.generation) break;
        this.rows.push(...page.data);
        this.next = page.next_cursor;
        this.rest(page.others);
      }
    } catch {
      this.c.announce("The next customers could not be fetched"); // Scrolling asks again.
    } finally {
      this.loading = false;
    }
    this.draw();
  }

  /** All pages, as the api writes them. */
  private async download(button: HTMLButtonElement): Promise<void> {
    button.disabled = true;
    try {
      const parts: string[] = [];
      let next: string | null = `${this.pagePath(null, 1000)}&format=csv`;
      while (next) {
        const response: Response = await ask(next, undefined, "text/csv");
        const text = await response.text();
        parts.push(parts.length ? text.slice(text.indexOf("\n") + 1) : text);
        next = /<([^>]+)>; *rel="?next"?/.exec(response.headers.get("link") ?? "")?.[1] ?? null;
      }
      const url = URL.createObjectURL(new Blob(parts, { type: "text/csv" }));
      h("a", { href: url, download: "customers.csv" }).click();
      setTimeout(() => URL.revokeObjectURL(url), 10_000);
    } catch {
      this.c.announce("The table could not be downloaded");
    } finally {
      button.disabled = false;
    }
  }
}
