//! One run of the campaign: its steps, and the judgement at its end.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use system_tests::dice::Dice;
use system_tests::proxy::Treatment;
use system_tests::refusals::{Poison, Refusals};
use system_tests::stack::Processor;
use system_tests::traffic::Traffic;
use system_tests::wait::PATIENCE;
use tempfile::TempDir;

use super::log::RotatedLog;
use super::misbehaviour;
use crate::both::{Bench, Store};

/// The log that the generator writes and rotates.
pub(super) const GENERATED: &str = "gen.log";
/// How long the processor may need for what it has to catch up with.
const DEADLINE: Duration = Duration::from_secs(180);

/// What has happened.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) lines: u64,
    pub(super) rejected: u64,
    pub(super) refused: u64,
    pub(super) kills: u64,
    pub(super) withheld: u64,
    pub(super) rotations: u64,
    pub(super) truncations: u64,
    pub(super) repeated: u64,
}

impl Tally {
    pub(super) fn add(&mut self, other: &Tally) {
        self.lines += other.lines;
        self.rejected += other.rejected;
        self.refused += other.refused;
        self.kills += other.kills;
        self.withheld += other.withheld;
        self.rotations += other.rotations;
        self.truncations += other.truncations;
        self.repeated += other.repeated;
    }
}

/// A run under way.
pub(super) struct Run {
    // What talks ends before what it talks to.
    pub(super) processor: Option<Processor>,
    pub(super) bench: Bench,
    /// logrotate's files: a folder that belongs to nobody else, as it demands.
    _rotators: TempDir,
    logs: Vec<RotatedLog>,
    pub(super) traffic: Traffic,
    dice: Dice,
    pub(super) generated: u64,
    long: bool,
    /// Lines of a file that is truncated are in flight: the processor must not die before they are settled, or they are gone with it (docs/RELIABILITY.md, limits).
    only_in_flight: bool,
    pub(super) tally: Tally,
    pub(super) story: Vec<String>,
}

impl Run {
    pub(super) fn new(store: Store, seed: u64, long: bool) -> Run {
        let mut dice = Dice::new(seed);
        let mut bench = Bench::behind_a_proxy(store);
        let stack = &mut bench.stack;
        stack.set("LOG_FILE_PATH", "api.log,shop.log,gen.log");
        stack.set("STREAM_MAX_SIZE", dice.pick::<&str>(&["50", "500", "5000"]));
        stack.set("WORKERS", dice.pick::<&str>(&["1", "4", "8"]));
        stack.set("START_AT", "history");
        // The raw requests of the embedded store are counted: all of them are kept.
        stack.set("RAW_REQUESTS_MAX", "100000000");
        stack.set("RAW_REQUESTS_AGE", "0");
        stack.announce("field type conflict");
        let mut story = Vec::new();
        if let Some(proxy) = &bench.proxy {
            let refusals = Refusals {
                poison: Some(*dice.pick(&[Poison::NothingIsStored, Poison::TheRestIsStored])),
                body_max_bytes: *dice.pick(&[None, Some(2_000), Some(40_000)]),
            };
            proxy.refuse(refusals);
            story.push(format!("the store refuses {refusals:?}"));
        }
        let rotators = tempfile::tempdir().expect("a temporary folder");
        let log = |name: &str, copied: bool, dice: &mut Dice| {
            RotatedLog::new(rotators.path(), bench.stack.path(name), copied, dice)
        };
        let logs = vec![log("api.log", false, &mut dice), log("shop.log", true, &mut dice)];
        story.extend(logs.iter().map(|log| log.directives.clone()));
        Run {
            processor: None,
            traffic: Traffic::new(dice.fork(), bench.proxy.is_some()),
            bench,
            _rotators: rotators,
            logs,
            dice,
            generated: 0,
            long,
            only_in_flight: false,
            tally: Tally::default(),
            story,
        }
    }

    /// Does so many steps, and judges.
    pub(super) fn run(mut self, steps: u64) -> Tally {
        for _ in 0..self.dice.between(0, 3) {
            self.burst();
            self.rotate();
        }
        self.start();
        for _ in 0..steps {
            self.burst();
            self.step();
        }
        self.judge();
        self.tally
    }

    pub(super) fn note(&mut self, what: impl Into<String>) {
        self.story.push(what.into());
    }

    fn step(&mut self) {
        match self.dice.between(0, 99) {
            0..=24 => self.rotate(),
            25..=39 => self.truncate(),
            40..=59 => {
                self.kill();
                self.start();
            }
            60..=69 => self.rotations_while_stopped(),
            70..=74 => self.freeze(),
            75..=79 => self.generate(),
            80..=81 if self.long => self.conflict(),
            82..=94 => self.misbehave(),
            _ => self.release(),
        }
    }

    fn any_log(&mut self) -> usize {
        usize::try_from(self.dice.between(0, self.logs.len() as u64 - 1)).expect("an index")
    }

    /// Lines into one of the logs: few or many, at once or in pieces.
    fn burst(&mut self) {
        let index = self.any_log();
        let most = *self.dice.pick(&[1, 20, 300, 6000]);
        let count = self.dice.between(1, most);
        let lines = self.traffic.lines(count);
        let log = &mut self.logs[index];
        if self.dice.chance(30) {
            log.append_in_pieces(&lines, &mut self.dice);
        } else {
            log.append(&lines);
        }
    }

    fn rotate(&mut self) {
        let index = self.any_log();
        self.note(format!("rotate log {index}"));
        self.logs[index].rotate(&mut self.dice);
        self.tally.rotations += 1;
    }

    fn generate(&mut self) {
        let lines = self.dice.between(1, 20_000);
        self.note(format!("generate {lines}"));
        let (count, seed) = (lines.to_string(), self.dice.between(1, 1000).to_string());
        self.bench.stack.generate(&[
            ("LOG_FILE_PATH", GENERATED),
            ("LOG_SEED", &seed),
            ("LOG_INTERVAL_SECONDS", "0"),
            ("LOG_ROTATE_BYTES", "300000"),
            ("MAX_LOGS_TO_GENERATE", &count),
        ]);
        self.generated += lines;
    }

    /// Truncates a log of which everything was read, perhaps not settled.
    fn truncate(&mut self) {
        let index = self.any_log();
        self.finish_lines();
        if !self.logs[index].can_be_truncated() {
            return;
        }
        let all = self.traffic.good_lines() + self.traffic.rejected_lines() + self.generated;
        let settled = self.dice.chance(50);
        if settled {
            self.settle();
        } else {
            // The memory of the processor has a limit: with a store that is away not everything may be read.
            self.release();
            self.until("everything is read", |status| status["lines_read"].as_u64() == Some(all));
            self.only_in_flight = true;
        }
        let how = self.logs[index].truncate_and_regrow(&mut self.traffic, &mut self.dice);
        self.note(format!("truncate log {index}, {how}, settled before: {settled}"));
        self.tally.truncations += 1;
    }

    /// `kill -9`, in many runs with acknowledgements withheld of what was stored last.
    fn kill(&mut self) {
        if self.only_in_flight {
            self.settle();
        }
        // More than a third of all kills, whatever the dice say.
        let withhold = self.dice.chance(60) || self.tally.withheld * 2 < self.tally.kills;
        let mut dice = self.dice.fork(); // How many lines it takes is the machine's affair, and must not change what comes.
        let mut withheld = false;
        if let Some(proxy) = self.bench.proxy.as_ref().filter(|_| withhold) {
            proxy.release();
            let pass = self.dice.between(0, 3);
            proxy.treat(
                move |number| if number <= pass { Treatment::Pass } else { Treatment::StoreAndWithhold },
            );
            let begun = Instant::now();
            while !withheld && begun.elapsed() < PATIENCE {
                let count = dice.between(1, 800);
                self.logs[0].append(&self.traffic.lines(count));
                std::thread::sleep(Duration::from_millis(10));
                withheld = proxy.counts().withheld > 0;
            }
            assert!(withheld, "no write came within {PATIENCE:?}: {:?}", proxy.counts());
        } else {
            self.burst();
        }
        std::thread::sleep(Duration::from_millis(self.dice.between(0, 60)));
        self.processor.take().expect("it runs").program.kill();
        self.tally.kills += 1;
        self.tally.withheld += u64::from(withheld);
        if withheld {
            self.bench.proxy.as_ref().expect("it withheld").release();
        }
        self.note(format!("kill, acknowledgements withheld: {withheld}"));
    }

    fn rotations_while_stopped(&mut self) {
        if self.dice.chance(30) {
            self.stop();
        } else {
            self.kill();
        }
        for _ in 0..self.dice.between(2, 4) {
            self.burst();
            self.rotate();
        }
        if self.dice.chance(50) {
            self.burst();
        }
        self.start();
    }

    fn stop(&mut self) {
        if self.only_in_flight {
            self.settle();
        }
        self.release();
        let processor = self.processor.take().expect("it runs");
        processor.address(); // Before that nobody listens to a signal.
        let code = processor.program.stop();
        self.note(format!("stop: {code}"));
        // 3: there is something to read, and it has not reached the store since it started just now.
        assert!(code == 0 || (code == 3 && self.bench.influx.is_some()), "the exit code of a stop is {code}");
    }

    /// The processor stands still for a while, whatever happens meanwhile.
    fn freeze(&mut self) {
        let pid = self.processor.as_ref().expect("it runs").program.pid().to_string();
        let signal = |name: &str| {
            let sent = Command::new("kill").args([name, &pid]).status().expect("kill runs");
            assert!(sent.success(), "{name}");
        };
        signal("-STOP");
        self.note("freeze");
        for _ in 0..self.dice.between(1, 3) {
            self.burst();
            self.rotate();
        }
        signal("-CONT");
    }

    fn misbehave(&mut self) {
        let Some(proxy) = &self.bench.proxy else { return };
        let way = misbehaviour::begin(proxy, &mut self.dice);
        self.note(format!("the store misbehaves: {way}"));
    }

    fn conflict(&mut self) {
        self.release();
        if let Some(proxy) = &self.bench.proxy {
            misbehaviour::conflict(proxy);
            self.note("the store says: field type conflict");
        }
    }

    fn release(&mut self) {
        if let Some(proxy) = &self.bench.proxy {
            proxy.release();
        }
        self.note("the store behaves");
    }

    pub(super) fn start(&mut self) {
        self.processor = Some(self.bench.stack.processor());
    }

    fn finish_lines(&mut self) {
        for log in &mut self.logs {
            log.finish_line();
        }
    }

    pub(super) fn until(&self, what: &str, wish: impl Fn(&Value) -> bool) -> Value {
        self.bench.stack.until(DEADLINE, what, wish)
    }

    /// Waits until everything that was written is settled.
    pub(super) fn settle(&mut self) {
        self.finish_lines();
        self.release();
        let (stored, rejected) = self.expected();
        let story = self.story.join("\n");
        let status =
            self.until(&format!("{stored} stored and {rejected} rejected, after\n{story}\n"), |status| {
                let settled = status["lines_stored"].as_u64().zip(status["lines_rejected"].as_u64());
                settled.is_some_and(|(s, r)| s + r >= stored + rejected) && status["lag_bytes"] == 0
            });
        let told = ["lines_stored", "lines_rejected"].map(|name| status[name].as_u64());
        assert_eq!(told, [Some(stored), Some(rejected)], "after\n{story}\n{status:#}");
        self.only_in_flight = false;
    }

    pub(super) fn expected(&self) -> (u64, u64) {
        (self.traffic.good_lines() + self.generated, self.traffic.rejected_lines())
    }
}
