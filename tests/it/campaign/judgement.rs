//! What is expected of everybody when a run is over: the account, the store's points, `verify`, and the api's answers.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use system_tests::recount::Recount;
use system_tests::stack::days_ago;
use system_tests::tell;

use super::run::{GENERATED, Run};

impl Run {
    pub(super) fn judge(&mut self) {
        self.settle();
        let settled = Utc::now();
        assert_eq!(self.processor.take().expect("it runs").program.stop(), 0);
        let (stored, rejected) = self.expected();
        let stack = &self.bench.stack;
        let story = self.story.join("\n");
        tell(&format!("    {stored} lines, {} steps", self.story.len()));
        stack.assert_account(stored, rejected);
        let refused = stack.status()["rejected"]["refused"].as_u64().unwrap_or(0);
        assert_eq!(refused, self.traffic.refused_lines(), "lines that the store refused, after\n{story}");

        let mut recount = self.traffic.recount();
        recount.add_files(stack.generations(GENERATED));
        assert_eq!(recount.lines(), stored, "the test's own truth");
        assert_eq!(self.sums(), recount.sums(), "what the store holds, after\n{story}");
        let verified = stack.verify(&[]);
        let text = String::from_utf8_lossy(&verified.stdout).into_owned()
            + &String::from_utf8_lossy(&verified.stderr);
        assert_eq!(verified.status.code(), Some(0), "verify says\n{text}\nafter\n{story}");
        self.judge_answers(settled, &recount);
        self.count(stored, rejected);
    }

    /// What the api says right after the stop, when the statistics may be behind and have to say so; and once all of them are published.
    fn judge_answers(&mut self, settled: DateTime<Utc>, recount: &Recount) {
        let from_dates = ["1970-01-01", &days_ago(0)];
        let of_all = self.bench.stack.api().stats(None, from_dates[0]).json();
        let as_of: Option<DateTime<Utc>> =
            of_all["as_of"].as_str().map(|as_of| as_of.parse().expect("an instant"));
        let told = format!("{} as of {as_of:?}, settled at {settled}", of_all["method"]);
        if of_all["method"] == "raw" || as_of >= Some(settled) {
            self.bench.stack.api().assert_equal(recount, &from_dates);
        }
        if self.bench.influx.is_some() {
            self.note(format!("after the stop: {told}"));
            self.start();
            self.until("all statistics are published", |status| {
                // Without a running processor nobody tells.
                status["statistics"]["commit"].as_u64().is_some_and(|commit| status["commit"] == commit)
            });
            assert_eq!(self.processor.take().expect("it runs").program.stop(), 0);
            let api = self.bench.stack.api();
            api.assert_equal(recount, &from_dates);
            assert_eq!(api.stats(None, from_dates[0]).json()["method"], "cells", "{}", self.story.join("\n"));
        }
    }

    fn count(&mut self, stored: u64, rejected: u64) {
        self.tally.lines = stored + rejected;
        self.tally.rejected = rejected;
        self.tally.refused = self.traffic.refused_lines();
        if let Some(proxy) = &self.bench.proxy {
            let counts = proxy.counts();
            self.tally.repeated = counts.repeated_points;
            assert_eq!(counts.changed_points, 0, "a line that is sent again is the same point");
        }
    }

    /// For each customer what the store holds: requests, successes, microseconds. Of the embedded store the raw requests; its cells are what the api answers from.
    fn sums(&self) -> BTreeMap<String, (u64, u64, u64)> {
        if let Some(influx) = &self.bench.influx {
            return influx.sums();
        }
        let ledger =
            rusqlite::Connection::open(self.bench.stack.path("state/ledger.db")).expect("it is SQLite");
        let sql = "SELECT customer.id, count(*), sum(status BETWEEN 200 AND 399), sum(latency_micros) \
                   FROM request JOIN customer ON customer.number = request.customer GROUP BY customer.id";
        let mut statement = ledger.prepare(sql).expect("SQL");
        let number = |row: &rusqlite::Row<'_>, column| row.get::<_, i64>(column).map(i64::cast_unsigned);
        let rows = statement
            .query_map([], |row| Ok((row.get(0)?, (number(row, 1)?, number(row, 2)?, number(row, 3)?))));
        rows.expect("rows").collect::<Result<_, _>>().expect("rows")
    }
}
