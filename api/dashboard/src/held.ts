// What a paused page holds back: in how many of the stream's ticks something has come in since the values stand still.

import type { Tick } from "./api";
import { count } from "./format";

export class Held {
  /** The requests of each minute, as the ticks so far have told them. */
  private told = new Map<string, number>();
  private updates = 0;
  private requests = 0;

  /** Another stream. */
  begin(): void {
    this.told.clear();
    this.renewed();
  }

  /** All values were asked for anew, paused or not. */
  renewed(): void {
    this.updates = this.requests = 0;
  }

  /** A tick; `back`: its news are held back. */
  take(tick: Tick, back: boolean): void {
    const news = this.news(tick);
    if (!back) this.renewed();
    else if (news > 0) {
      this.updates++;
      this.requests += news;
    }
  }

  /** How many requests it tells that those before it did not. Minutes older than all that were told are no news: they were there. */
  private news(tick: Tick): number {
    let newest = "", news = 0;
    for (const start of this.told.keys()) if (start > newest) newest = start;
    for (const { start, total_requests } of tick.data) {
      const before = this.told.get(start);
      if (before !== undefined) news += Math.max(0, total_requests - before);
      else if (newest && start > newest) news += total_requests;
      this.told.set(start, total_requests);
    }
    // More than a stream ever tells at once.
    if (this.told.size > 3000) for (const start of [...this.told.keys()].sort().slice(0, 1000)) this.told.delete(start);
    return news;
  }

  text(): string {
    return this.updates === 0 ? "Paused" : `Paused · ${count(this.updates)} ${this.updates === 1 ? "update" : "updates"}`;
  }

  explained(): string {
    return this.updates === 0 ? "Nothing has come in since" : `In ${count(this.updates)} of the seconds since, requests have come in: at least ${count(this.requests)}`;
  }
}
