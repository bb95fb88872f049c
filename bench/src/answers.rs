//! What answers of the api cost on a real InfluxDB: made of the published statistics, and of the single requests. No figure unless both are equal.

use std::time::Instant;

use anyhow::{Context, ensure};
use chrono::Utc;
use stats::{Percentile, SECONDS_PER_DAY, TimeRange, WindowKind};
use store::influx::testing::{Options, RealInflux};
use store::influx::{InfluxConfig, InfluxRequests, InfluxStats};
use store::{Cells, CellsQuery, Method, RequestStore, Statistics, StatsStore, Table, TableQuery};

use crate::input::{self, Order};
use crate::program::{self, Store};
use crate::run::Bench;
use crate::table::{self, Remark, median};

/// So many lines at most: the single requests of all must be answered from, too.
const LINES_MAX: u64 = 1_000_000;
const CUSTOMERS: u64 = 1000;
/// The log is of 30 times 24 hours, which touch as many days.
const DAYS: i64 = 31;
const PERCENTILES: [Percentile; 2] = [Percentile::P95, Percentile::P99];

/// The questions, their answers, and how long each took, in milliseconds.
struct Asked {
    series: (Cells, f64),
    table: (Table, f64),
}

impl Bench {
    /// One customer's series of a month by the hour, and the table of all customers.
    pub(crate) fn answers(&mut self) -> anyhow::Result<()> {
        let lines = self.live.lines.min(LINES_MAX);
        let now = Utc::now();
        let log =
            input::make(&self.folder.path().join("answers.log"), lines, CUSTOMERS, Order::Shuffled, now)?;
        let runtime = tokio::runtime::Runtime::new().context("a runtime")?;
        let influx = runtime.block_on(RealInflux::start(Options::default()));
        let config = runtime.block_on(influx.fresh());
        let state = tempfile::tempdir().context("a temporary folder")?;
        let store = Store::Influx {
            url: influx.url().to_owned(),
            org: influx.org().to_owned(),
            token: influx.token().to_owned(),
            bucket: config.bucket.clone(),
        };
        table::complain(&format!("storing {lines} requests of {CUSTOMERS} customers, and their statistics"));
        program::run(&program::drain(&log.path, state.path(), &store)?)?;
        let to_second = WindowKind::Day.ceil(now.timestamp());
        let range = TimeRange { from_second: to_second - DAYS * SECONDS_PER_DAY, to_second };
        let rounds = self.asked.rounds;
        let (cells, raw) = runtime.block_on(async {
            let cells = ask(&config, range, rounds * 7).await?;
            // Statistics that another ledger has a part of are not answered from.
            let store = InfluxRequests::new(config.clone())?;
            let owner = store.owner("main").await.map_err(|trouble| anyhow::anyhow!("{trouble}"))?;
            let mut owner = owner.context("the processor's word")?;
            owner.statistics = Statistics::NeedRebuild;
            owner.mark_nanos = Utc::now().timestamp_nanos_opt().context("a time")?;
            store
                .publish_owners(std::slice::from_ref(&owner))
                .await
                .map_err(|trouble| anyhow::anyhow!("{trouble}"))?;
            anyhow::Ok((cells, ask(&config, range, rounds).await?))
        })?;
        let (Asked { series, table }, Asked { series: series_raw, table: table_raw }) = (&cells, &raw);
        ensure!(
            series.0.method == Method::Cells && table.0.method == Method::Cells,
            "not made of statistics"
        );
        ensure!(
            series_raw.0.method == Method::Raw && table_raw.0.method == Method::Raw,
            "not made of requests"
        );
        let counted: u64 = table.0.rows.iter().map(|row| row.measures.requests).sum();
        ensure!(counted == log.lines, "{counted} requests of {} lines", log.lines);
        ensure!(table.0.rows == table_raw.0.rows, "statistics and requests differ in the table");
        let measures = |cells: &Cells| -> Vec<_> {
            cells.cells.iter().map(|cell| cell.measures(&PERCENTILES)).collect()
        };
        ensure!(
            measures(&series.0) == measures(&series_raw.0),
            "statistics and requests differ in the series"
        );
        for (what, of_cells, of_requests) in [
            (format!("one customer's {DAYS} days by the hour"), series.1, series_raw.1),
            (format!("table of {CUSTOMERS} customers over {DAYS} days"), table.1, table_raw.1),
        ] {
            self.remarks.push(Remark {
                what: format!("InfluxDB, {lines} requests of {CUSTOMERS} customers: {what}"),
                result: format!("{of_cells:.1} ms from statistics, {of_requests:.1} ms from requests"),
            });
        }
        Ok(())
    }
}

/// Asks both questions some times each; the middle counts.
async fn ask(config: &InfluxConfig, range: TimeRange, rounds: usize) -> anyhow::Result<Asked> {
    let reader = InfluxStats::new(config)?;
    // What processors say is read for an answer's sake only now and then.
    reader.freshness().await?;
    let hours = (range.to_second - range.from_second) / 3600;
    let bounds = (0..=hours).map(|hour| range.from_second + hour * 3600).collect();
    let series = CellsQuery { customer: Some("cust_7".to_owned()), bounds };
    let table = TableQuery { range, percentiles: PERCENTILES.to_vec(), newcomers: false };
    let (mut series_millis, mut table_millis) = (Vec::new(), Vec::new());
    let (mut last_cells, mut last_table) = (None, None);
    for _ in 0..rounds {
        let begun = Instant::now();
        last_cells = Some(reader.cells(&series).await?);
        series_millis.push(begun.elapsed().as_secs_f64() * 1000.0);
        let begun = Instant::now();
        last_table = Some(reader.table(&table).await?);
        table_millis.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    let middle = |millis| median(millis).context("no round");
    Ok(Asked {
        series: (last_cells.context("no round")?, middle(series_millis)?),
        table: (last_table.context("no round")?, middle(table_millis)?),
    })
}
