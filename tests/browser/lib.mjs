// What the browser tests share: a browser that can reach nothing but the api, a page that fails the test when it errs, and checks one after another.

import assert from "node:assert/strict";
import { appendFileSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
/** WCAG 2.2 AA and what axe itself advises. */
const AXE_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

export const BASE = process.env.BASE;
export const LOG = process.env.LOG;
/** How long a page may take on a loaded machine. */
export const PATIENCE_MS = 20_000;

export async function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM,
    // Root has no sandbox in a container; and whatever the page may ask for, only this machine answers.
    args: ["--no-sandbox", "--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"],
  });
}

/** A page that notes every address it asks and everything that goes wrong. `expected`: console errors that belong to the test. */
export async function open(browser, path, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 1000 }, locale: "en-US", timezoneId: "UTC", reducedMotion: "reduce", permissions: ["clipboard-read", "clipboard-write"], ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  page.asked = [];
  page.wrong = [];
  page.on("request", (request) => page.asked.push(request.url()));
  page.on("pageerror", (error) => page.wrong.push(String(error.stack)));
  page.on("console", (message) => {
    const text = message.text();
    if (message.type() === "error" && !(options.expected ?? []).some((part) => text.includes(part))) page.wrong.push(text);
  });
  await page.goto(path.startsWith("/") ? BASE + path : path);
  return page;
}

export async function close(page) {
  assert.deepEqual(page.wrong, [], "the page erred");
  const foreign = page.asked.filter((url) => !url.startsWith(`${BASE}/`) && !url.startsWith("data:") && !url.startsWith("blob:"));
  assert.deepEqual(foreign, [], "a request would have left the machine");
  await page.context().close();
}

export async function api(path, accept = "application/json") {
  const response = await fetch(BASE + path, { headers: { Accept: accept } });
  assert.equal(response.status, 200, path);
  return response.json();
}

/** Waits for a condition with a deadline; fails with what was found last. */
export async function until(what, check) {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    let wrong;
    try {
      return await check();
    } catch (error) {
      wrong = error;
    }
    if (Date.now() > end) throw new Error(`${what}: ${wrong.message}`);
    await new Promise((done) => setTimeout(done, 100));
  }
}

export async function axe(page, what) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate((tags) => window.axe.run(document, { runOnly: tags, resultTypes: ["violations"] }), AXE_TAGS);
  const told = violations.map((v) => `${v.id} (${v.impact}): ${v.help}\n    ${v.nodes.slice(0, 3).map((n) => `${n.html.slice(0, 160)} ${n.any[0]?.message ?? n.all[0]?.message ?? ""}`).join("\n    ")}`);
  assert.deepEqual(told, [], `axe on ${what}`);
}

/** The text of an element once its panel has its values. */
export async function text(page, selector) {
  return (await page.locator(selector).first().innerText()).trim();
}

export const number = (shown) => Number(shown.replace(/[^0-9.]/g, ""));

/** A line as the api's log has it, that many seconds ago. */
export function line(secondsAgo, customer, path, status, seconds) {
  const time = new Date(Date.now() - secondsAgo * 1000).toISOString().slice(0, 19).replace("T", " ");
  return `${time} ${customer} ${path} ${status} ${seconds.toFixed(3)}\n`;
}

export function append(lines) {
  appendFileSync(LOG, lines);
}

/** Runs checks in order; one that fails does not keep the others from telling. */
export async function run(checks) {
  const browser = await launch();
  const failed = [];
  const only = process.env.ONLY;
  for (const [name, check] of Object.entries(checks)) {
    if (only && !name.includes(only)) continue;
    const begun = performance.now();
    try {
      await check(browser);
      console.log(`ok      ${name} (${((performance.now() - begun) / 1000).toFixed(1)} s)`);
    } catch (error) {
      failed.push(name);
      console.log(`FAILED  ${name}\n${error.stack ?? error}`);
    }
  }
  await browser.close();
  if (failed.length) process.exit(1);
}

export { assert };
