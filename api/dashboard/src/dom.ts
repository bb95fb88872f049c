// Elements in one expression. Never takes markup: every text is a text, whatever a customer is called.

type Child = Node | string | number | null | undefined | false;
type Props = Record<string, unknown>;

export function h<K extends keyof HTMLElementTagNameMap>(tag: K, props?: Props | null, ...children: (Child | Child[])[]): HTMLElementTagNameMap[K] {
  const el = document.createElement(tag);
  set(el, props);
  append(el, children);
  return el;
}

export function svg(tag: string, props?: Props | null, ...children: (Child | Child[])[]): SVGElement {
  const el = document.createElementNS("http://www.w3.org/2000/svg", tag);
  set(el, props);
  append(el, children);
  return el;
}

function set(el: Element, props?: Props | null): void {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) el.addEventListener(name.slice(2), value as EventListener);
    else el.setAttribute(name, value === true ? "" : String(value));
  }
}

function append(el: Element, children: (Child | Child[])[]): void {
  for (const child of children.flat()) {
    if (child !== null && child !== undefined && child !== false) el.append(child instanceof Node ? child : String(child));
  }
}

/** Puts these in the place of all that is in there; does nothing when the texts are the same, so that a reader's selection stays. */
export function fill(el: Element, ...children: Child[]): void {
  const only = children.length === 1 ? children[0] : null;
  if ((typeof only === "string" || typeof only === "number") && el.childNodes.length === 1 && el.firstChild instanceof Text) {
    if (el.textContent !== String(only)) el.firstChild.data = String(only);
    return;
  }
  el.replaceChildren();
  append(el, children);
}

export function icon(name: keyof typeof ICONS): SVGElement {
  return svg("svg", { viewBox: "0 0 16 16", class: "icon", "aria-hidden": "true" }, svg("path", { d: ICONS[name] }));
}

const ICONS = {
  sun: "M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6ZM8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1 1M12 12l1 1M13 3l-1 1M4 12l-1 1",
  moon: "M13 9.5A5.5 5.5 0 0 1 6.5 3 5.5 5.5 0 1 0 13 9.5Z",
  pause: "M5 3v10M11 3v10",
  play: "M4.5 3v10l8-5-8-5Z",
  copy: "M6 5.5h7v8H6zM10 5.5v-3H3v8h3",
  table: "M2 3h12v10H2zM2 6.5h12M2 10h12M6.5 3v10",
  chart: "M2 2v12h12M5 11V8M8 11V5M11 11V7",
  help: "M6 6a2 2 0 1 1 2.8 1.8c-.6.3-.8.7-.8 1.2v.5M8 12v.3",
  back: "M9.5 3.5 5 8l4.5 4.5",
  out: "M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10ZM4.8 7h4.4M10.6 10.6 14 14",
  search: "M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10ZM10.6 10.6 14 14",
  down: "M8 2v8M4.5 7 8 10.5 11.5 7M2.5 13.5h11",
};
