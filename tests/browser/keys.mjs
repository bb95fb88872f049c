// The dashboard where a key is needed: what an administrator's key, a customer's key and a share link open, and that nothing else can be reached. The harness runs
// the api with the keys of KEY_ADMIN and KEY_CUSTOMER (of cust_hurt), and with share links.

import { assert, axe, BASE, close, number, open, run, text, until } from "./lib.mjs";

const { KEY_ADMIN, KEY_CUSTOMER } = process.env;
const OWN = "cust_hurt", OTHER = "cust_1";

const ask = (path, key) => fetch(BASE + path, { headers: key ? { Authorization: `Bearer ${key}` } : {} });
const total = async (path, key) => (await (await ask(path, key)).json()).total_requests;
const shown = async (page) => number(await text(page, ".card[aria-label=Requests] .value"));

/** Nothing is broken that the page's policy forbids, and it forbids what it should. */
async function policyHolds(page) {
  const broken = page.wrong.filter((text) => /Content Security Policy/i.test(text));
  assert.deepEqual(broken, [], "the policy was broken");
  const policy = (await page.request.get(`${BASE}/`, { headers: { Accept: "text/html" } })).headers()["content-security-policy"];
  assert.match(policy, /^default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'/);
}

async function signIn(page, key) {
  await page.locator(".gate input").waitFor();
  await page.locator(".gate input").fill(key);
  await page.keyboard.press("Enter");
}

/** A page that may show one customer: nothing on it is anybody else's, and nothing it asked was about anybody else. */
async function onlyOwn(page) {
  await until("the customer's page", async () => assert.equal(await text(page, "h1"), OWN));
  await until("its figures", async () => assert.ok((await shown(page)) > 0));
  await until("live", async () => assert.match(await text(page, "header .badge"), /^[●◆] data until/));
  for (const way of ["nav", ".jump", ".head a", ".share-tool"]) assert.equal(await page.locator(way).filter({ visible: true }).count(), 0, way);
  const foreign = page.asked.map((url) => new URL(url)).filter((url) => url.pathname.startsWith("/v1/") && url.pathname !== "/v1/me" && !url.pathname.startsWith(`/v1/customers/${OWN}/`));
  assert.deepEqual(foreign.map(String), [], "asked about others");
  assert.ok(page.asked.some((url) => new URL(url).pathname === `/v1/customers/${OWN}/live`), "its stream");
  const all = await page.locator("body").innerText();
  assert.doesNotMatch(all, /\bcust_\d+\b/, "another customer is named");
}

/** Every address of the page leads to its own customer, and by hand nothing else is answered. */
async function nothingElse(page, suffix, headers) {
  for (const address of [`/?customer=${OTHER}&from=-1h`, "/?view=operations", "/"]) {
    await page.goto(`${BASE}${address}${suffix ? `${address.includes("?") ? "&" : "?"}${suffix}` : ""}`);
    await onlyOwn(page);
    assert.equal(new URL(page.url()).searchParams.get("customer"), OWN, "the address says whose page it is");
  }
  await page.keyboard.press("o");
  await page.keyboard.press("/");
  await onlyOwn(page);
  const answers = await page.evaluate(async ({ other, suffix, headers }) => {
    const found = {};
    for (const path of ["/v1/stats", "/v1/live", "/v1/hurt", "/v1/customers", "/v1/pipeline", "/metrics", "/customers", `/v1/customers/${other}/share`,
      ...["stats", "series", "latency", "paths", "requests", "live"].map((what) => `/v1/customers/${other}/${what}`)]) {
      const response = await fetch(suffix ? `${path}?${suffix}` : path, { headers });
      found[path] = [response.status, /total_requests|customer_id/.test(response.headers.get("content-type").includes("json") ? await response.text() : "")];
    }
    return found;
  }, { other: OTHER, suffix, headers });
  // What was asked by hand is not the page's.
  page.asked.length = 0;
  for (const [path, [status, told]] of Object.entries(answers)) {
    const expected = path.startsWith("/v1/customers/") && !path.endsWith("/share") ? 404 : 403;
    assert.deepEqual([status, told], [expected, false], path);
  }
}

const REFUSED = { expected: ["401", "403", "404"] };

await run({
  "without a key nothing is shown, and a wrong one is told": async (browser) => {
    const page = await open(browser, "/?from=-1h", REFUSED);
    await until("a key is asked for", async () => assert.equal(await text(page, ".gate h1"), "A key, please"));
    assert.equal(await page.locator(".panel, .card").count(), 0);
    await axe(page, "the question for a key");
    await signIn(page, "tg_wrong");
    await until("refused", async () => assert.match(await text(page, ".gate p"), /does not take/));
    const asked = page.asked.map((url) => new URL(url).pathname).filter((path) => path.startsWith("/v1/"));
    assert.deepEqual([...new Set(asked)], ["/v1/me"], "nothing else was asked");
    await close(page);
  },

  "an administrator's key opens everything, and makes a link": async (browser) => {
    const page = await open(browser, "/?from=-1h", REFUSED);
    await signIn(page, KEY_ADMIN);
    await until("the verdict", async () => assert.match(await text(page, ".verdict"), /cust_hurt/));
    await until("live", async () => assert.match(await text(page, "header .badge"), /^[●◆] data until/));
    assert.ok(!page.url().includes(KEY_ADMIN) && page.asked.every((url) => !url.includes("tg_")), "a key never stands in an address");
    await page.locator("#requests .tool[aria-label^='Copy']").click();
    await until("the command", async () => assert.match(await page.evaluate(() => navigator.clipboard.readText()), /^curl -H "Authorization: Bearer \$API_KEY" '/));
    await page.locator("#hurt .row-link").first().click();
    await page.locator(".share-tool summary").click();
    await page.locator(".share-tool select").selectOption("24h");
    await page.locator(".share-tool button[type=submit]").click();
    const address = await page.locator(".share-tool .made input").inputValue();
    assert.ok(address.startsWith(`${BASE}/?customer=${OWN}&share=`), address);
    assert.match(await text(page, ".share-tool .made p"), /^It opens cust_hurt alone until \w+ \d+ \w+ \d{4}, \d\d:\d\d \(UTC\)\./);
    await axe(page, "making a link");
    // Who made it sees in the same tab what its reader will see.
    page.asked.length = 0;
    await page.goto(address);
    await onlyOwn(page);
    const reader = await open(browser, new URL(address).pathname + new URL(address).search, REFUSED);
    await onlyOwn(reader);
    assert.match(await text(reader, "header"), /link until/);
    await close(reader);
    await page.goto(`${BASE}/?from=-1h`);
    await page.locator("header button", { hasText: "Sign out" }).click();
    await until("signed out", async () => assert.equal(await text(page, ".gate h1"), "A key, please"));
    await policyHolds(page);
    await close(page);
  },

  "a customer's key opens that customer's page and nothing else": async (browser) => {
    const page = await open(browser, "/?from=-1h", REFUSED);
    await signIn(page, KEY_CUSTOMER);
    await onlyOwn(page);
    assert.equal(await shown(page), await total(`/v1/customers/${OWN}/stats?from=${new URL(page.url()).searchParams.get("from")}`, KEY_CUSTOMER));
    await nothingElse(page, "", { Authorization: `Bearer ${KEY_CUSTOMER}` });
    await policyHolds(page);
    await close(page);
  },

  "a share link opens that customer's page and nothing else, and ends": async (browser) => {
    const make = async (span) => (await (await ask(`/v1/customers/${OWN}/share?for=${span}`, KEY_ADMIN)).json());
    const { page: path, token } = await make("1h");
    const page = await open(browser, `${path}&from=-1h`, REFUSED);
    await onlyOwn(page);
    await page.locator("#recent select").first().selectOption("5xx");
    await until("the address keeps the link", async () => assert.equal(new URL(page.url()).searchParams.get("share"), token));
    await page.locator("#requests .tool[aria-label^='Copy']").click();
    const command = await until("the command", async () => {
      const text = await page.evaluate(() => navigator.clipboard.readText());
      assert.match(text, /^curl '[^']+share=[^']+'$/);
      return text;
    });
    assert.equal((await fetch(/'([^']+)'/.exec(command)[1])).status, 200);
    await nothingElse(page, `share=${encodeURIComponent(token)}`, {});
    // One that ends while it is looked at: nothing stays on the screen.
    const short = await make("5s");
    await page.goto(BASE + short.page);
    await onlyOwn(page);
    await until("over", async () => assert.equal(await text(page, ".gate h1"), "This link opens nothing"));
    assert.equal(await page.locator(".panel, .card").count(), 0);
    assert.doesNotMatch(await page.locator("body").innerText(), /cust_/);
    await axe(page, "a link that is over");
    await page.locator(".gate button").click();
    await until("a key instead", async () => assert.equal(await text(page, ".gate h1"), "A key, please"));
    await policyHolds(page);
    await close(page);
  },
});
