// Questions to the public api, and nothing else. The browser's own cache asks by ETag.

import { shareToken, type State } from "./state";

export interface Figures {
  total_requests: number; successful_requests: number; failed_requests: number;
  uptime: number | null; availability: number | null;
  average_latency: number | null; median_latency: number | null; p99_latency: number | null; max_latency: number | null;
  status: Record<"1xx" | "2xx" | "3xx" | "4xx" | "5xx", number>;
  latency: Record<string, number | null>;
}
export interface About { from: string; to: string; tz: string; as_of: string | null; lag_seconds: number | null; clipped_by_retention: boolean; method: string }
export interface Stats extends Figures, About { uptime_minutes: number | null; minutes_with_traffic: number | null; previous?: Figures & { from: string; to: string } }
export interface Point extends Figures { start: string }
export interface Series extends About { granularity: string; data: Point[]; previous?: Point[] }
export interface Latency extends About { granularity: string | null; data: { start: string; above: number; up_to: number | null; requests: number }[] }
export interface CustomerRow extends Figures { customer_id: string; last_seen: string }
export interface Customers extends About { data: CustomerRow[]; total_customers: number; new_customers: number | null; next_cursor: string | null; others: Others }
/** The customers that are not on this page or one before it. */
export interface Others extends Figures { customers: number; last_seen: string | null }
export interface HurtRow {
  customer_id: string; total_requests: number; server_errors: number; share_of_errors: number | null; error_share_at_least: number | null; availability: number | null;
  previous_availability: number | null; availability_drop: number | null; p99_latency: number | null; last_seen: string;
}
export interface Hurt extends About { data: HurtRow[]; total_hurt: number; total_customers: number; server_errors: number; previous: { from: string; to: string } }
export interface RequestRow { time: string; status: number; latency: number | null; path: string | null }
export interface Requests extends About { data: RequestRow[]; next_cursor: string | null; covered: { from: string; to: string } }
export interface PathRow extends Figures { path: string | null; share_of_requests: number | null }
export interface Paths extends About { data: PathRow[]; total_paths: number; counted_requests: number; covered: { from: string; to: string } }
export interface Tick { as_of: string | null; lag_seconds: number | null; requests_per_second: number | null; data: Point[] }
export interface Me { scope: "everything" | "customer"; customer_id: string | null; expires: string | null; key_needed: boolean; can_share: boolean }
export interface ShareLink { customer_id: string; token: string; page: string; expires: string }
export interface Pipeline { running: boolean; processor: Processor | null }
export interface Reject { reason: string; detail: string; line: string; cut: boolean; source: string; file: string; offset: number; rejected_at: string }
export interface Rejects { known: boolean; data: Reject[] }
export interface Processor {
  ready: boolean; problems: string[]; store: string;
  lines_read: number; lines_stored: number; lines_rejected: number; lines_in_flight: number;
  rejected: Record<string, number>; lost_bytes: Record<string, number>; skipped_bytes: number; bytes_settled: number; lag_bytes: number; lag_seconds: number | null;
  future_time: number; ambiguous_time: number; commit: number;
  files: { path: string; source: string; size: number; read_offset: number; settled_offset: number }[];
}

/** An answer that is none: what the api said about it, or that it could not be reached. */
export class Problem extends Error {
  constructor(readonly status: number, readonly title: string, readonly detail: string, readonly parameter: string | null = null) {
    super(detail || title);
  }
}

const KEY = "tailgauge-key";
let key = sessionStorage.getItem(KEY) ?? "";

export function signIn(text: string): void {
  key = text.trim();
  if (key) sessionStorage.setItem(KEY, key);
  else sessionStorage.removeItem(KEY);
}

export function hasKey(): boolean {
  return key !== "";
}

export type Query = Record<string, string | number | null | undefined>;

export function path(route: string, query: Query = {}): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== null && value !== undefined && value !== "") parameters.set(name, String(value));
  const text = parameters.toString().replaceAll("%3A", ":").replaceAll("%2F", "/").replaceAll("%2C", ",");
  return text ? `${route}?${text}` : route;
}

export function range(state: State): Query {
  return { from: state.from, to: state.to, tz: state.tz === "UTC" ? null : state.tz };
}

/** The routes of all customers, or of one. */
export function of(state: State, what: string): string {
  return state.customer ? `/v1/customers/${encodeURIComponent(state.customer)}/${what}` : `/v1/${what}`;
}

/** A link shows what it opens, whatever key this tab has: who made it sees what its reader will see. */
export function headers(): Record<string, string> {
  return key && !shareToken() ? { Authorization: `Bearer ${key}` } : {};
}

/** With the shared link's token, if the page was opened by one. */
export function address(path: string): string {
  const token = shareToken();
  return token ? `${path}${path.includes("?") ? "&" : "?"}share=${encodeURIComponent(token)}` : path;
}

/** The very question of a panel, for a shell. */
export function curl(path: string): string {
  const quoted = `'${(location.origin + address(path)).replaceAll("'", "'\\''")}'`;
  return headers().Authorization ? `curl -H "Authorization: Bearer $API_KEY" ${quoted}` : `curl ${quoted}`;
}

const DEADLINE_MS = 20_000;

export async function ask(path: string, signal?: AbortSignal, accept = "application/json"): Promise<Response> {
  const signals = [AbortSignal.timeout(DEADLINE_MS)];
  if (signal) signals.push(signal);
  let response: Response;
  try {
    response = await fetch(address(path), { headers: { Accept: accept, ...headers() }, signal: anyOf(signals), credentials: "omit" });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem(0, "The api cannot be reached", "no answer from this address; the last values stay on the page");
  }
  if (response.ok) return response;
  const body = await response.json().catch(() => ({}));
  const faults = Array.isArray(body.errors) ? body.errors : [];
  throw new Problem(response.status, body.title ?? `Status ${response.status}`, faults[0]?.detail ?? body.detail ?? "", faults[0]?.parameter ?? null);
}

export async function json<T>(path: string, signal?: AbortSignal): Promise<T> {
  return (await ask(path, signal)).json();
}

/** `AbortSignal.any`, which younger browsers have. */
function anyOf(signals: AbortSignal[]): AbortSignal {
  const both = new AbortController();
  for (const signal of signals) {
    if (signal.aborted) both.abort(signal.reason);
    signal.addEventListener("abort", () => both.abort(signal.reason), { once: true });
  }
  return both.signal;
}
