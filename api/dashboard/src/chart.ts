// Charts over time: one crosshair for all of them, drag to zoom, arrow keys, a readout that is also what a screen reader is told, and the same numbers as a table.
// Knows how to draw, nothing of what is drawn.

import uPlot from "uplot";
import { fill, h } from "./dom";
import { day, fullDay, NONE, time, when } from "./format";

export interface Column {
  label: string;
  /** The custom property of its colour. */
  color: string;
  values: (number | null)[];
  dashed?: boolean;
}

export interface Drawn {
  /** First seconds of the buckets, and the end of the last one. */
  starts: number[];
  end: number;
  columns: Column[];
  /** The period before, faintly. */
  ghost?: Column | undefined;
}

export interface Heat {
  starts: number[];
  end: number;
  /** Names of the rows from below. */
  rows: string[];
  /** By bucket, then by row. */
  counts: number[][];
}

interface Options {
  label: string;
  kind: "stack" | "lines" | "heat";
  height: number;
  tz: string;
  log?: boolean;
  format: (value: number | null) => string;
  axis: (value: number) => string;
  onZoom: (fromSecond: number, toSecond: number) => void;
  onBack: () => void;
  pick?: Pick | undefined;
}

/** A column can be chosen, by its name in the legend or where it stands. */
export interface Pick {
  chosen: () => string;
  choose: (label: string) => void;
  /** What that does, for a column. */
  title: (label: string) => string;
}

const CROSSHAIR = uPlot.sync("time");
const AXIS_FONT = "11px system-ui, sans-serif";

export class Chart {
  readonly el: HTMLElement;
  private readonly plotEl: HTMLElement;
  private readonly legend: HTMLElement;
  private readonly caption: HTMLElement;
  private readonly tableEl: HTMLElement;
  private plot: uPlot | null = null;
  private drawn: Drawn | null = null;
  private heat: Heat | null = null;
  private shape = "";
  private asTable = false;
  private readonly resize: ResizeObserver;
  private mark: number | null = null;
  /** The columns in the legend: they stay, so that who stands on one with the keyboard is not thrown off by every value. */
  private keys: { label: string; el: HTMLElement; value: HTMLElement }[] = [];
  private readonly at = h("span", { class: "at" });

  constructor(private readonly o: Options) {
    this.plotEl = h("div", { class: "plot", tabindex: "0", role: "slider", "aria-label": `${o.label}: time`, "aria-valuemin": "0", "aria-valuemax": "0", "aria-valuenow": "0", "aria-valuetext": "no bucket chosen", onkeydown: (e: KeyboardEvent) => this.key(e) });
    this.plotEl.style.height = `${o.height}px`;
    this.plotEl.classList.toggle("pick", o.pick !== undefined);
    this.legend = h("div", { class: "legend" });
    this.caption = h("figcaption", { class: "sr" });
    this.tableEl = h("div", { class: "chart-table", hidden: true, tabindex: "0", role: "region", "aria-label": `${o.label} as a table` });
    this.el = h("figure", { class: "chart" }, this.legend, this.plotEl, this.tableEl, this.caption);
    this.resize = new ResizeObserver(() => {
      const width = this.plotEl.clientWidth;
      if (this.plot && width > 0 && Math.abs(width - this.plot.width) >= 1) this.plot.setSize({ width, height: o.height });
    });
    this.resize.observe(this.plotEl);
  }

  show(drawn: Drawn, summary: string): void {
    this.drawn = drawn;
    this.draw(summary, drawn, [drawn.columns.map((c) => c.label).join(), drawn.ghost ? "ghost" : ""].join("|"), () => this.lines(drawn));
  }

  showHeat(heat: Heat, summary: string): void {
    this.heat = heat;
    this.draw(summary, heat, heat.rows.join(), () => [middles(heat.starts, heat.end), heat.starts.map(() => null)]);
  }

  private draw(summary: string, times: { starts: number[]; end: number }, shape: string, data: () => uPlot.AlignedData): void {
    fill(this.caption, summary);
    this.plotEl.setAttribute("aria-valuemax", String(Math.max(0, times.starts.length - 1)));
    if (this.plot && this.shape === shape) {
      this.plot.setData(data());
    } else {
      this.remake(data());
      this.shape = shape;
    }
    this.readout();
    if (this.asTable) this.table();
  }

  /** After a change of theme: colours are read anew. */
  recolour(): void {
    this.shape = "";
    if (this.drawn) this.show(this.drawn, this.caption.textContent ?? "");
    if (this.heat) this.showHeat(this.heat, this.caption.textContent ?? "");
  }

  toggleTable(): boolean {
    this.asTable = !this.asTable;
    this.tableEl.hidden = !this.asTable;
    this.plotEl.hidden = this.asTable;
    if (this.asTable) this.table();
    return this.asTable;
  }

  destroy(): void {
    this.resize.disconnect();
    this.plot?.destroy();
  }

  private times(): { starts: number[]; end: number } {
    return this.drawn ?? this.heat ?? { starts: [], end: 0 };
  }

  /** Stacked: each column on those before it, the last one drawn first. */
  private lines(drawn: Drawn): uPlot.AlignedData {
    const x = middles(drawn.starts, drawn.end);
    let columns = drawn.columns.map((c) => c.values);
    if (this.o.kind === "stack") {
      const sum = drawn.starts.map(() => 0);
      columns = columns.map((values) => values.map((value, i) => (sum[i]! += value ?? 0)));
      columns.reverse();
    }
    return [x, ...columns, ...(drawn.ghost ? [drawn.ghost.values] : [])] as uPlot.AlignedData;
  }

  private remake(data: uPlot.AlignedData): void {
    this.plot?.destroy();
    const style = getComputedStyle(document.documentElement);
    const color = (name: string) => style.getPropertyValue(name).trim();
    const { o } = this;
    const series: uPlot.Series[] = [{}];
    const columns = [...(this.drawn?.columns ?? [])];
    if (o.kind === "stack") columns.reverse();
    for (const c of columns) {
      series.push(o.kind === "stack"
        ? { label: c.label, fill: color(c.color), width: 0, points: { show: false }, paths: uPlot.paths.bars!({ size: [0.86, 64], gap: 0 }) }
        : { label: c.label, stroke: color(c.color), width: 1.75, spanGaps: false, ...(c.dashed ? { dash: [4, 3] } : {}), points: { size: 4, fill: color(c.color) } });
    }
    if (this.drawn?.ghost) series.push({ label: this.drawn.ghost.label, stroke: color("--ghost"), width: 1.25, dash: [3, 3], spanGaps: false, points: { show: false } });
    if (this.heat) series.push({ label: "", points: { show: false } });
    const axis: uPlot.Axis = { stroke: color("--muted"), font: AXIS_FONT, grid: { stroke: color("--grid"), width: 1 }, ticks: { show: false } };
    const rows = this.heat?.rows ?? [];
    const options: uPlot.Options = {
      width: Math.max(this.plotEl.clientWidth, 200), height: o.height,
      padding: [8, 4, 0, 0],
      legend: { show: false },
      tzDate: (second) => uPlot.tzDate(new Date(second * 1000), o.tz),
      scales: {
        x: { time: true, range: () => { const { starts, end } = this.times(); return [starts[0] ?? 0, end || 1]; } },
        y: this.heat ? { range: [0, rows.length] } : o.log ? { distr: 3, range: (_u, min, max) => logRange(min, max) } : { range: (_u, _min, max) => [0, (max || 1) * 1.06] },
      },
      axes: [
        { ...axis, size: 24, gap: 6, space: 72, values: (_u, splits, _axis, _space, step) => timeLabels(splits, step, o.tz) },
        { ...axis, size: this.heat ? 62 : 52, gap: 6, space: 28, values: (_u, splits) => splits.map((v) => (v === null ? "" : o.axis(v))),
          ...(this.heat ? { splits: () => rows.map((_, i) => i + 0.5).filter((_, i) => rows.length < 10 || i % 2 === 0), values: (_u: uPlot, splits: number[]) => splits.map((v) => rows[Math.floor(v)] ?? ""), grid: { show: false } } : {}) },
      ],
      series,
      cursor: {
        sync: { key: CROSSHAIR.key, scales: ["x", null] as unknown as [string, string] },
        drag: { x: true, y: false, setScale: false, dist: 6 },
        points: { show: o.kind === "lines" },
        y: false,
        bind: { dblclick: () => () => { o.onBack(); return null; } },
      },
      hooks: {
        setCursor: [() => this.readout()],
        setSelect: [(u) => this.selected(u)],
        ...(this.heat ? { draw: [(u: uPlot) => this.drawHeat(u, color("--heat"))] } : {}),
      },
    };
    this.plot = new uPlot(options, data, this.plotEl);
    // A click that ends a drag does not come here.
    if (o.pick) this.plot.over.addEventListener("click", (e) => this.clicked(e));
  }

  private clicked(e: MouseEvent): void {
    const i = this.plot?.posToIdx(e.offsetX);
    if (!this.plot || !this.drawn || i === undefined) return;
    const height = this.plot.posToVal(e.offsetY, "y");
    let sum = 0;
    const under = this.drawn.columns.find((c) => height <= (sum += c.values[i] ?? 0));
    if (under) this.o.pick!.choose(under.label);
  }

  /** Another column was chosen, here or elsewhere. */
  picked(): void {
    for (const key of this.keys) if (key.el instanceof HTMLButtonElement) key.el.setAttribute("aria-pressed", String(this.o.pick?.chosen() === key.label));
  }

  /** The legend's columns, made anew only when there are others. */
  private legendOf(columns: Column[]): void {
    if (this.keys.map((key) => key.label).join() === columns.map((c) => c.label).join()) return;
    const { pick } = this.o;
    this.keys = columns.map((c) => {
      const isGhost = c === this.drawn?.ghost, value = h("b"), swatch = h("i", { class: isGhost || c.dashed ? "swatch line" : "swatch" });
      swatch.style.setProperty("--c", `var(${c.color})`);
      const el = pick && !isGhost ? h("button", { class: "key", type: "button", title: pick.title(c.label), onclick: () => pick.choose(c.label) }, swatch, h("span", null, c.label), value)
        : h("span", { class: "key" }, swatch, c.label, value);
      return { label: c.label, el, value };
    });
    fill(this.legend, ...this.keys.map((key) => key.el), this.at);
    this.picked();
  }

  private selected(u: uPlot): void {
    const { left, width } = u.select;
    if (width < 6) return;
    const { starts, end } = this.times();
    const from = u.posToVal(left, "x"), to = u.posToVal(left + width, "x");
    u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.zoom(starts.filter((s) => s <= from).at(-1) ?? starts[0] ?? from, starts.find((s) => s >= to) ?? end);
  }

  private zoom(from: number, to: number): void {
    if (to > from) this.o.onZoom(from, to);
  }

  private drawHeat(u: uPlot, color: string): void {
    const heat = this.heat;
    if (!heat) return;
    let most = 1;
    for (const row of heat.counts) for (const n of row) most = Math.max(most, n);
    const { ctx } = u;
    ctx.save();
    ctx.fillStyle = color;
    heat.starts.forEach((start, i) => {
      const left = Math.round(u.valToPos(start, "x", true)), right = Math.round(u.valToPos(heat.starts[i + 1] ?? heat.end, "x", true));
      heat.counts[i]!.forEach((n, row) => {
        if (n === 0) return;
        const top = Math.round(u.valToPos(row + 1, "y", true)), bottom = Math.round(u.valToPos(row, "y", true));
        // Few are to be seen beside many: the root of the share, and never nothing.
        ctx.globalAlpha = 0.12 + 0.88 * Math.sqrt(n / most);
        ctx.fillRect(left, top, Math.max(1, right - left - (right - left > 4 ? 1 : 0)), bottom - top - 1);
      });
    });
    ctx.restore();
  }

  /** The bucket under the crosshair, else the range as a whole. */
  private readout(): void {
    const { starts, end } = this.times();
    const at = this.plot?.cursor.idx;
    const i = at !== null && at !== undefined && at < starts.length && (this.plot?.cursor.left ?? -1) >= 0 ? at : null;
    this.mark = i;
    const start = i === null ? null : starts[i]!;
    const label = start === null ? null : span(start, starts[i! + 1] ?? end, this.o.tz);
    const texts: string[] = [];
    if (this.drawn) {
      const columns = this.drawn.ghost ? [...this.drawn.columns, this.drawn.ghost] : this.drawn.columns;
      this.legendOf(columns);
      columns.forEach((c, n) => {
        const value = i === null ? "" : this.o.format(c.values[i] ?? null);
        fill(this.keys[n]!.value, value);
        if (value) texts.push(`${c.label} ${value}`);
      });
    } else if (this.heat) {
      const counts = i === null ? null : this.heat.counts[i]!;
      const most = counts ? counts.indexOf(Math.max(...counts)) : -1;
      const text = counts && counts[most]! > 0 ? `most requests: ${this.heat.rows[most]} (${this.o.format(counts[most]!)})` : counts ? "no requests" : "stronger colour = more requests";
      const swatch = h("i", { class: "swatch" });
      swatch.style.setProperty("--c", "var(--heat)");
      fill(this.legend, h("span", { class: "key" }, swatch, text), this.at);
      texts.push(text);
    }
    fill(this.at, label ?? "");
    this.plotEl.setAttribute("aria-valuenow", String(i ?? 0));
    this.plotEl.setAttribute("aria-valuetext", label === null ? "no bucket chosen; arrow keys choose one" : `${label}: ${texts.join(", ")}`);
  }

  private key(e: KeyboardEvent): void {
    const { starts, end } = this.times();
    const u = this.plot;
    if (!u || starts.length === 0) return;
    const last = starts.length - 1;
    const i = this.mark ?? (e.key === "ArrowLeft" ? last + 1 : -1);
    const step = e.shiftKey ? Math.max(1, Math.round(starts.length / 10)) : 1;
    const to = { ArrowLeft: i - step, ArrowRight: i + step, Home: 0, End: last }[e.key];
    if (to !== undefined) {
      const x = middles(starts, end)[Math.min(Math.max(to, 0), last)]!;
      (u.setCursor as (at: { left: number; top: number }, fire: boolean, tell: boolean) => void)({ left: u.valToPos(x, "x"), top: 4 }, true, true);
    } else if (e.key === "Enter" && this.mark !== null) {
      // Into a fifth of what is seen, around the crosshair.
      const half = Math.max(2, Math.round(starts.length / 10));
      this.zoom(starts[Math.max(0, this.mark - half)]!, starts[this.mark + half + 1] ?? end);
    } else if (e.key === "Escape") {
      u.setCursor({ left: -10, top: -10 });
      this.o.onBack();
    } else return;
    e.preventDefault();
  }

  private table(): void {
    const { starts, end } = this.times();
    const names = this.drawn ? this.drawn.columns.map((c) => c.label) : (this.heat?.rows ?? []);
    const cell = (i: number, c: number) => (this.drawn ? this.o.format(this.drawn.columns[c]!.values[i] ?? null) : this.o.format(this.heat!.counts[i]![c] ?? null));
    fill(this.tableEl, h("table", null,
      h("thead", null, h("tr", null, h("th", { scope: "col" }, `Time (${this.o.tz})`), names.map((name) => h("th", { scope: "col", class: "num" }, name)))),
      h("tbody", null, starts.map((start, i) => h("tr", null, h("th", { scope: "row" }, span(start, starts[i + 1] ?? end, this.o.tz)), names.map((_, c) => h("td", { class: "num" }, cell(i, c) || NONE))))),
    ));
  }
}

function middles(starts: number[], end: number): number[] {
  return starts.map((start, i) => (start + (starts[i + 1] ?? end)) / 2);
}

function span(start: number, end: number, tz: string): string {
  const ms = start * 1000;
  return end - start >= 80_000 ? fullDay(ms, tz) : end - start > 60 ? `${when(ms, tz)}–${time(end * 1000, tz)}` : when(ms, tz);
}

function timeLabels(splits: number[], step: number, tz: string): string[] {
  let before = "";
  return splits.map((split) => {
    const date = day(split * 1000, tz), clock = time(split * 1000, tz, step < 60);
    const label = step >= 86_400 || (date !== before && clock.startsWith("00:00")) ? date : clock;
    before = date;
    return label;
  });
}

function logRange(min: number, max: number): [number, number] {
  const low = 10 ** Math.floor(Math.log10(Math.max(min || 0.001, 0.0001)));
  const high = 10 ** Math.ceil(Math.log10(Math.max(max || 1, low * 10)));
  return [low, high > low ? high : low * 10];
}

/** A small line without axes; what it says stands beside it. */
export function sparkline(values: (number | null)[], color: string): SVGElement {
  const width = 120, height = 28;
  const most = Math.max(...values.map((v) => v ?? 0), 1e-9);
  let path = "", pen = false;
  values.forEach((value, i) => {
    if (value === null) return void (pen = false);
    const x = values.length > 1 ? (i / (values.length - 1)) * width : 0;
    path += `${pen ? "L" : "M"}${x.toFixed(1)} ${(height - 2 - (value / most) * (height - 4)).toFixed(1)}`;
    pen = true;
  });
  const el = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  el.setAttribute("viewBox", `0 0 ${width} ${height}`);
  el.setAttribute("preserveAspectRatio", "none");
  el.setAttribute("class", "spark");
  el.setAttribute("aria-hidden", "true");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
  line.setAttribute("d", path || "M0 0");
  line.style.stroke = `var(${color})`;
  el.append(line);
  return el;
}
