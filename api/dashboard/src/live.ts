// The live stream: server-sent events, read by `fetch`, since an `EventSource` cannot carry a key. Goes on where it ended; says when it is away, and for how long.

import { address, headers, type Tick } from "./api";

export type Connection = { kind: "connecting" } | { kind: "live" } | { kind: "trouble"; detail: string } | { kind: "away"; until: number } | { kind: "refused"; status: number };

const WAIT_FIRST_MS = 1000;
const WAIT_MOST_MS = 30_000;
/** A stream says something every second; one that is silent for so long is dead, whatever the socket says. */
const SILENCE_MS = 15_000;

export class Live {
  private stop: AbortController | null = null;
  private lastId = "";
  private wait = WAIT_FIRST_MS;
  private timer = 0;

  constructor(private readonly path: string, private readonly onTick: (tick: Tick) => void, private readonly onState: (state: Connection) => void) {}

  start(): void {
    this.end();
    this.onState({ kind: "connecting" });
    const stop = (this.stop = new AbortController());
    void this.run(stop).catch(() => undefined).then(() => {
      if (!stop.signal.aborted || stop.signal.reason === "silent") this.retry();
    });
  }

  end(): void {
    clearTimeout(this.timer);
    this.stop?.abort("ended");
    this.stop = null;
  }

  private retry(): void {
    const wait = this.wait;
    this.wait = Math.min(this.wait * 2, WAIT_MOST_MS);
    this.onState({ kind: "away", until: Date.now() + wait });
    this.timer = window.setTimeout(() => this.start(), wait);
  }

  private async run(stop: AbortController): Promise<void> {
    const response = await fetch(address(this.path), {
      headers: { Accept: "text/event-stream", ...headers(), ...(this.lastId ? { "Last-Event-ID": this.lastId } : {}) },
      signal: stop.signal, cache: "no-store", credentials: "omit",
    });
    if (!response.ok || !response.body) {
      if (response.status >= 400 && response.status < 500 && response.status !== 429) {
        this.onState({ kind: "refused", status: response.status });
        this.stop = null;
        stop.abort("refused");
      }
      return;
    }
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    let silence = 0;
    const listen = () => {
      clearTimeout(silence);
      silence = window.setTimeout(() => stop.abort("silent"), SILENCE_MS);
    };
    try {
      for (;;) {
        listen();
        const { done, value } = await reader.read();
        if (done) return;
        text += value;
        for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
          this.event(text.slice(0, end));
          text = text.slice(end + 2);
        }
      }
    } finally {
      clearTimeout(silence);
    }
  }

  private event(text: string): void {
    let kind = "message", data = "", id = "";
    for (const line of text.split("\n")) {
      const [, name, value] = /^(\w+): ?(.*)$/.exec(line) ?? [];
      if (name === "event") kind = value ?? "";
      else if (name === "data") data += value ?? "";
      else if (name === "id") id = value ?? "";
    }
    if (kind === "tick") {
      this.lastId = id || this.lastId;
      this.wait = WAIT_FIRST_MS;
      this.onState({ kind: "live" });
      this.onTick(JSON.parse(data) as Tick);
    } else if (kind === "trouble") {
      this.onState({ kind: "trouble", detail: String((JSON.parse(data) as { detail?: string }).detail ?? "") });
    }
  }
}
