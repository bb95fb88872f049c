// The small lines of the table: each is a question of its own, so only rows that stay in sight are asked for, one after another, and slowly enough for a key's limit.

import { json, path, range, type Series } from "./api";
import { granularity, type Context } from "./context";

/** The scroll has come to rest. */
const REST_MS = 250;
/** So many a second leave room for the other panels. */
const PACE_MS = 50;
const OLD_MS = 60_000;

export class Sparks {
  private readonly known = new Map<string, { values: number[]; at: number }>();
  private asking = new AbortController();
  private rest = 0;

  constructor(private readonly c: Context, private readonly arrived: (customer: string) => void) {}

  of(customer: string): number[] | null {
    return this.known.get(customer)?.values ?? null;
  }

  /** These are in sight now, and no others. */
  want(customers: string[]): void {
    clearTimeout(this.rest);
    const old = Date.now() - OLD_MS;
    const missing = customers.filter((customer) => (this.known.get(customer)?.at ?? 0) < old);
    if (missing.length === 0 || this.c.state.paused && this.known.size > 0 && missing.every((customer) => this.known.has(customer))) return;
    this.rest = window.setTimeout(() => { this.end(); void this.ask(missing, this.asking.signal); }, REST_MS);
  }

  /** The range is another one, or nobody looks any more. */
  clear(): void {
    clearTimeout(this.rest);
    this.end();
    this.known.clear();
  }

  private end(): void {
    this.asking.abort();
    this.asking = new AbortController();
  }

  private async ask(customers: string[], signal: AbortSignal): Promise<void> {
    for (const customer of customers) {
      try {
        const series = await json<Series>(path(`/v1/customers/${encodeURIComponent(customer)}/series`, { ...range(this.c.state), granularity: granularity(this.c.state), percentiles: "50" }), signal);
        const data = Date.parse(series.to) > Date.now() ? series.data.slice(0, -1) : series.data;
        this.known.set(customer, { values: data.map((p) => p.total_requests), at: Date.now() });
        this.arrived(customer);
      } catch {
        return; // The row stands without it; the next look asks again.
      }
      await new Promise((done) => setTimeout(done, PACE_MS));
      if (signal.aborted) return;
    }
  }
}
