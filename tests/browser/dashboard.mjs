// The dashboard over a log in which one customer has an outage. The harness (tests/it/browser.rs) wrote the log and runs processor and api; here a real browser looks.

import { api, append, assert, axe, BASE, close, line, number, open, run, text, until } from "./lib.mjs";

/** A range that has ended, so that nothing changes between the page's question and ours. */
const ended = () => {
  const minute = Math.floor(Date.now() / 60_000) * 60_000;
  const iso = (ms) => new Date(ms).toISOString().replace(".000Z", "Z");
  return { from: iso(minute - 90 * 60_000), to: iso(minute - 5 * 60_000) };
};
const floor2 = (percent) => Math.floor(percent * 100 + 1e-6) / 100;
const seconds = (shown) => (shown.endsWith("ms") ? number(shown) / 1000 : number(shown));
const near = (found, expected, digits, what) => assert.ok(Math.abs(found - expected) <= 0.5 * 10 ** -digits + 1e-9, `${what}: ${found} is not ${expected}`);

async function figuresEqual(page, statsPath) {
  const stats = await api(statsPath);
  await until("the cards are those of the api", async () => assert.equal(number(await text(page, ".card[aria-label=Requests] .value")), stats.total_requests));
  assert.equal(number(await text(page, ".card[aria-label=Availability] .value")), floor2(stats.availability));
  assert.equal(number((await text(page, ".card[aria-label=Availability] .under")).split("%")[0]), floor2(stats.uptime));
  const under = await text(page, ".card[aria-label=Errors] .under");
  assert.equal(under, `${stats.status["5xx"].toLocaleString("en-US")} 5xx · ${stats.status["4xx"].toLocaleString("en-US")} 4xx`);
  near(seconds(await text(page, ".card[aria-label='p50 latency'] .value")), stats.median_latency, stats.median_latency < 1 ? 3 : 2, "p50");
  near(seconds(await text(page, ".card[aria-label='p99 latency'] .value")), stats.p99_latency, stats.p99_latency < 1 ? 3 : 2, "p99");
  return stats;
}

const rowIds = (page) => page.locator("#customers tbody tr[data-row]").evaluateAll((rows) => rows.map((row) => row.dataset.row));

await run({
  "the verdict names who is hurt, and since when": async (browser) => {
    const page = await open(browser, "/?from=-1h");
    await until("the verdict", async () => assert.match(await text(page, ".verdict"), /^▲\s*1 of \d+ customers is hurt\. cust_hurt, .* available, since (\d+ \w+ )?\d\d:\d\d \(\d+ min\), and it goes on\.$/));
    const since = /since (?:\d+ \w+ )?(\d\d:\d\d)/.exec(await text(page, ".verdict"))[1];
    const series = await api("/v1/customers/cust_hurt/series?from=-1h&granularity=1m");
    const first = series.data.find((point) => point.status["5xx"] * 20 >= point.total_requests && point.status["5xx"] > 0);
    assert.equal(since, first.start.slice(11, 16), "the first bad minute of the series");
    assert.equal(await text(page, "#hurt li .row-link"), "cust_hurt");
    await close(page);
  },

  "figures equal the api's: cards, table, sorted, searched": async (browser) => {
    const { from, to } = ended();
    const page = await open(browser, `/?from=${from}&to=${to}`);
    await figuresEqual(page, `/v1/stats?from=${from}&to=${to}`);
    for (const [title, sort, order] of [["Requests", "total_requests", "desc"], ["p99", "p99_latency", "desc"], ["p99", "p99_latency", "asc"], ["Customer", "customer_id", "asc"], ["Availability", "availability", "asc"]]) {
      if (sort !== "total_requests") await page.locator("#customers thead button", { hasText: new RegExp(`^${title}`) }).click();
      const expected = await api(`/v1/customers?from=${from}&to=${to}&sort=${sort}&order=${order}&limit=12`);
      await until(`sorted by ${sort} ${order}`, async () => assert.deepEqual((await rowIds(page)).slice(0, 12), expected.data.map((row) => row.customer_id)));
      assert.equal(new URL(page.url()).searchParams.get("sort") ?? "total_requests", sort);
      const first = page.locator("#customers tbody tr[data-row]").first().locator("td");
      assert.equal(number(await first.nth(1).innerText()), expected.data[0].total_requests);
      assert.equal(number(await first.nth(2).innerText()), floor2(expected.data[0].availability));
    }
    assert.equal(await page.locator("#customers tfoot").isVisible(), false, "everybody is in the table");
    await page.locator("#customers input").fill("_HURT");
    await until("found", async () => assert.deepEqual(await rowIds(page), ["cust_hurt"]));
    const [all, hurt] = [await api(`/v1/stats?from=${from}&to=${to}`), await api(`/v1/customers/cust_hurt/stats?from=${from}&to=${to}`)];
    const others = (get) => get(all) - get(hurt);
    const requests = others((s) => s.total_requests), failed = others((s) => s.status["5xx"]);
    const last = page.locator("#customers tfoot").locator("th, td");
    await until("the others", async () => assert.match(await last.first().innerText(), /^\d+ others$/));
    assert.equal(number(await last.nth(2).innerText()), requests);
    assert.equal(number(await last.nth(3).innerText()), floor2(((requests - failed) / requests) * 100));
    assert.equal(number(await last.nth(5).evaluate((cell) => cell.querySelector("span").firstChild.data)), failed);
    assert.match(await last.nth(8).innerText(), /^–\s+Percentiles of several customers/);
    await axe(page, "a table with others");
    const points = (await api(`/v1/customers/cust_hurt/series?from=${from}&to=${to}&granularity=1m`)).data.filter((point) => point.total_requests !== null).length;
    await until("its line", async () => assert.equal((await page.locator("#customers .trend path").first().getAttribute("d")).split(/[ML]/).length - 1, points));
    assert.equal(new URL(page.url()).searchParams.get("q"), "_HURT");
    await close(page);
  },

  "a customer's page: figures, endpoints, requests, filters": async (browser) => {
    const { from, to } = ended();
    const range = `from=${from}&to=${to}`;
    const page = await open(browser, `/?customer=cust_hurt&${range}`);
    await figuresEqual(page, `/v1/customers/cust_hurt/stats?${range}`);
    const paths = await api(`/v1/customers/cust_hurt/paths?${range}`);
    await until("endpoints", async () => assert.deepEqual(await page.locator("#paths tbody tr").evaluateAll((rows) => rows.map((row) => [row.children[0].innerText, Number(row.children[1].innerText.replaceAll(",", ""))])), paths.data.map((row) => [row.path, row.total_requests])));
    await page.locator("#recent select").first().selectOption("5xx");
    const recent = await api(`/v1/customers/cust_hurt/requests?${range}&status=5xx&limit=200`);
    await until("only server errors", async () => assert.deepEqual(await page.locator("#recent tbody tr").evaluateAll((rows) => rows.map((row) => Number(row.children[1].innerText))), recent.data.map((row) => row.status)));
    assert.equal(await text(page, "#incidents li a").then((t) => t.length > 0), true);
    await page.locator(".days").focus();
    await page.keyboard.press("End");
    const today = (await api("/v1/customers/cust_hurt/series?from=-89d&granularity=1d")).data.at(-1);
    const told = await page.locator(".days").getAttribute("aria-valuetext");
    assert.equal(number(/available, (.*) requests/.exec(told)[1]), today.total_requests, told);
    await page.keyboard.press("Enter");
    await until("that day", async () => assert.equal(new URL(page.url()).searchParams.get("from"), today.start.slice(0, 10)));
    await close(page);
  },

  "filters are chips in the bar; a status class of the chart is one": async (browser) => {
    const { from, to } = ended();
    const range = `from=${from}&to=${to}`;
    const page = await open(browser, `/?customer=cust_hurt&${range}&path=/api/v1/orders&min_latency=0.005`);
    const chips = () => page.locator(".filters .chip").allInnerTexts().then((all) => all.map((one) => one.replace(/\s*×$/, "")));
    const filter = (name) => new URL(page.url()).searchParams.get(name);
    const listed = async (query) => {
      const recent = await api(`/v1/customers/cust_hurt/requests?${range}${query}&limit=200`);
      await until(`the requests of ${query}`, async () => assert.deepEqual(await page.locator("#recent tbody tr").evaluateAll((rows) => rows.map((row) => [Number(row.children[1].innerText), row.children[3].innerText])), recent.data.map((row) => [row.status, row.path])));
      assert.ok(recent.data.length > 0, query);
    };
    await until("chips", async () => assert.deepEqual(await chips(), ["path /api/v1/orders", "latency ≥ 5 ms"]));
    assert.equal(await page.locator(".filters").getAttribute("aria-label"), "Filters of Recent requests");
    const legend = page.locator("#requests .legend button", { hasText: "5xx" });
    await legend.focus();
    await page.keyboard.press("Enter");
    await until("three chips", async () => assert.deepEqual(await chips(), ["status 5xx", "path /api/v1/orders", "latency ≥ 5 ms"]));
    assert.equal(await legend.getAttribute("aria-pressed"), "true");
    assert.equal(await legend.evaluate((el) => el === document.activeElement), true, "the keyboard stays where it was");
    await listed("&status=5xx&path=/api/v1/orders&min_latency=0.005");
    await axe(page, "chips");
    await page.setViewportSize({ width: 360, height: 740 });
    await until("narrow", async () => assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= 360));
    await axe(page, "chips on a phone");
    await page.setViewportSize({ width: 1440, height: 1000 });
    await page.locator(".filters [data-filter=path]").focus();
    await page.keyboard.press("Enter");
    await until("two chips", async () => assert.deepEqual(await chips(), ["status 5xx", "latency ≥ 5 ms"]));
    assert.equal(await page.evaluate(() => document.activeElement.dataset.filter), "min_latency", "the keyboard stands on the next one");
    assert.equal(filter("path"), null);
    await listed("&status=5xx&min_latency=0.005");
    await page.locator(".filters button", { hasText: "Remove all" }).click();
    await until("none", async () => assert.equal(await page.locator(".filters").isVisible(), false));
    assert.deepEqual([filter("status"), filter("min_latency")], [null, null]);
    assert.equal(await legend.getAttribute("aria-pressed"), "false");
    // The lowest column of the last bar, and then the one above it.
    const over = await page.locator("#requests .u-over").boundingBox();
    await page.mouse.click(over.x + over.width - 8, over.y + over.height - 3);
    await until("clicked", async () => assert.equal(filter("status"), "5xx"));
    await listed("&status=5xx");
    await page.mouse.click(over.x + 8, over.y + over.height - 3);
    await until("another column", async () => assert.equal(filter("status"), "2xx"));
    await page.mouse.click(over.x + 8, over.y + over.height - 3);
    await until("given up again", async () => assert.equal(filter("status"), null));
    await listed("");
    await page.goto(`${BASE}/?${range}&q=hurt`);
    await until("the search of the table", async () => assert.deepEqual(await chips(), ["id has “hurt”"]));
    await page.locator(".filters .chip").click();
    await until("all customers", async () => assert.ok((await rowIds(page)).length > 5));
    assert.deepEqual([filter("q"), await page.locator("#customers input").inputValue()], [null, ""]);
    assert.equal(await page.locator("#requests .legend button").count(), 0, "nothing to choose a class for");
    await close(page);
  },

  "what is written to the log is seen, unless paused": async (browser) => {
    append(line(1, "cust_live", "/api/v1/now", 200, 0.02));
    await until("the customer is known", async () => api("/v1/customers/cust_live/stats?from=-15m"));
    const page = await open(browser, "/?from=-15m&customer=cust_live");
    const shown = async () => number(await text(page, ".card[aria-label=Requests] .value"));
    await until("values", async () => assert.ok((await shown()) > 0));
    const begun = performance.now();
    const before = await shown();
    append(Array.from({ length: 50 }, () => line(0, "cust_live", "/api/v1/now", 200, 0.02)).join(""));
    await until("fifty more", async () => assert.ok((await shown()) >= before + 50, `${before} and ${await shown()}`));
    console.log(`        seen ${((performance.now() - begun) / 1000).toFixed(1)} s after it was written`);
    await until("as the api tells it", async () => assert.equal(await shown(), (await api("/v1/customers/cust_live/stats?from=-15m")).total_requests));
    assert.match(await text(page, "header .badge"), /^● data until \d\d:\d\d:\d\d · \d+\.\d s behind$/);
    await page.keyboard.press("p");
    await until("paused", async () => assert.equal(await text(page, "button.live"), "Paused"));
    const frozen = await shown();
    const all = await text(page, "main");
    append(Array.from({ length: 10 }, () => line(0, "cust_live", "/api/v1/now", 200, 0.02)).join(""));
    await until("the api has them", async () => assert.ok((await api("/v1/customers/cust_live/stats?from=-15m")).total_requests >= frozen + 10));
    await until("the update that waits is counted", async () => assert.equal(await text(page, "button.live"), "Paused · 1 update"));
    assert.equal(await page.locator("button.live").getAttribute("title"), "In 1 of the seconds since, requests have come in: at least 10");
    assert.match(await text(page, "header .badge"), /^○ values of \d\d:\d\d:\d\d$/);
    append(line(0, "cust_live", "/api/v1/now", 200, 0.02));
    await until("and the next", async () => assert.equal(await page.locator("button.live").getAttribute("aria-label"), "Paused · 2 updates: go on live"));
    assert.equal(await text(page, "main"), all, "paused values stay");
    await axe(page, "a paused page with updates that wait");
    await page.keyboard.press("p");
    await until("live", async () => assert.equal(await text(page, "button.live"), "Live"));
    await until("live again", async () => assert.ok((await shown()) >= frozen + 10));
    await close(page);
  },

  "who is new": async (browser) => {
    append(line(0, "cust_newcomer", "/api/v1/now", 200, 0.02));
    await until("the customer is known", async () => api("/v1/customers/cust_newcomer/stats?from=-15m"));
    const page = await open(browser, "/?from=-15m");
    await until("as the api tells it", async () => {
      const { new_customers } = await api("/v1/customers?from=-15m");
      assert.ok(new_customers >= 1);
      assert.equal(await text(page, ".card[aria-label='Active customers'] .delta"), `${new_customers} new`);
    });
    const { from, to } = ended();
    await page.goto(`${BASE}/?from=${from}&to=${to}`);
    await until("another range", async () => assert.ok(number(await text(page, ".card[aria-label='Active customers'] .value")) > 0));
    await page.locator("#customers tbody tr[data-row]").first().waitFor();
    assert.equal(await text(page, ".card[aria-label='Active customers'] .delta"), "", "not told of a range that has ended");
    await close(page);
  },

  "drag zooms, the address holds it, double click goes back": async (browser) => {
    const page = await open(browser, "/?from=-1h");
    await page.locator("#requests canvas").waitFor();
    const over = await page.locator("#requests .u-over").boundingBox();
    await page.mouse.move(over.x + over.width * 0.4, over.y + 60);
    await page.mouse.down();
    await page.mouse.move(over.x + over.width * 0.7, over.y + 80, { steps: 6 });
    await page.mouse.up();
    await until("zoomed", async () => assert.match(new URL(page.url()).searchParams.get("from"), /^\d{4}-.*:00Z$/));
    const query = new URL(page.url()).searchParams;
    const length = Date.parse(query.get("to")) - Date.parse(query.get("from"));
    assert.ok(length >= 17 * 60_000 && length <= 21 * 60_000, `${length / 60_000} minutes`);
    await figuresEqual(page, `/v1/stats?from=${query.get("from")}&to=${query.get("to")}`);
    await page.locator("#latency .u-over").dblclick();
    await until("back", async () => assert.equal(new URL(page.url()).searchParams.get("from"), "-1h"));
    await close(page);
  },

  "keys: crosshair of all charts, ranges, search, back": async (browser) => {
    const page = await open(browser, "/?from=-1h");
    await page.locator("#requests canvas").waitFor();
    await page.locator("#requests .plot").focus();
    await page.keyboard.press("End");
    await page.keyboard.press("ArrowLeft");
    const said = () => page.locator("#requests .plot").getAttribute("aria-valuetext");
    assert.match(await said(), /^\d\d:\d\d: 5xx \d+, 4xx \d+, 3xx \d+, 2xx \d+/);
    const at = (await said()).slice(0, 5);
    assert.equal((await page.locator("#latency .plot").getAttribute("aria-valuetext")).slice(0, 5), at, "one crosshair");
    await page.keyboard.press("Enter");
    await until("zoomed in", async () => assert.match(new URL(page.url()).searchParams.get("from"), /Z$/));
    await page.keyboard.press("Escape");
    await until("back", async () => assert.equal(new URL(page.url()).searchParams.get("from"), "-1h"));
    await page.locator("#requests .tool").first().click();
    const rows = await page.locator("#requests .chart-table tbody tr").count();
    assert.ok(rows >= 60, `${rows} rows`);
    await page.locator("h2").first().click();
    await page.keyboard.press("3");
    await until("the range of 24 hours", async () => assert.equal(new URL(page.url()).searchParams.get("from"), "-24h"));
    await page.keyboard.press("/");
    await page.keyboard.type("hurt");
    await page.locator("#jump-list li").first().waitFor();
    await page.keyboard.press("Enter");
    await until("the customer's page", async () => assert.equal(await text(page, "h1"), "cust_hurt"));
    await page.goBack();
    await until("back", async () => assert.equal(new URL(page.url()).searchParams.get("customer"), null));
    await close(page);
  },

  "copy curl gives the very question": async (browser) => {
    const { from, to } = ended();
    const page = await open(browser, `/?from=${from}&to=${to}&tz=Europe/Berlin`);
    await page.locator("#requests canvas").waitFor();
    for (const id of ["requests", "hurt", "heat", "customers"]) {
      await page.locator(`#${id} .tool[aria-label^='Copy']`).click();
      const command = await until("copied", async () => {
        const text = await page.evaluate(() => navigator.clipboard.readText());
        assert.ok(text.startsWith(`curl '${BASE}/v1/`), text);
        return text;
      });
      const url = /^curl '([^']+)'$/.exec(command)[1];
      assert.equal(new URL(url).searchParams.get("from"), from);
      assert.equal((await fetch(url)).status, 200, url);
      assert.ok(page.asked.some((asked) => new URL(asked).pathname === new URL(url).pathname), url);
    }
    await close(page);
  },

  "away: the page says so, keeps its values and comes back": async (browser) => {
    const page = await open(browser, "/?from=-1h", { expected: ["ERR_FAILED"] });
    await until("live", async () => assert.match(await text(page, "header .badge"), /^● data until/));
    const requests = await text(page, ".card[aria-label=Requests] .value");
    await page.route("**/v1/**", (route) => route.abort());
    // Its stream is open already, and is not cut by that: it is asked for anew.
    await page.keyboard.press("p");
    await page.keyboard.press("p");
    await until("offline", async () => assert.match(await text(page, "header .badge"), /offline, retrying in \d+ s/));
    assert.equal(number(await text(page, ".card[aria-label=Requests] .value")) >= number(requests), true);
    await page.unroute("**/v1/**");
    await until("live again", async () => assert.match(await text(page, "header .badge"), /^[●◆] data until/));
    await close(page);
  },

  "a panel that fails keeps its values; an empty range leads to data; an unknown customer is said": async (browser) => {
    const page = await open(browser, "/?from=-1h", { expected: ["503", "404"] });
    await page.locator("#hurt li").first().waitFor();
    await page.route("**/v1/hurt?*", (route) => route.fulfill({ status: 503, contentType: "application/problem+json", body: JSON.stringify({ title: "The store is unavailable at the moment", detail: "ask again later", status: 503 }) }));
    await until("the trouble is said", async () => assert.match(await text(page, "#hurt .message"), /The store is unavailable at the moment.*values are those of \d\d:\d\d:\d\d/));
    assert.equal(await page.locator("#hurt li").first().isVisible(), true);
    await page.unroute("**/v1/hurt?*");
    await page.locator("#hurt .message button").click();
    await until("well again", async () => assert.equal(await page.locator("#hurt .message").isVisible(), false));
    await page.goto(`${BASE}/?from=2020-01-01&to=2020-01-02`);
    await until("empty", async () => assert.equal(await text(page, ".nothing h1"), "No requests in this range"));
    await page.locator(".nothing a").click();
    await until("data", async () => assert.ok(number(await text(page, ".card[aria-label=Requests] .value")) > 0));
    await page.goto(`${BASE}/?customer=nobody`);
    await until("unknown", async () => assert.match(await text(page, "#requests .message"), /No such customer/));
    await close(page);
  },

  "an api that cannot answer from the beginning: said, and nothing made up": async (browser) => {
    const page = await open(browser, "about:blank", { expected: ["503"] });
    await page.route("**/v1/**", (route) => route.fulfill({ status: 503, contentType: "application/problem+json", body: JSON.stringify({ title: "The store is unavailable at the moment", detail: "ask again later", status: 503 }) }));
    await page.goto(`${BASE}/?from=-1h`);
    await until("not known", async () => assert.match(await text(page, ".verdict"), /Who is hurt is not known\. The store is unavailable at the moment\.$/));
    await until("no figure", async () => assert.deepEqual([...new Set(await page.locator(".card .value").allInnerTexts())], ["–"]));
    assert.match(await text(page, "header .badge"), /offline, retrying in \d+ s|connecting/);
    await axe(page, "an api that cannot answer");
    await page.unroute("**/v1/**");
    await until("well", async () => assert.match(await text(page, ".verdict"), /cust_hurt/));
    await close(page);
  },

  "operations: every line is accounted for": async (browser) => {
    const page = await open(browser, "/?view=operations");
    await until("the balance", async () => assert.match(await text(page, "#pipeline .under"), /Every line is accounted for\.$/));
    const { processor } = await api("/v1/pipeline");
    assert.equal(number(await text(page, "#pipeline li:nth-child(2) b")), processor.lines_stored);
    assert.equal((await page.locator("#rejects tbody td.num").allInnerTexts()).reduce((sum, shown) => sum + number(shown), 0), processor.lines_rejected);
    assert.ok((await text(page, "#files tbody")).includes("api.log"));
    await close(page);
  },

  "operations: what the rejected lines look like, as text and nothing else": async (browser) => {
    const page = await open(browser, "/?view=operations");
    const rejects = await api("/v1/rejects?limit=5");
    const shown = () => page.locator("#samples li").evaluateAll((all) => all.map((li) => [li.querySelector("code.chip").innerText, li.querySelector("code.line").innerText]));
    await until("the samples", async () => assert.deepEqual(await shown(), rejects.data.map((reject) => [reject.reason, reject.line])));
    assert.ok((await shown()).some(([, line]) => line === "<img src=x onerror=alert(1)>\\t\\u{1b}[31m \\u{202e}der"), JSON.stringify(await shown()));
    assert.equal(await page.locator("#samples img").count(), 0);
    append("a new one that is none\n");
    await until("the new one", async () => assert.ok((await shown()).some(([, line]) => line === "a new one that is none")));
    await page.route("**/v1/rejects?*", (route) => route.fulfill({ contentType: "application/json", body: JSON.stringify({ known: false, data: [] }) }));
    await page.reload();
    await until("said where to look", async () => assert.match(await text(page, "#samples .message"), /not known here.*“log-processor rejects” prints them/));
    await close(page);
  },

  "dark and light: by the system, by choice, and the choice stays": async (browser) => {
    const page = await open(browser, "/?from=-1h", { colorScheme: "dark" });
    const back = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    assert.equal(await back(), "rgb(16, 21, 27)");
    await page.keyboard.press("t");
    assert.equal(await back(), "rgb(245, 246, 247)");
    await page.reload();
    await page.locator("#requests canvas").waitFor();
    assert.equal(await back(), "rgb(245, 246, 247)");
    await close(page);
  },

  "axe finds nothing, and nothing is wider than the screen": async (browser) => {
    const page = await open(browser, "about:blank");
    for (const [view, path] of [["overview", "/?from=-1h"], ["customer", "/?customer=cust_hurt&from=-1h"], ["operations", "/?view=operations"], ["empty", "/?from=2020-01-01&to=2020-01-02"]]) {
      await page.goto(BASE + path);
      await page.locator("main .panel:not(.loading), .nothing h1").first().waitFor();
      await until("loaded", async () => assert.equal(await page.locator(".panel.loading:visible, .card.loading:visible").count(), 0));
      // What changes meanwhile would be looked at anew, and again.
      if (view !== "empty") await page.keyboard.press("p");
      for (const [colorScheme, width, height] of [["light", 1440, 1000], ["dark", 1440, 1000], ["light", 360, 740]]) {
        // The other views have no colours that these two have not.
        if (colorScheme === "dark" && view !== "overview" && view !== "customer") continue;
        await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
        await page.setViewportSize({ width, height });
        await until("drawn anew", async () => assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= width, `${view}: wider than a screen of ${width} px`));
        await axe(page, `${view}, ${colorScheme}, ${width} wide`);
      }
    }
    await close(page);
  },

  "screenshots": async (browser) => {
    const folder = process.env.SCREENSHOTS;
    if (!folder) return;
    for (const [name, path, colorScheme, width, height] of [["overview", "/?from=-1h", "light", 1440, 1180], ["overview-dark", "/?from=-1h", "dark", 1440, 1180], ["customer", `/?customer=${process.env.CUSTOMER ?? "cust_hurt"}&from=-1h`, "light", 1440, 1180], ["operations", "/?view=operations", "light", 1440, 960], ["phone", "/?from=-1h", "light", 390, 844]]) {
      const page = await open(browser, path, { colorScheme, viewport: { width, height } });
      await until("loaded", async () => assert.equal(await page.locator(".panel.loading, .card.loading, .verdict.loading").count(), 0));
      await until("since when", async () => assert.equal(await page.locator("#hurt .spark:not(svg)").count(), 0));
      if (width > 720 && name.startsWith("overview")) await until("lines", async () => assert.ok((await page.locator("#customers .trend path").count()) >= 8));
      await page.screenshot({ path: `${folder}/${name}.png` });
      await close(page);
    }
  },
});
