// What the views are given by the shell.

import type { Me, Tick } from "./api";
import type { Chart } from "./chart";
import type { Source } from "./panel";
import { ageSeconds, rangeSeconds, type State } from "./state";

export interface Context {
  readonly state: State;
  /** What the key or link opens; null as long as that is not known. */
  readonly me: Me | null;
  /** The address of the page with something changed. */
  link(change: Partial<State>): string;
  /** Goes there; `replace` leaves no step to come back to. */
  go(change: Partial<State>, replace?: boolean): void;
  back(): void;
  /** Says something to who listens instead of looking. */
  announce(text: string): void;
}

export interface View {
  el: HTMLElement;
  title: string;
  sources: Source<unknown>[];
  charts: Chart[];
  tick?(tick: Tick): void;
  /** The state has changed in these; the view is still the right one. */
  update(changed: Set<keyof State>): void;
  destroy(): void;
}

/** Buckets that are wide enough to be seen; the api refuses what it no longer keeps, and is then asked for its own choice. */
export function granularity(state: State): string {
  const hours = rangeSeconds(state) / 3600, age = ageSeconds(state) / 3600;
  // Minutes are kept for two days, quarter-hours for ninety.
  if (age > 89 * 24) return "1d";
  return hours <= 3.1 && age < 46 ? "1m" : hours <= 60 ? "15m" : hours <= 24 * 11 ? "1h" : "1d";
}

/** How often a question of this range is worth asking again: its picture changes as fast as its buckets. */
export function everyMs(state: State, factor = 1): number {
  const hours = rangeSeconds(state) / 3600;
  return factor * (hours <= 3.1 ? 2000 : hours <= 60 ? 5000 : 15_000);
}

export function timeAxis(state: State): { onZoom(from: number, to: number): Partial<State> } {
  return { onZoom: (from, to) => ({ from: iso(from), to: iso(to), tz: state.tz }) };
}

function iso(second: number): string {
  return new Date(second * 1000).toISOString().replace(/\.\d+Z$/, "Z");
}
