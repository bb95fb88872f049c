// The way of the lines: what is followed, how far behind it is, what was rejected and why. For who runs the processor.

import { path, type Pipeline, type Processor, type Reject, type Rejects } from "./api";
import { type Context, type View } from "./context";
import { fill, h } from "./dom";
import { ago, bytes, count, duration, errorShare, NONE, share, when } from "./format";
import { panel, Source } from "./panel";

const SAMPLES = 5;
const SAMPLES_MS = 5000;

export function operations(c: Context): View {
  const source = new Source<Pipeline>(() => "/v1/pipeline", () => 1000);
  // None answers: then nothing is known, and a number would be a wrong one.
  const absent = (p: Pipeline) => (p.processor ? null : "No processor answers beside this api: none runs on its STATE_DIR, or on another machine.");
  const boxes = h("ol", { class: "pipeline" });
  const sum = h("p", { class: "under" });
  let before: { at: number; read: number } | null = null;
  const flow = panel<Pipeline>({
    id: "pipeline", title: "Every line", source, tz: c.state.tz, announce: c.announce,
    isEmpty: absent,
    render: ({ processor }) => {
      const p = processor as Processor;
      const now = { at: source.goodAt, read: p.lines_read };
      const rate = before && now.at > before.at ? ((now.read - before.read) * 1000) / (now.at - before.at) : null;
      if (!before || now.at - before.at >= 900) before = now;
      const state = p.ready ? "running, ready" : `running, not ready: ${p.problems.join("; ")}`;
      fill(flow.note, state);
      flow.note.className = `note badge ${p.ready ? "ok" : "bad"}`;
      const box = (title: string, value: string, under: string) => h("li", null, h("h3", null, title), h("b", null, value), h("small", null, under));
      fill(boxes, box("read", count(p.lines_read), rate === null ? "lines" : `${rate.toLocaleString(undefined, { maximumFractionDigits: 0 })} lines/s now`),
        box("stored", count(p.lines_stored), share(p.lines_read ? (p.lines_stored / p.lines_read) * 100 : null)), box("rejected", count(p.lines_rejected), errorShare(p.lines_rejected, p.lines_read)), box("in flight", count(p.lines_in_flight), "not settled yet"));
      const adds = p.lines_stored + p.lines_rejected + p.lines_in_flight;
      fill(sum, `${count(p.lines_read)} read = ${count(p.lines_stored)} stored + ${count(p.lines_rejected)} rejected + ${count(p.lines_in_flight)} in flight. `, adds === p.lines_read ? "Every line is accounted for." : `${count(Math.abs(p.lines_read - adds))} are being counted at this moment.`);
    },
  }, boxes, sum);
  const facts = h("dl", { class: "facts" });
  const state = panel<Pipeline>({
    id: "state", title: "State", source, tz: c.state.tz, announce: c.announce,
    isEmpty: absent,
    render: ({ processor }) => {
      const p = processor as Processor;
      const lost = Object.entries(p.lost_bytes);
      const rows: [string, string][] = [
        ["Store", p.store], ["Behind", p.lag_seconds === null ? NONE : `${bytes(p.lag_bytes)}, ${p.lag_seconds < 10 ? p.lag_seconds.toLocaleString(undefined, { maximumFractionDigits: 1 }) + " s" : duration(p.lag_seconds)}`],
        ["Settled", bytes(p.bytes_settled)], ["Lost", lost.length ? lost.map(([reason, n]) => `${bytes(n)} ${reason}`).join(", ") : "nothing"], ["Skipped at the start", bytes(p.skipped_bytes)],
        ["Times ahead of the clock", count(p.future_time)], ["Ambiguous local times", count(p.ambiguous_time)], ["Commits", count(p.commit)],
      ];
      fill(facts, ...rows.flatMap(([name, value]) => [h("dt", null, name), h("dd", null, value)]));
    },
  }, facts);
  const reasons = h("tbody");
  const rejects = panel<Pipeline>({
    id: "rejects", title: "Rejected, by reason", source, tz: c.state.tz, announce: c.announce,
    isEmpty: (p) => absent(p) ?? (p.processor?.lines_rejected === 0 ? "No line was rejected." : null),
    render: ({ processor: p }) => p && fill(reasons, ...Object.entries(p.rejected).sort((a, b) => b[1] - a[1]).map(([reason, n]) => {
      const bar = h("i", { class: "share", "aria-hidden": "true" });
      bar.style.setProperty("--part", `${(n / p.lines_rejected) * 100}%`);
      return h("tr", null, h("th", { scope: "row" }, h("code", null, reason)), h("td", { class: "num" }, count(n)), h("td", { class: "bar-cell" }, bar));
    })),
  }, h("table", { class: "plain" }, h("thead", null, h("tr", null, h("th", { scope: "col" }, "Reason"), h("th", { scope: "col", class: "num" }, "Lines"), h("td", null))), reasons));
  const lines = samples(c);
  const files = h("tbody");
  const sources = panel<Pipeline>({
    id: "files", title: "Followed files", source, tz: c.state.tz, announce: c.announce,
    isEmpty: (p) => absent(p) ?? (p.processor?.files.length === 0 ? "None is there yet; they are waited for." : null),
    render: ({ processor: p }) => p && fill(files, ...p.files.map((file) => {
      const bar = h("i", { class: "share", "aria-hidden": "true" });
      bar.style.setProperty("--part", `${file.size ? (file.settled_offset / file.size) * 100 : 100}%`);
      bar.style.setProperty("--c", "var(--c2)");
      return h("tr", null, h("th", { scope: "row", class: "path" }, h("code", null, file.path)), h("td", null, file.source), h("td", { class: "num" }, bytes(file.size)), h("td", { class: "num" }, bytes(Math.max(0, file.size - file.settled_offset))), h("td", { class: "bar-cell" }, bar));
    })),
  }, h("div", { class: "fit", tabindex: "0", role: "region", "aria-label": "Followed files, scrollable" }, h("table", { class: "plain" }, h("thead", null, h("tr", null, ([["File", ""], ["Source", ""], ["Size", "num"], ["Behind", "num"], ["Settled", ""]] as const).map(([t, k]) => h("th", { scope: "col", class: k || null }, t)))), files)));
  return {
    el: h("div", { class: "panels" }, h("div", { class: "head" }, h("h1", null, "Operations")), flow.el, h("div", { class: "two even" }, state.el, rejects.el), lines.el, sources.el),
    title: "Operations",
    sources: [source, lines.source] as Source<unknown>[],
    charts: [],
    update: () => undefined,
    destroy: () => undefined,
  };
}

/** What the rejected lines look like. They are strangers' text, which the api has made visible: it is shown as it comes, and as text. */
function samples(c: Context) {
  const source = new Source<Rejects>(() => path("/v1/rejects", { limit: SAMPLES }), () => SAMPLES_MS);
  const list = h("ul", { class: "samples" });
  const sample = (r: Reject) => h("li", null,
    h("div", { class: "row" }, h("code", { class: "chip" }, r.reason), h("span", null, r.detail), h("small", { title: ago(r.rejected_at) }, when(Date.parse(r.rejected_at), c.state.tz, Date.now(), true))),
    h("code", { class: "line", dir: "ltr" }, r.line === "" ? h("em", { class: "muted" }, "nothing") : r.line, r.cut ? h("span", { class: "muted" }, " … and more") : null),
    h("small", null, `${r.file}, byte ${count(r.offset)}`));
  let drawn = "";
  const made = panel<Rejects>({
    id: "samples", title: "Rejected lines", source, tz: c.state.tz, announce: c.announce,
    isEmpty: (r) => (!r.known ? "What the rejected lines look like is not known here: no processor's ledger is in this api's STATE_DIR. Where the processor runs, “log-processor rejects” prints them."
      : r.data.length === 0 ? "None is kept." : null),
    render: (r) => {
      fill(made.note, `the newest ${SAMPLES} of each reason`);
      // What is being read, or selected, is left alone as long as it is the same.
      const now = JSON.stringify(r.data);
      if (now !== drawn) fill(list, ...r.data.map(sample));
      drawn = now;
    },
  }, h("div", { class: "fit tall", tabindex: "0", role: "region", "aria-label": "Rejected lines, scrollable" }, list),
    h("p", { class: "under" }, "Control characters and the like are written as \\n or \\u{1b}, a backslash as \\\\. All that are kept, up to 1 KiB of each: log-processor rejects."));
  return { el: made.el, source };
}
