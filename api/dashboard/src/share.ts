// Making a link that opens one customer's page, for who may see everything.

import { json, path, Problem, type ShareLink } from "./api";
import type { Context } from "./context";
import { fill, h } from "./dom";
import { fullDay, time } from "./format";
import { copyText } from "./panel";

const LENGTHS = [["1h", "1 hour"], ["24h", "24 hours"], ["7d", "7 days"], ["30d", "30 days"], ["90d", "90 days"]] as const;

export function shareTool(c: Context): HTMLElement {
  const customer = c.state.customer;
  const length = h("select", null, LENGTHS.map(([value, label]) => h("option", { value, selected: value === "7d" }, label)));
  const made = h("div", { class: "made", role: "status" });
  const make = async () => {
    try {
      const link = await json<ShareLink>(path(`/v1/customers/${encodeURIComponent(customer)}/share`, { for: length.value }));
      show(c, made, link);
    } catch (error) {
      fill(made, h("p", { class: "error" }, error instanceof Problem ? `${error.title}: ${error.detail}` : "The link could not be made."));
    }
  };
  return h("details", { class: "custom share-tool" }, h("summary", null, "Share"),
    h("form", { class: "pop", onsubmit: (e: Event) => { e.preventDefault(); void make(); } },
      h("p", null, "A link to this page for whoever has it: this customer's numbers, live, and nothing else."),
      h("label", null, "It opens for", length),
      h("div", { class: "row" }, h("button", { class: "button", type: "submit" }, "Make a link")),
      made));
}

function show(c: Context, el: HTMLElement, link: ShareLink): void {
  const address = `${location.origin}${link.page}`;
  const field = h("input", { type: "text", readonly: true, value: address, "aria-label": "The link", onfocus: () => field.select() });
  const copy = h("button", { class: "button quiet", type: "button", onclick: () => void copyText(address).then((copied) => { fill(copy, copied ? "Copied" : "Copy it by hand"); c.announce(copied ? "Link copied" : "The browser does not let this page copy"); }) }, "Copy");
  const end = Date.parse(link.expires);
  fill(el, h("div", { class: "row" }, field, copy),
    h("p", { class: "muted" }, `It opens ${link.customer_id} alone until ${fullDay(end, c.state.tz)}, ${time(end, c.state.tz)} (${c.state.tz}). It cannot be taken back before.`));
}
