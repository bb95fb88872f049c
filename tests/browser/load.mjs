// The figures of docs/DASHBOARD.md. Not a test: it judges nothing.
//
//   node load.mjs log >api.log                             a million lines over 30 days, of ten thousand customers; a tenth of them in the last hour
//   BASE=http://127.0.0.1:8000 node load.mjs load          500 live streams, 200 readers (STREAMS, READERS, PAUSE_MS=1000, SECONDS=20)
//   BASE=… CHROMIUM=… node load.mjs page                   how soon the overview stands, range by range
//
// Between them: `log-processor` follows api.log, `api` answers from its STATE_DIR, and something appends lines.

import http from "node:http";

const CUSTOMERS = 10_000, LINES = 1_000_000, RECENT = 100_000, DAYS = 30;
const PATHS = ["/api/v1/orders", "/api/v1/products", "/api/v1/search", "/api/v1/payments"];
const setting = (name, value) => Number(process.env[name] ?? value);
const quantile = (values, share) => (values.length ? values.sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))].toFixed(1) : "-");
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** Numbers from 0 to 1, the same ones each time (mulberry32). */
function random(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

async function log() {
  const next = random(42), now = Math.floor(Date.now() / 1000), long = DAYS * 86_400;
  // Customer n asks in proportion to n^-0.8.
  const sums = new Float64Array(CUSTOMERS);
  let sum = 0;
  for (let n = 0; n < CUSTOMERS; n++) sums[n] = sum += (n + 1) ** -0.8;
  const customer = () => {
    const at = next() * sum;
    let low = 0, high = CUSTOMERS - 1;
    while (low < high) { const middle = (low + high) >> 1; if (sums[middle] < at) low = middle + 1; else high = middle; }
    return low;
  };
  const normal = () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
  let chunk = "";
  for (let n = 0; n < LINES; n++) {
    const old = LINES - RECENT;
    const second = n < old ? now - long + Math.floor(((long - 3600) * n) / old) : now - 3600 + Math.floor((3600 * (n - old)) / RECENT);
    const time = new Date(second * 1000).toISOString().slice(0, 19).replace("T", " "), fate = next();
    const status = fate < 0.004 ? 500 : fate < 0.03 ? 404 : fate < 0.05 ? 302 : 200;
    chunk += `${time} cust_${customer()} ${PATHS[n & 3]} ${status} ${Math.exp(-2.5 + 0.7 * normal()).toFixed(3)}\n`;
    if (chunk.length > 1 << 16) {
      if (!process.stdout.write(chunk)) await new Promise((done) => process.stdout.once("drain", done));
      chunk = "";
    }
  }
  process.stdout.write(chunk);
}

async function load() {
  const { hostname: host, port } = new URL(process.env.BASE);
  const streams = setting("STREAMS", 500), readers = setting("READERS", 200), pause = setting("PAUSE_MS", 1000), seconds = setting("SECONDS", 20);
  const agent = new http.Agent({ keepAlive: true, maxSockets: Infinity });
  const gaps = [], took = { stats: [], series: [], customers: [], hurt: [] };
  let errors = 0, cut = 0, ticks = 0, over = false;
  const wrong = (what) => { if (!over) { errors++; console.log(what); } };
  for (let n = 0; n < streams; n++) {
    const path = n % 2 ? "/v1/live" : `/v1/customers/cust_${n}/live`;
    http.get({ host, port, path, agent: false }, (response) => {
      if (response.statusCode !== 200) wrong(`${path}: ${response.statusCode}`);
      let last = 0;
      response.on("data", (data) => {
        const events = String(data).split("event: tick").length - 1, now = performance.now();
        ticks += events;
        if (events && last) gaps.push(now - last);
        if (events) last = now;
      });
      response.on("close", () => { if (!over) cut++; });
    }).on("error", wrong);
  }
  const ask = (path) => new Promise((done) => {
    const begun = performance.now(), end = () => done(performance.now() - begun);
    http.get({ host, port, path, agent }, (response) => { response.resume(); response.on("end", () => { if (response.statusCode !== 200) wrong(`${path}: ${response.statusCode}`); end(); }); }).on("error", (error) => { wrong(error); end(); });
  });
  await sleep(3000);
  const begun = Date.now();
  await Promise.all(Array.from({ length: readers }, async () => {
    await sleep(Math.random() * pause);
    for (let n = 0; Date.now() < begun + seconds * 1000; n++) {
      const customer = `/v1/customers/cust_${Math.floor(Math.random() ** 3 * 9000)}`;
      const [kind, path] = n % 10 < 7 ? ["stats", `${customer}/stats?from=-24h`] : [["series", `${customer}/series?from=-24h&granularity=1h`], ["customers", "/v1/customers?from=-24h&limit=50"], ["hurt", "/v1/hurt?from=-24h&limit=50"]][n % 10 - 7];
      took[kind].push(await ask(path));
      await sleep(pause);
    }
  }));
  over = true;
  for (const [kind, ms] of Object.entries(took)) console.log(`${kind}: ${ms.length} answers, p50 ${quantile(ms, 0.5)}, p99 ${quantile(ms, 0.99)}, slowest ${quantile(ms, 1)} ms`);
  console.log(`errors ${errors}, streams cut ${cut}, ticks ${ticks}, between two p50 ${quantile(gaps, 0.5)}, p99 ${quantile(gaps, 0.99)}, longest ${quantile(gaps, 1)} ms`);
  process.exit(0);
}

async function page() {
  const { launch, open, until, assert } = await import("./lib.mjs");
  const browser = await launch();
  for (const from of ["-1h", "-24h", "-7d", "-30d"]) {
    const found = { table: [], verdict: [], all: [], cpu: [] };
    for (let n = 0; n < 5; n++) {
      const page = await open(browser, "about:blank");
      const session = await page.context().newCDPSession(page);
      await session.send("Performance.enable", { timeDomain: "threadTicks" });
      await page.addInitScript(() => {
        const at = (window.at = {}), here = (selector) => document.querySelector(selector);
        new MutationObserver(() => {
          if (here("#customers tbody tr[data-row]")) at.table ??= performance.now();
          if (here(".verdict:not(.loading)")) at.verdict ??= performance.now();
          if (here(".panel") && !here(".panel.loading, .card.loading, .verdict.loading")) at.all ??= performance.now();
        }).observe(document, { subtree: true, childList: true, attributes: true });
      });
      await page.goto(`${process.env.BASE}/?from=${from}`);
      await until("everything", async () => assert.ok(await page.evaluate(() => window.at.all && window.at.table)));
      for (const [what, ms] of Object.entries(await page.evaluate(() => window.at))) found[what].push(ms);
      found.cpu.push((await session.send("Performance.getMetrics")).metrics.find((metric) => metric.name === "TaskDuration").value * 1000);
      await page.context().close();
    }
    console.log(from, Object.entries(found).map(([what, ms]) => `${what} ${quantile(ms, 0.5)} (${quantile(ms, 1)})`).join(", "), "ms: median (slowest)");
  }
  await browser.close();
}

const command = { log, load, page }[process.argv[2]];
if (!command) {
  console.error("load.mjs log | load | page: see its head");
  process.exit(2);
}
await command();
