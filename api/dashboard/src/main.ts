// The shell: address to view, the bar on top, the live stream, when to ask again. One view at a time.

import "uplot/dist/uPlot.min.css";
import "./style.css";
import { json, hasKey, path, Problem, range, signIn, type Customers, type Me, type Tick } from "./api";
import type { Context, View } from "./context";
import { customer } from "./customer";
import { fill, h, icon } from "./dom";
import { FilterBar } from "./filters";
import { duration, fromLocalInput, localInput, rfc3339, time, when } from "./format";
import { Held } from "./held";
import { Live, type Connection } from "./live";
import { operations } from "./operations";
import { overview } from "./overview";
import { confine, rangeSeconds, isMoving, read, shareToken, write, type State } from "./state";

const RANGES = [["-15m", "15m"], ["-1h", "1h"], ["-24h", "24h"], ["-7d", "7d"], ["-30d", "30d"]] as const;
const THEME = "tailgauge-theme";
const ANNOUNCE_MS = 10_000;

let state = read(location.search);
let view: View | null = null;
let me: Me | null = null;
/** Nothing is shown, since nothing is opened. */
let shut = false;
let live: Live | null = null;
let connection: Connection = { kind: "connecting" };
let lastTick: Tick | null = null;
let tickAt = 0;
const held = new Held();
let steps = 0;

// ---- where we are

function link(change: Partial<State>): string {
  return write({ ...state, ...change, ...(change.view && change.view !== "customer" && change.customer === undefined ? { customer: "" } : {}) });
}

function go(change: Partial<State>, replace = false): void {
  const to = link(change);
  if (to === location.pathname + location.search) return;
  if (replace) history.replaceState(history.state, "", to);
  else {
    history.pushState({ steps: ++steps }, "", to);
  }
  arrive();
}

function arrive(): void {
  const before = state;
  state = read(location.search);
  // The address of another customer, for who may see one.
  if (me?.customer_id && new URLSearchParams(location.search).get("customer") !== me.customer_id) history.replaceState(history.state, "", write(state));
  const changed = new Set((Object.keys(state) as (keyof State)[]).filter((name) => state[name] !== before[name]));
  if (changed.size === 0 || shut) return;
  if (["view", "customer", "tz", "compare", "scale"].some((name) => changed.has(name as keyof State)) || !view) show(changed.has("view") || changed.has("customer"));
  else view.update(changed);
  if (changed.has("from") || changed.has("to")) held.renewed();
  bar();
  if (changed.has("paused")) pauseChanged();
}

const context: Context = {
  get state() { return state; },
  get me() { return me; },
  link, go,
  back: () => { if (((history.state as { steps?: number } | null)?.steps ?? 0) > 0) history.back(); },
  announce,
};

addEventListener("popstate", arrive);
document.addEventListener("click", (e) => {
  const a = (e.target as Element).closest?.("a");
  if (!a || e.defaultPrevented || e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return;
  if (a.origin !== location.origin || a.pathname !== "/" || a.hasAttribute("download")) return;
  e.preventDefault();
  const to = a.pathname + a.search;
  if (to === location.pathname + location.search) return;
  history.pushState({ steps: ++steps }, "", to);
  arrive();
});

function leave(): void {
  view?.destroy();
  for (const source of view?.sources ?? []) source.stop();
  for (const chart of view?.charts ?? []) chart.destroy();
  view = null;
}

function show(moved: boolean): void {
  leave();
  view = state.view === "customer" ? customer(context) : state.view === "operations" ? operations(context) : overview(context);
  document.title = `${view.title} · Tailgauge`;
  fill(main, view.el);
  if (moved) { scrollTo(0, 0); main.focus({ preventScroll: true }); announce(view.title); }
  for (const source of view.sources) {
    source.listen(() => { if (source.problem?.status === 401) shutOut(); });
    void source.refresh(true);
  }
  connect();
}

// ---- the stream

function connect(): void {
  live?.end();
  lastTick = null;
  live = null;
  held.begin();
  live = new Live(state.customer ? `/v1/customers/${encodeURIComponent(state.customer)}/live` : "/v1/live", ticked, (now) => {
    const was = connection.kind;
    connection = now;
    if (now.kind === "refused" && now.status === 401) return shutOut();
    if (was !== "away" && now.kind === "away" && !state.paused) announce("Disconnected; the last values stay");
    if (was === "away" && now.kind === "live" && !state.paused) announce("Connected again");
    freshness();
  });
  live.start();
}

function ticked(tick: Tick): void {
  lastTick = tick;
  tickAt = Date.now();
  held.take(tick, state.paused && isMoving(state));
  freshness();
  if (document.hidden || state.paused) return;
  view?.tick?.(tick);
  if (isMoving(state)) for (const source of view?.sources ?? []) void source.refresh();
}

/** Without a stream, and where it says nothing: at least look now and then. */
setInterval(() => {
  if (shut) return;
  freshness();
  if (!me && !document.hidden) void identify();
  if (document.hidden || state.paused || !isMoving(state)) return;
  if (connection.kind !== "live" || state.view === "operations") for (const source of view?.sources ?? []) void source.refresh();
}, 1000);

document.addEventListener("visibilitychange", () => {
  if (shut) return;
  if (document.hidden) live?.end();
  else {
    live?.start();
    if (!state.paused) for (const source of view?.sources ?? []) void source.refresh();
  }
});

/** The stream goes on while values stay as they are: it tells what is held back. */
function pauseChanged(): void {
  // What is being asked would still change what is seen.
  if (state.paused) for (const source of view?.sources ?? []) { if (source.value !== null) source.stop(); }
  else { connect(); for (const source of view?.sources ?? []) void source.refresh(true); }
  announce(state.paused ? "Paused" : "Live");
  freshness();
}

// ---- what the key or link opens

let identifying: Promise<void> | null = null;
let nextIdentify = 0;

/** Asks what may be seen here. Whose key or link opens one customer is shown that customer's page and no way to another: the api would refuse it anyway. */
function identify(): Promise<void> {
  if (!identifying && Date.now() >= nextIdentify) identifying = ask().finally(() => { identifying = null; nextIdentify = Date.now() + 5000; });
  return identifying ?? Promise.resolve();
}

async function ask(): Promise<void> {
  try {
    me = await json<Me>("/v1/me");
  } catch (error) {
    if (error instanceof Problem && error.status === 401) return shutOut();
    // The api is away, or tells to ask later: what it answers will be shown, and it is asked again.
    if (!view) { show(false); bar(); }
    return;
  }
  shut = false;
  confine(me.customer_id ?? "");
  const before = view && state.view + state.customer;
  state = read(location.search);
  history.replaceState(history.state, "", write(state));
  bar();
  if (before !== state.view + state.customer || me.can_share) show(false);
}

/** Nothing is opened any more, or yet: nothing stays on the screen. */
function shutOut(): void {
  if (shut && main.querySelector(".gate")) return;
  shut = true;
  me = null;
  live?.end();
  leave();
  document.title = "Tailgauge";
  fill(main, shareToken() ? linkOver() : keyForm());
  bar();
  main.querySelector<HTMLElement>("input, button")?.focus({ preventScroll: true });
}

function linkOver(): HTMLElement {
  return h("div", { class: "nothing gate" }, h("h1", null, "This link opens nothing"),
    h("p", null, "It is over, or it was not copied whole. Who sent it can make a new one."),
    h("button", { class: "button quiet", type: "button", onclick: () => {
      const address = new URL(location.href);
      address.searchParams.delete("share");
      location.assign(address);
    } }, "Use a key instead"));
}

function keyForm(): HTMLElement {
  const input = h("input", { type: "password", autocomplete: "off", required: true, spellcheck: "false", maxlength: "256" });
  return h("form", { class: "nothing gate", onsubmit: (e: Event) => {
    e.preventDefault();
    signIn(input.value);
    input.value = "";
    fill(main);
    nextIdentify = 0;
    void identify();
  } }, h("h1", null, "A key, please"),
    h("p", { role: "alert" }, hasKey() ? "This api does not take the key that was given." : "This api asks for a key. It stays in this tab."),
    h("label", null, "Key", input), h("button", { class: "button", type: "submit" }, "Open"));
}

// ---- saying something, at most one thing in ten seconds

const region = h("div", { class: "sr", role: "status", "aria-live": "polite" });
let saidAt = -ANNOUNCE_MS, waiting = "", announcing = 0;

function announce(text: string): void {
  waiting = text;
  clearTimeout(announcing);
  announcing = window.setTimeout(() => { saidAt = performance.now(); fill(region, waiting); }, Math.max(50, saidAt + ANNOUNCE_MS - performance.now()));
}

// ---- the bar

const badge = h("span", { class: "badge" });
const ranges = h("div", { class: "segments", role: "group", "aria-label": "Range" });
const custom = h("details", { class: "custom" });
const liveButton = h("button", { class: "live", type: "button", onclick: () => go({ paused: !state.paused }, true) });
const compare = h("button", { class: "text-tool", type: "button", title: "Compare with the period before", onclick: () => go({ compare: state.compare === "previous" ? "none" : "previous" }, true) }, "compare");
const nav = h("nav", { "aria-label": "Views" });
const brand = h("a", { class: "brand" }, "Tailgauge");
const ends = h("span", { class: "note" });
const jumpBox = jump();
const signOut = h("button", { class: "text-tool", type: "button", title: "Forget the key in this tab", onclick: () => { signIn(""); location.reload(); } }, "Sign out");
const zones = h("select", { "aria-label": "Time zone", onchange: () => go({ tz: zones.value }) });
const themeButton = h("button", { class: "tool", type: "button", onclick: () => setTheme(isDark() ? "light" : "dark") });
const filterBar = new FilterBar(go, announce);
const main = h("main", { tabindex: "-1", id: "main" });

function bar(): void {
  const here = localZone();
  const all = me?.scope === "everything" || (!me && !shut && view !== null);
  nav.hidden = jumpBox.hidden = !all;
  brand.href = link({ view: "overview", customer: "" });
  brand.setAttribute("aria-label", all ? "Tailgauge, overview" : "Tailgauge");
  signOut.hidden = !hasKey() || shareToken() !== "" || shut;
  fill(ends, me?.expires ? `link until ${when(Date.parse(me.expires), state.tz)}` : "");
  ends.hidden = !me?.expires;
  document.documentElement.classList.toggle("shut", shut || (!me && !view));
  if (all) fill(nav, ...([["overview", "Overview"], ["operations", "Operations"]] as const).map(([name, label]) =>
    h("a", { href: link({ view: name, customer: "" }), "aria-current": state.view === name ? "page" : null }, label)));
  const focused = (document.activeElement as HTMLElement | null)?.dataset.range;
  fill(ranges, ...RANGES.map(([from, label]) => h("button", { type: "button", "data-range": from, "aria-pressed": String(state.from === from && state.to === "now"), onclick: () => go({ from, to: "now" }) }, label)));
  if (focused) ranges.querySelector<HTMLElement>(`[data-range="${focused}"]`)?.focus();
  const known = RANGES.some(([from]) => state.from === from && state.to === "now");
  fill(custom, h("summary", { class: known ? null : "chosen", title: "Another range" }, known ? "other" : `${shown(state.from)} – ${shown(state.to)}`), customForm());
  custom.open = false;
  fill(zones, ...[...new Set(["UTC", here, state.tz])].map((tz) => h("option", { value: tz, selected: tz === state.tz }, tz.replaceAll("_", " "))));
  compare.setAttribute("aria-pressed", String(state.compare === "previous"));
  filterBar.show(shut ? { ...state, view: "operations" } : state);
  document.documentElement.classList.toggle("kiosk", state.kiosk);
  freshness();
}

function localZone(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
}

function shown(text: string): string {
  const ms = Date.parse(text);
  return /^-\d|^now$/.test(text) || Number.isNaN(ms) ? text : localInput(text.length === 10 ? fromLocalInput(`${text}T00:00`, state.tz) : ms, state.tz).replace("T", " ").replace(" 00:00", "");
}

function customForm(): HTMLElement {
  const seconds = rangeSeconds(state), end = state.to === "now" ? Date.now() : Number.isNaN(Date.parse(state.to)) ? Date.now() : Date.parse(state.to);
  const from = h("input", { type: "datetime-local", value: localInput(end - seconds * 1000, state.tz), required: true }), to = h("input", { type: "datetime-local", value: localInput(end, state.tz), required: true });
  const wrong = h("p", { class: "error", role: "alert" });
  const around = (factor: number) => { const middle = end / 1000 - seconds / 2; go({ from: rfc3339((middle - (seconds * factor) / 2) * 1000), to: middle + (seconds * factor) / 2 >= Date.now() / 1000 ? "now" : rfc3339((middle + (seconds * factor) / 2) * 1000) }); };
  return h("form", { class: "pop", onsubmit: (e: Event) => {
    e.preventDefault();
    const a = fromLocalInput(from.value, state.tz), b = fromLocalInput(to.value, state.tz);
    if (!(b > a)) return fill(wrong, "The end has to be after the beginning.");
    if (a > Date.now()) return fill(wrong, "The beginning is in the future.");
    go({ from: rfc3339(a), to: rfc3339(b) });
  } }, h("label", null, `From (${state.tz})`, from), h("label", null, "To, not included", to), wrong,
    h("div", { class: "row" }, h("button", { class: "button", type: "submit" }, "Show"),
      h("button", { class: "button quiet", type: "button", onclick: () => around(0.4) }, "Zoom in"), h("button", { class: "button quiet", type: "button", onclick: () => around(2.5) }, "Zoom out")));
}

function freshness(): void {
  const old = connection.kind === "live" && lastTick ? (lastTick.lag_seconds ?? 0) + (Date.now() - tickAt) / 1000 : null;
  let text: string, level: string;
  if (state.paused) {
    // All panels are about as old as the first.
    const asOf = (view?.sources[0]?.value as { as_of?: string | null } | null | undefined)?.as_of;
    [text, level] = [(asOf ? `values of ${time(Date.parse(asOf), state.tz, true)}` : "values stay as they are") + (connection.kind === "away" ? " · offline" : ""), "quiet"];
  }
  else if (connection.kind === "away") [text, level] = [`offline, retrying in ${Math.max(0, Math.ceil((connection.until - Date.now()) / 1000))} s`, "bad"];
  else if (connection.kind === "trouble") [text, level] = [connection.detail || "the statistics cannot be read", "bad"];
  else if (connection.kind === "refused") [text, level] = [connection.status === 404 ? "no live data for this customer" : connection.status === 401 ? "a key is needed" : "not live", "quiet"];
  else if (!lastTick || old === null) [text, level] = ["connecting …", "quiet"];
  else if (!lastTick.as_of) [text, level] = ["no data yet", "warn"];
  else {
    const behind = old < 10 ? `${old.toLocaleString(undefined, { minimumFractionDigits: 1, maximumFractionDigits: 1 })} s` : duration(old);
    [text, level] = [`data until ${time(Date.parse(lastTick.as_of), state.tz, true)} · ${behind} behind`, old > 60 ? "bad" : old > 5 ? "warn" : "ok"];
  }
  badge.className = `badge ${level}`;
  fill(badge, h("span", { "aria-hidden": "true" }, { ok: "●", warn: "◆", bad: "▲", quiet: "○" }[level]!), h("span", null, ` ${text}`));
  const isLive = isMoving(state);
  const shown = state.paused ? held.text() : "Live";
  if (liveButton.dataset.now !== shown) {
    liveButton.dataset.now = shown;
    fill(liveButton, icon(state.paused ? "play" : "pause"), h("span", null, shown));
    liveButton.setAttribute("aria-label", state.paused ? `${shown}: go on live` : "Live: pause");
    liveButton.title = state.paused ? held.explained() : "";
  }
  liveButton.classList.toggle("off", state.paused || !isLive);
  document.documentElement.classList.toggle("away", connection.kind === "away" && !state.paused);
}

// ---- jump to a customer

function jump(): HTMLElement {
  const list = h("ul", { id: "jump-list", role: "listbox", "aria-label": "Customers", hidden: true });
  const input = h("input", { type: "search", id: "jump", placeholder: "Go to customer", role: "combobox", "aria-label": "Go to customer (press /)", "aria-controls": "jump-list", "aria-expanded": "false", "aria-autocomplete": "list", autocomplete: "off", spellcheck: "false", maxlength: "256" });
  let at = -1, asked = 0, typing = 0;
  const close = () => { list.hidden = true; at = -1; input.setAttribute("aria-expanded", "false"); input.removeAttribute("aria-activedescendant"); };
  const mark = (i: number) => {
    const options = [...list.children];
    at = options.length ? (i + options.length) % options.length : -1;
    options.forEach((o, n) => o.setAttribute("aria-selected", String(n === at)));
    if (at >= 0) input.setAttribute("aria-activedescendant", options[at]!.id);
  };
  const open = (id: string) => { close(); input.value = ""; input.blur(); go({ view: "customer", customer: id, status: "", path: "", min_latency: "" }); };
  const search = async () => {
    const mine = ++asked, q = input.value.trim();
    if (!q) return close();
    // As far back as there are days: a customer who went silent is found, too.
    const page = await json<Customers>(path("/v1/customers", { ...range(state), q, limit: 8 })).catch(() => null);
    if (mine !== asked || !page) return;
    fill(list, ...page.data.map((row, i) => h("li", { id: `jump-${i}`, role: "option", "aria-selected": "false", onmousedown: (e: Event) => { e.preventDefault(); open(row.customer_id); } }, row.customer_id)));
    list.hidden = page.data.length === 0;
    input.setAttribute("aria-expanded", String(page.data.length > 0));
    mark(0);
  };
  input.addEventListener("input", () => { clearTimeout(typing); typing = window.setTimeout(() => void search(), 120); });
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (e) => {
    if (e.key === "ArrowDown") mark(at + 1);
    else if (e.key === "ArrowUp") mark(at - 1);
    else if (e.key === "Enter") { const chosen = list.children[at]?.textContent; if (!list.hidden && chosen) open(chosen); else if (input.value.trim()) open(input.value.trim()); }
    else if (e.key === "Escape") { if (list.hidden) input.blur(); else close(); }
    else return;
    e.preventDefault();
  });
  return h("div", { class: "jump" }, icon("search"), input, list);
}

// ---- theme, keys, help

function isDark(): boolean {
  const set = document.documentElement.dataset.theme;
  return set ? set === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function setTheme(theme: string | null): void {
  if (theme) { document.documentElement.dataset.theme = theme; localStorage.setItem(THEME, theme); }
  fill(themeButton, icon(isDark() ? "sun" : "moon"));
  themeButton.setAttribute("aria-label", isDark() ? "Light colours" : "Dark colours");
  themeButton.title = isDark() ? "Light colours" : "Dark colours";
  for (const chart of view?.charts ?? []) chart.recolour();
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => setTheme(null));

const KEYS = [["/", "go to a customer"], ["p", "pause, or go on live"], ["1 … 5", "the ranges from 15 min to 30 d"], ["o", "overview"], ["t", "dark or light"], ["Tab to a chart, ← →", "move the crosshair (Shift: further), Home, End"], ["Enter, Esc on a chart", "zoom in around the crosshair, go back"], ["drag over a chart", "zoom to it; double click goes back"], ["click a status class", "on a customer's page: list only those requests"], ["?", "this help"]] as const;
const keyList = h("dl", { class: "facts" });
const helpDialog = h("dialog", { class: "dialog", "aria-labelledby": "help-title" },
  h("h2", { id: "help-title" }, "Keys"),
  keyList,
  h("h2", null, "What the numbers mean"),
  h("p", null, h("b", null, "Availability"), ": share of requests with a status below 500. ", h("b", null, "Success"), ": 200 to 399. ", h("b", null, "Minutes up"), ": minutes with traffic in which fewer than 5 % of the requests ended in a server error. Latencies are exact to 0.0123 %. ", h("a", { href: "/docs/" }, "The api")),
  h("form", { method: "dialog" }, h("button", { class: "button" }, "Close")));


function help(): void {
  const keys = me?.customer_id ? KEYS.filter(([key]) => key !== "/" && key !== "o") : KEYS;
  fill(keyList, ...keys.flatMap(([key, what]) => [h("dt", null, h("kbd", null, key)), h("dd", null, what)]));
  helpDialog.showModal();
}

document.addEventListener("keydown", (e) => {
  if (e.ctrlKey || e.metaKey || e.altKey || (e.target as Element).closest?.("input, select, textarea, dialog")) return;
  const range = RANGES[Number(e.key) - 1];
  if (shut && e.key !== "t" && e.key !== "?") return;
  if (e.key === "/" && !jumpBox.hidden) document.getElementById("jump")!.focus();
  else if (e.key === "p") go({ paused: !state.paused }, true);
  else if (e.key === "o" && !me?.customer_id) go({ view: "overview", customer: "" });
  else if (e.key === "t") setTheme(isDark() ? "light" : "dark");
  else if (e.key === "?") help();
  else if (range) go({ from: range[0], to: "now" });
  else return;
  e.preventDefault();
});

// ---- begin

function begin(): void {
  const stored = localStorage.getItem(THEME);
  if (stored === "dark" || stored === "light") document.documentElement.dataset.theme = stored;
  document.body.replaceChildren(
    h("a", { class: "skip", href: "#main", onclick: (e: Event) => { e.preventDefault(); main.focus(); } }, "Skip to the numbers"),
    h("header", { class: "top" },
      brand, nav, jumpBox,
      h("div", { class: "controls" }, ranges, custom, zones, compare, liveButton, badge, ends, signOut, themeButton, h("button", { class: "tool", type: "button", "aria-label": "Help and keys", title: "Help and keys", onclick: help }, icon("help"))),
      filterBar.el),
    main, region, helpDialog);
  if (!new URLSearchParams(location.search).has("from")) history.replaceState(history.state, "", write(state));
  setTheme(null);
  bar();
  void identify();
}

begin();
