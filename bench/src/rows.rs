//! The rows that run inside a process of this program: one stage, its work measured from within, so that starting up is in no figure.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use crate::{Allocations, loader, measure, sink, sqlite, stages, table};

/// What a stage came to.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Stage {
    /// Lines that it made something of.
    pub lines: u64,
    /// Sum of the hashes of the lines that it made, if it makes any.
    pub sum: Option<u64>,
    /// Time.
    pub wall_seconds: f64,
    /// CPU time.
    pub cpu_seconds: f64,
    /// Allocations, where they are counted.
    pub allocations: Option<u64>,
}

/// Runs one: `row NAME LOG [MORE]`.
///
/// # Errors
/// There is no such row, or its work fails.
pub fn row(arguments: &[String], allocations: Allocations) -> anyhow::Result<()> {
    let [name, log, more @ ..] = arguments else { bail!("row NAME LOG") };
    let log = Path::new(log);
    let argument = |at: usize| more.get(at).context("an argument is missing");
    // What a stage makes is looked at in a pass of its own, which is not measured.
    let mut sum = 0_u64;
    let mut add = |body: &[u8]| sum = sum.wrapping_add(sink::sum_of(body).1);
    let (stage, makes_lines) = match name.as_str() {
        "split" => (timed(allocations, || stages::count_split(log))?, false),
        "parse" => (timed(allocations, || stages::count_parsed(log))?, false),
        "encode" => {
            stages::encode(log, &mut add)?;
            (timed(allocations, || stages::encode(log, |_| {}))?, true)
        }
        "prototype-fast" => {
            stages::prototype_fast(log, 0, &mut add)?;
            (timed(allocations, || stages::prototype_fast(log, 0, |_| {}))?, true)
        }
        "prototype-plain" => {
            stages::prototype_plain(log, &mut add)?;
            (timed(allocations, || stages::prototype_plain(log, |_| {}))?, true)
        }
        "encode-once" => (timed(allocations, || stages::encode(log, |_| {}))?, false),
        "prototype-fast-once" => (timed(allocations, || stages::prototype_fast(log, 0, |_| {}))?, false),
        "load" => {
            let target = loader::Target::parse(argument(0)?, argument(1)?)?;
            let bodies = loader::bodies(log)?;
            (timed(allocations, || loader::post(&target, &bodies))?, false)
        }
        "sqlite" => {
            let keyed = argument(0)? == "keyed";
            let folder = tempfile::tempdir().context("a temporary folder")?;
            (timed(allocations, || sqlite::insert(log, folder.path(), keyed))?, false)
        }
        other => bail!("there is no row {other}"),
    };
    let stage = Stage { sum: makes_lines.then_some(sum), ..stage };
    table::print(&serde_json::to_string(&stage)?);
    Ok(())
}

fn timed(allocations: Allocations, work: impl FnOnce() -> anyhow::Result<u64>) -> anyhow::Result<Stage> {
    let (allocations_before, cpu_before) = (allocations(), measure::own_cpu_seconds());
    let begun = Instant::now();
    let lines = work()?;
    Ok(Stage {
        lines,
        sum: None,
        wall_seconds: begun.elapsed().as_secs_f64(),
        cpu_seconds: measure::own_cpu_seconds() - cpu_before,
        allocations: allocations().zip(allocations_before).map(|(after, before)| after - before),
    })
}
