//! Generator, log file, processor, store and api, live, as `./start.sh demo` runs them.

use system_tests::groups::heavy;
use system_tests::recount::Figures;
use system_tests::stack::{LOG, days_ago};
use system_tests::wait::{PATIENCE, eventually, holds};

use crate::both::{Bench, Store, on_both_stores};

on_both_stores!(the_figures_of_a_live_system_equal_a_recount);

fn the_figures_of_a_live_system_equal_a_recount(store: Store) {
    let _turn = heavy();
    let bench = Bench::on(store);
    let stack = &bench.stack;
    let api = stack.api();
    // An InfluxDB is there from the beginning; the ledger comes with the processor.
    let ready = if store == Store::Embedded { 503 } else { 200 };
    assert_eq!((api.get("/livez").status, api.get("/readyz").status), (200, ready), "nothing is there yet");
    assert_eq!(api.stats(None, "1970-01-01").status, 404);
    let processor = stack.processor();
    let generator = stack.generator(&[
        ("LOG_BACKFILL_DAYS", "2"),
        ("LOG_BATCH_SIZE", "100"),
        ("LOG_INTERVAL_SECONDS", "0.05"),
    ]);
    eventually(PATIENCE, "the api tells of the history and of live lines", || {
        let answer = api.stats(None, "1970-01-01");
        let total = Figures::of(&answer.json()).map_or(0, |figures| figures.total_requests);
        holds(total > 42_000, || answer.text())
    });
    eventually(PATIENCE, "the answer says how fresh it is", || {
        let answer = api.stats(None, "1970-01-01").json();
        holds(answer["lag_seconds"].as_f64().is_some_and(|lag| lag < 5.0), || format!("{answer:#}"))
    });
    assert_eq!(processor.until_ready(PATIENCE, true).json()["ready"], true);
    // Until statistics were published for the first time, an InfluxDB's single requests answer.
    eventually(PATIENCE, "the answer is made from statistics", || {
        let answer = api.stats(None, "1970-01-01").json();
        holds(answer["method"] == "cells", || format!("{answer:#}"))
    });
    let raw_questions = api.raw_questions();

    assert_eq!(generator.stop(), 0, "SIGTERM ends it cleanly");
    assert!(std::fs::read(stack.path(LOG)).expect("the log").ends_with(b"\n"), "on a whole line");
    let recount = stack.recount();
    stack.until_stored(PATIENCE, recount.lines());
    bench.assert_requests(recount.lines());
    eventually(PATIENCE, "the api tells of every line", || {
        let answer = api.stats(None, "1970-01-01").json();
        holds(answer["total_requests"] == recount.lines(), || format!("{answer:#}"))
    });
    api.assert_equal(&recount, &["1970-01-01", &days_ago(1), &days_ago(0)]);

    // Every answer since then was made from them, not from single requests.
    assert_eq!(api.stats(None, "1970-01-01").json()["method"], "cells");
    assert_eq!(api.raw_questions(), raw_questions);

    let original = api.get("/customers/customer/stats/all?from_date=1970-01-01");
    recount.assert_equal(&original.json(), None, "1970-01-01");
    assert_eq!(api.get("/readyz").status, 200);
    assert!(api.get("/").json().is_object());
    assert!(api.get("/docs/").text().contains("swagger-ui"));
    assert!(api.get("/openapi.json").json()["paths"]["/customers/{id}/stats"].is_object());
    assert_eq!(processor.program.stop(), 0);
    api.assert_equal(&recount, &["1970-01-01"]);
    assert_eq!(api.stats(None, &days_ago(1)).json()["method"], "cells", "what was let go is whole");
    assert_eq!((api.raw_questions(), api.program.stop()), (raw_questions, 0));
    stack.assert_account(recount.lines(), 0);
}
