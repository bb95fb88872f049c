// What every panel has: a question to the api (a source), a frame with its tools, and its states: loading, empty, values, values that are old because the last question failed.

import { curl, json, Problem } from "./api";
import { fill, h, icon } from "./dom";
import { time } from "./format";

/** One question, asked again and again; panels may share it. */
export class Source<T> {
  value: T | null = null;
  problem: Problem | null = null;
  answeredAt = 0;
  /** When the value came. */
  goodAt = 0;
  private asking: AbortController | null = null;
  private readonly listeners: (() => void)[] = [];
  private failures = 0;
  private nextTry = 0;

  constructor(readonly path: () => string, readonly everyMs: () => number, /** Another question when a parameter of the first is refused. */
    readonly fallback?: (parameter: string) => string | null) {}

  listen(listener: () => void): void {
    this.listeners.push(listener);
  }

  /** Asks, unless it was asked a moment ago or is being asked. */
  async refresh(force = false): Promise<void> {
    const now = Date.now();
    if (!force && (this.asking || now < this.nextTry || now - this.answeredAt < this.everyMs())) return;
    this.asking?.abort();
    const asking = (this.asking = new AbortController());
    try {
      this.value = await this.ask(asking.signal);
      this.problem = null;
      this.goodAt = Date.now();
      this.failures = 0;
      this.nextTry = 0;
    } catch (error) {
      if (asking.signal.aborted) return;
      this.problem = error instanceof Problem ? error : new Problem(0, "Unexpected", String(error));
      this.nextTry = Date.now() + Math.min(30_000, 1000 * 2 ** this.failures++);
    }
    this.answeredAt = Date.now();
    if (this.asking === asking) this.asking = null;
    for (const listener of this.listeners) listener();
  }

  private async ask(signal: AbortSignal): Promise<T> {
    try {
      return await json<T>(this.path(), signal);
    } catch (error) {
      const other = error instanceof Problem && error.status === 422 && error.parameter ? this.fallback?.(error.parameter) : null;
      if (other) return json<T>(other, signal);
      throw error;
    }
  }

  stop(): void {
    this.asking?.abort();
    this.asking = null;
  }
}

export interface Tool {
  label: string;
  icon: Parameters<typeof icon>[0];
  pressed?: boolean;
  action: (button: HTMLButtonElement) => void;
}

export interface PanelOptions<T> {
  id: string;
  title: string;
  note?: string;
  source: Source<T>;
  /** The path that `copy curl` tells. */
  path?: () => string;
  tools?: Tool[];
  head?: Node[];
  isEmpty?: (value: T) => string | null;
  render: (value: T) => unknown;
  announce: (text: string) => void;
  tz: string;
}

/** A panel around a body that its maker fills. */
export function panel<T>(o: PanelOptions<T>, ...body: Node[]): { el: HTMLElement; note: HTMLElement } {
  const note = h("span", { class: "note" }, o.note ?? "");
  const message = h("div", { class: "message", hidden: true });
  const content = h("div", { class: "content" }, ...body);
  const copy = toolButton({
    label: `Copy the curl command of ${o.title}`, icon: "copy",
    action: (button) => void copyText(curl((o.path ?? o.source.path)())).then((copied) => {
      o.announce(copied ? "Command copied" : "The browser does not let this page copy");
      button.classList.add("done");
      setTimeout(() => button.classList.remove("done"), 1200);
    }),
  });
  const el = h("section", { class: "panel loading", id: o.id, "aria-labelledby": `${o.id}-title`, "aria-busy": "true" },
    h("header", null, h("h2", { id: `${o.id}-title` }, o.title), note, h("div", { class: "tools" }, o.head ?? [], (o.tools ?? []).map(toolButton), copy)),
    message, content);
  o.source.listen(() => {
    const { value, problem } = o.source;
    el.classList.remove("loading");
    el.removeAttribute("aria-busy");
    const empty = value !== null ? (o.isEmpty?.(value) ?? null) : null;
    el.classList.toggle("stale", problem !== null && value !== null);
    el.classList.toggle("empty", empty !== null || (value === null && problem !== null));
    if (problem) {
      const kept = value !== null ? ` The values are those of ${time(o.source.goodAt, o.tz, true)}.` : "";
      fill(message, h("strong", null, problem.title + ". "), `${problem.detail}${kept} `, h("button", { class: "link", onclick: () => void o.source.refresh(true) }, "Try again"));
      message.className = problem.status === 404 ? "message" : "message error";
    } else if (empty !== null) {
      fill(message, empty);
      message.className = "message";
    }
    message.hidden = !problem && empty === null;
    if (value !== null && empty === null) o.render(value);
  });
  return { el, note };
}

export function toolButton(tool: Tool): HTMLButtonElement {
  const button = h("button", { class: "tool", type: "button", "aria-label": tool.label, title: tool.label, "aria-pressed": tool.pressed === undefined ? null : String(tool.pressed) }, icon(tool.icon));
  button.addEventListener("click", () => tool.action(button));
  return button;
}

export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Without a secure origin there is no clipboard: an old way is left.
    const area = h("textarea", { class: "sr" }, text);
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}
