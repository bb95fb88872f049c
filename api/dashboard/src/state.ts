// What the page shows is what its address says, in the api's own grammar: a link is the whole state.

export interface State {
  view: "overview" | "customer" | "operations";
  customer: string;
  from: string;
  to: string;
  tz: string;
  compare: "previous" | "none";
  sort: string;
  order: "asc" | "desc";
  q: string;
  hurt: string;
  scale: "linear" | "log";
  status: string;
  path: string;
  min_latency: string;
  paused: boolean;
  kiosk: boolean;
}

const DEFAULTS: State = {
  view: "overview", customer: "", from: "-1h", to: "now", tz: "UTC", compare: "previous", sort: "total_requests", order: "desc",
  q: "", hurt: "evidence", scale: "linear", status: "", path: "", min_latency: "", paused: false, kiosk: false,
};

/** A link that a key's owner shared; it goes with every question and stays in the address. */
let share = "";

/** The only customer whose page there is, for who may see no other. */
let only = "";

export function confine(customer: string): void {
  only = customer;
}

export function read(search: string): State {
  const query = new URLSearchParams(search);
  share = query.get("share") ?? "";
  const text = (name: keyof State) => query.get(name) ?? (DEFAULTS[name] as string);
  const customer = only || (query.get("customer") ?? "");
  return {
    view: customer ? "customer" : query.get("view") === "operations" ? "operations" : "overview",
    customer,
    from: text("from"), to: text("to"), tz: zone(text("tz")),
    compare: query.get("compare") === "none" ? "none" : "previous",
    sort: text("sort"), order: query.get("order") === "asc" ? "asc" : "desc", q: text("q"),
    hurt: ["drop", "share"].includes(text("hurt")) ? text("hurt") : "evidence",
    scale: query.get("scale") === "log" ? "log" : "linear",
    status: text("status"), path: text("path"), min_latency: text("min_latency"),
    paused: query.has("paused"), kiosk: query.has("kiosk"),
  };
}

export function write(state: State): string {
  const query = new URLSearchParams();
  if (state.view === "operations") query.set("view", "operations");
  for (const [name, value] of Object.entries(state) as [keyof State, State[keyof State]][]) {
    if (name === "view") continue;
    // The range is always there: then nobody has to know a default.
    if (value !== DEFAULTS[name] || name === "from") query.set(name, value === true ? "1" : String(value));
  }
  if (share) query.set("share", share);
  return `/?${query.toString().replaceAll("%3A", ":").replaceAll("%2F", "/")}`;
}

export function shareToken(): string {
  return share;
}

/** A zone that this browser knows; the api will have its own say. */
function zone(name: string): string {
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return name;
  } catch {
    return "UTC";
  }
}

/** The second that a text means; NaN if none. */
function second(text: string): number {
  if (text === "now") return Date.now() / 1000;
  const match = /^-(\d+)([smhdw])$/.exec(text);
  if (match) return Date.now() / 1000 - Number(match[1]) * { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 }[match[2] as "s"];
  return Date.parse(text) / 1000;
}

/** How long ago the range begins. */
export function ageSeconds(state: State): number {
  return Date.now() / 1000 - second(state.from);
}

/** How long the range is in seconds, if its texts tell. */
export function rangeSeconds(state: State): number {
  const seconds = second(state.to) - second(state.from);
  return Number.isFinite(seconds) && seconds > 0 ? seconds : 86_400;
}

/** Whether new requests still come into the range. */
export function isMoving(state: State): boolean {
  return state.to === "now" || Date.parse(state.to) > Date.now();
}
