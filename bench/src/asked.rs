//! What the command line asks for. Nothing is measured here.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::sink::Fault;

/// What was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) lines: u64,
    pub(crate) rounds: usize,
    pub(crate) rows: Vec<String>,
    pub(crate) json: Option<PathBuf>,
    pub(crate) callgrind: bool,
    pub(crate) fault: Option<Fault>,
    pub(crate) idle_seconds: u64,
    /// Sizes of stores: their requests, their customers, which stores; how many questions of a kind.
    pub(crate) requests: Vec<u64>,
    pub(crate) customers: Vec<u32>,
    pub(crate) stores: Vec<String>,
    pub(crate) questions: u32,
    /// How long a peer may bring no line before it is given up.
    pub(crate) peer_patience: Duration,
    /// Where the programs as shipped are; None: beside this one.
    pub(crate) programs: Option<PathBuf>,
}

const ROWS: &str = "which: stages, sink, embedded, influx (an influxd as for the tests), answers (of the api, on one), live (the programs as shipped), sizes (answers by the size of the store; needs the api beside this program), disk (bytes of a line), peers (Vector, Fluent Bit, Telegraf at the same work as `sink`, those that BENCH_VECTOR, BENCH_FLUENT_BIT, BENCH_TELEGRAF name)";

fn command() -> Command {
    let option = |name: &'static str, default: &'static str, help: &'static str| {
        Arg::new(name).long(name).default_value(default).help(help)
    };
    let list = |name, default, help| option(name, default, help).value_delimiter(',');
    Command::new("bench")
        .about("Measures the processor beside the floor of the same run; every row refuses to give a figure when a line is missing or was counted twice")
        .arg(option("lines", "2000000", "lines of the log"))
        .arg(option("rounds", "3", "rounds, of which the median counts"))
        .arg(list("rows", "stages,sink,embedded", ROWS))
        .arg(list("requests", "1000000,10000000", "sizes: so many requests in a store"))
        .arg(list("customers", "50,10000", "sizes: of so many customers"))
        .arg(list("stores", "embedded,influxdb", "sizes and disk: in which stores").value_parser(["embedded", "influxdb"]))
        .arg(option("questions", "300", "sizes: how many of the most frequent kind").value_parser(clap::value_parser!(u32).range(1..)))
        .arg(Arg::new("programs").long("programs").help("folder of log-processor and api, if they are not beside this program"))
        .arg(Arg::new("json").long("json").help("file for the rows as JSON"))
        .arg(Arg::new("no-instructions").long("no-instructions").action(ArgAction::SetTrue).help("without callgrind, which takes a minute"))
        .arg(Arg::new("quick").long("quick").action(ArgAction::SetTrue).help("a small log, small stores, one round, no callgrind: whether it works, no figures to be quoted"))
        .arg(Arg::new("fault").long("fault").value_parser(["lose", "double"]).help("overlook a line, or count one twice: the bench must refuse"))
}

pub(crate) fn asked() -> anyhow::Result<Asked> {
    let matches = command().get_matches();
    let text = |name: &str| matches.get_one::<String>(name).expect("it has a default");
    let path = |name: &str| matches.get_one::<String>(name).map(PathBuf::from);
    let quick = matches.get_flag("quick");
    Ok(Asked {
        lines: if quick { 30_000 } else { text("lines").parse().context("--lines")? },
        rounds: if quick { 1 } else { text("rounds").parse().context("--rounds")? },
        rows: matches.get_many("rows").expect("it has a default").cloned().collect(),
        json: path("json"),
        idle_seconds: if quick { 2 } else { 60 },
        callgrind: !quick && !matches.get_flag("no-instructions"),
        fault: matches
            .get_one::<String>("fault")
            .map(|fault| if fault == "lose" { Fault::Lose } else { Fault::Double }),
        requests: if quick { vec![20_000] } else { numbers(&matches, "requests")? },
        customers: if quick { vec![50, 2_000] } else { numbers(&matches, "customers")? },
        stores: matches.get_many("stores").expect("it has a default").cloned().collect(),
        questions: if quick { 60 } else { *matches.get_one("questions").expect("it has a default") },
        peer_patience: Duration::from_secs(if quick { 3 } else { 60 }),
        programs: path("programs"),
    })
}

/// A list of sizes, none of them zero.
fn numbers<N: std::str::FromStr + PartialOrd + From<u8>>(
    matches: &ArgMatches,
    name: &str,
) -> anyhow::Result<Vec<N>> {
    let texts = matches.get_many::<String>(name).expect("it has a default");
    let number = |text: &String| text.parse::<N>().ok().filter(|number| *number >= N::from(1));
    texts
        .map(|text| number(text).with_context(|| format!("--{name}: `{text}` is no number of them")))
        .collect()
}
