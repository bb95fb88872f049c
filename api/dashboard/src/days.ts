// A bar for each of the last ninety days, and one control for all of them: a bar alone is too narrow a target.

import { of, path, type Point, type Series } from "./api";
import type { Context } from "./context";
import { fill, h } from "./dom";
import { count, fullDay, share } from "./format";
import { panel, Source } from "./panel";

const BARS_DAYS = 90;

export function daysPanel(c: Context) {
  const zone = c.state.tz === "UTC" ? null : c.state.tz;
  const source = new Source<Series>(() => path(of(c.state, "series"), { from: `-${BARS_DAYS - 1}d`, granularity: "1d", tz: zone }), () => 60_000,
    () => path(of(c.state, "series"), { from: `-${BARS_DAYS - 1}d`, granularity: "1d" }));
  let points: Point[] = [], tz = "UTC", chosen = "";
  const said = h("p", { class: "under" }, "Choose a day with the pointer or the arrow keys; a click or Enter opens it.");
  const list = h("div", { class: "days", role: "slider", tabindex: "0", "aria-label": `Availability of the last ${BARS_DAYS} days`, "aria-valuemin": "0", "aria-valuemax": "0", "aria-valuenow": "0", "aria-valuetext": "no day chosen; arrow keys choose one" });

  const choose = (at: number) => {
    const p = points[at], bar = list.children[at];
    if (!p || !bar) return;
    list.querySelector(".at")?.classList.remove("at");
    bar.classList.add("at");
    chosen = p.start;
    const text = dayText(p, tz);
    fill(said, text);
    list.setAttribute("aria-valuenow", String(at));
    list.setAttribute("aria-valuetext", text);
  };
  const open = (at: number) => {
    const p = points[at];
    if (!p || p.availability === null) return;
    const date = p.start.slice(0, 10);
    c.go({ from: date, to: new Date(Date.parse(`${date}T00:00:00Z`) + 86_400_000).toISOString().slice(0, 10) });
  };
  const under = (e: Event) => [...list.children].indexOf((e.target as Element).closest(".day-bar")!);
  list.addEventListener("pointermove", (e) => choose(under(e)));
  list.addEventListener("click", (e) => open(under(e)));
  list.addEventListener("keydown", (e) => {
    const last = points.length - 1, now = points.findIndex((p) => p.start === chosen), from = now < 0 ? last + 1 : now;
    const to = { ArrowLeft: from - 1, ArrowRight: from + 1, Home: 0, End: last }[e.key];
    if (to !== undefined) choose(Math.min(Math.max(to, 0), last));
    else if (e.key === "Enter") open(now);
    else return;
    e.preventDefault();
  });

  const made = panel<Series>({
    id: "days", title: `Availability, last ${BARS_DAYS} days`, source, tz: c.state.tz, announce: c.announce,
    render: (s) => {
      points = s.data.slice(-BARS_DAYS);
      tz = s.tz;
      list.setAttribute("aria-valuemax", String(points.length - 1));
      fill(list, ...points.map(dayBar));
      choose(points.findIndex((p) => p.start === chosen));
      const kept = points.filter((p) => p.availability !== null);
      fill(made.note, `${kept.length} with requests, ${kept.filter((p) => (p.availability ?? 0) < 99.9).length} below 99.9 %`);
    },
  }, list, said);
  return { el: made.el, source };
}

function dayText(p: Point, tz: string): string {
  return `${fullDay(Date.parse(p.start), tz)}: ${p.availability === null ? "no requests" : `${share(p.availability)} available, ${count(p.total_requests)} requests, ${count(p.status["5xx"])} server errors`}`;
}

function dayBar(p: Point): HTMLElement {
  const level = p.availability === null ? "none" : p.availability >= 99.9 ? "ok" : p.availability >= 99 ? "warn" : "bad";
  const bar = h("span", { class: `bar ${level}` });
  // Of what is missing, even the smallest part is seen; ten percent and more fill the bar.
  bar.style.setProperty("--height", p.availability === null ? "15%" : p.availability === 100 ? "100%" : `${Math.max(12, 100 - Math.max(6, (100 - p.availability) * 9))}%`);
  return h("span", { class: `day-bar ${level}` }, bar);
}
