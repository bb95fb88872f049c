// The filters that are in the address, as chips in the bar: what each one filters is said, and each can be taken away.

import { fill, h } from "./dom";
import { latency } from "./format";
import type { State } from "./state";

type FilterName = "q" | "status" | "path" | "min_latency";

/** What is filtered on a view, and by what. */
export function filters(state: State): { what: string; chips: { name: FilterName; text: string }[] } {
  const chip = (name: FilterName, text: string) => (state[name] ? [{ name, text }] : []);
  if (state.view === "overview") return { what: "Customers", chips: chip("q", `id has “${state.q}”`) };
  if (state.view === "operations") return { what: "", chips: [] };
  const seconds = Number(state.min_latency);
  return { what: "Recent requests", chips: [
    ...chip("status", `status ${state.status}`), ...chip("path", `path ${state.path}`),
    ...chip("min_latency", `latency ≥ ${Number.isFinite(seconds) ? latency(seconds) : state.min_latency}`),
  ] };
}

export class FilterBar {
  readonly el = h("div", { class: "filters", role: "group", hidden: true });

  constructor(private readonly go: (change: Partial<State>, replace: boolean) => void, private readonly announce: (text: string) => void) {}

  show(state: State): void {
    const { what, chips } = filters(state);
    const before = this.el.querySelectorAll("[data-filter]").length;
    const focused = [...this.el.querySelectorAll("button")].indexOf(document.activeElement as HTMLButtonElement);
    this.el.hidden = chips.length === 0;
    this.el.setAttribute("aria-label", `Filters of ${what}`);
    fill(this.el, h("span", { class: "note" }, `${what}:`),
      ...chips.map(({ name, text }) => h("button", { class: "chip remove", type: "button", "data-filter": name, title: text, "aria-label": `${text}: remove this filter`, onclick: () => this.remove({ [name]: "" }, text) },
        h("span", null, text), h("span", { "aria-hidden": "true" }, "×"))),
      chips.length > 1 ? h("button", { class: "link", type: "button", onclick: () => this.remove(Object.fromEntries(chips.map(({ name }) => [name, ""])), "all") }, "Remove all filters") : null);
    // Whoever goes on with the keyboard stands on the next one, or where the numbers begin.
    if (focused < 0) return;
    const buttons = this.el.querySelectorAll("button");
    const next = chips.length ? buttons[chips.length === before ? focused : Math.min(focused, chips.length - 1)] : document.getElementById("main");
    next?.focus({ preventScroll: true });
  }

  private remove(change: Partial<State>, text: string): void {
    this.go(change, true);
    this.announce(`Filter removed: ${text}`);
  }
}
