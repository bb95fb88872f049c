//! One run: lives of the processor, one after the other, in a world that a seed has made; the last one is left in peace until everything is read, and then the oracle judges.

use std::any::Any;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Once};
use std::time::Duration;

use super::chance::Chance;
use super::disk::SimDisk;
use super::files::{Files, Serial, whole_lines};
use super::ledger::Kept;
use super::oracle::Oracle;
use super::plan::{BEGUN_NANOS, Plan};
use super::ports::{NoWatch, SimBooks, SimOutlet};
use super::rooms::Rooms;
use super::script::{Program, Script};
use super::store::SimJournal;
use super::world::{Crash, Outage, Sim, Violation, World, violated};
use crate::counters::Counters;
use crate::settings::StartAt;
use crate::sources::Sources;
use crate::tail::follower::{Follower, State};
use crate::tail::log::Surroundings;
use crate::tail::starts::Starts;
use crate::wake::Hints;

pub(super) const PATHS: [&str; 2] = ["/log/a.log", "/log/b.log"];
/// How long the last life is left in peace: longer than anything that tail waits for.
const PEACE: Duration = Duration::from_secs(60);

/// What came of a run.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) violation: Option<Violation>,
    pub(super) steps: u64,
    pub(super) trace: Vec<String>,
}

/// A run that begins.
pub(super) fn world_of(seed: u64, adjust: impl FnOnce(&mut Plan)) -> World {
    let mut chance = Chance::new(seed);
    let mut plan = Plan::from_chance(&mut chance);
    adjust(&mut plan);
    let program = |at: usize| Program::new(PATHS[at]);
    let script =
        Script { programs: (0..plan.sources).map(program).collect(), left: plan.actions, fixed: None };
    let mut files = Files::default();
    (files.grain_nanos, files.reuses_numbers) = (plan.grain_nanos, plan.reuses_numbers);
    let mut world = World {
        plan,
        chance,
        now_nanos: BEGUN_NANOS,
        started_nanos: BEGUN_NANOS,
        alive: false,
        files,
        script,
        oracle: Oracle::default(),
        points: Default::default(),
        journal: Default::default(),
        kept: Kept::default(),
        steps: 0,
        crash_at: None,
        outage: None,
        broken: None,
        quiet: false,
        trace: None,
        begun: Default::default(),
    };
    world.oracle.header_more_bytes = world.plan.header_more_bytes;
    world.oracle.copies = world.plan.gzip_percent > 0 || world.plan.copies();
    world.oracle.disk_fails = world.plan.io_error_per_mille > 0;
    world.oracle.reads_short = world.plan.short_read_percent > 0;
    if world.plan.history {
        world.make_history();
    }
    world
}

/// A whole run by a seed.
pub(super) fn run(seed: u64, traced: bool) -> Report {
    let mut world = world_of(seed, |_| ());
    if traced {
        world.trace = Some(vec![format!("seed {seed}: {:?}", world.plan)]);
    }
    run_world(world, |world| {
        let lives = world.plan.lives;
        let length = 1 + 60 * world.plan.actions / (lives + 1);
        (0..lives).map(|_| world.chance.between(1, length)).collect()
    })
}

/// Runs a world. `lives` says after how many steps each life but the last ends.
pub(super) fn run_world(mut world: World, lives: impl FnOnce(&mut World) -> Vec<u64>) -> Report {
    let lives = lives(&mut world);
    let sim = Sim::new(world);
    let violation = caught(|| {
        for length in lives {
            one_life(&sim, length);
        }
        for _ in 0..2 {
            last_life(&sim);
            let mut world = sim.world();
            world.end_first_look();
            world.judge();
        }
    })
    .err()
    .map(violation_of);
    sim.set_rooms(None);
    let mut world = sim.world();
    if let Some(violation) = &violation {
        world.note(format_args!("{} VIOLATED: {}", violation.invariant, violation.what));
    }
    Report { violation, steps: world.steps, trace: world.trace.take().unwrap_or_default() }
}

pub(super) fn violation_of(payload: Box<dyn Any + Send>) -> Violation {
    match payload.downcast::<Violation>() {
        Ok(violation) => *violation,
        Err(payload) => {
            let what = payload.downcast_ref::<String>().cloned();
            let what = what.or_else(|| payload.downcast_ref::<&str>().map(|what| (*what).to_owned()));
            let what = what.unwrap_or_else(|| "something ended the run".to_owned());
            // Assertions begin with the invariant's id.
            let id = what.split(':').next().filter(|id| id.len() == 2).unwrap_or("panic").to_owned();
            Violation { invariant: id, what }
        }
    }
}

/// Runs something that may end with a panic, which is not printed: it is what we look for.
pub(super) fn caught<V>(act: impl FnOnce() -> V) -> Result<V, Box<dyn Any + Send>> {
    static QUIET: Once = Once::new();
    thread_local! { static INSIDE: std::cell::Cell<u32> = const { std::cell::Cell::new(0) }; }
    QUIET.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if INSIDE.get() == 0 {
                before(info);
            }
        }));
    });
    INSIDE.set(INSIDE.get() + 1);
    let result = catch_unwind(AssertUnwindSafe(act));
    INSIDE.set(INSIDE.get() - 1);
    result
}

fn begin_life(sim: &Sim) -> Follower {
    {
        let mut world = sim.world();
        world.note(format_args!("START"));
        world.started_nanos = world.now_nanos;
        world.alive = true;
        world.begun.clear();
        let World { oracle, files, kept, .. } = &mut *world;
        oracle.life_began(files, |id| kept.last().counted(id));
        if kept.last().generations.is_empty() {
            world.begin_first_look();
        }
    }
    sim.set_rooms(Some(Rooms::new(sim)));
    let world = sim.world();
    let paths: Vec<String> = world.script.programs.iter().map(|program| program.path.clone()).collect();
    Follower {
        sources: Sources::parse(&paths.join(",")).expect("well-formed"),
        with: Surroundings {
            disk: Arc::new(SimDisk(sim.clone())),
            books: Box::new(SimBooks(sim.clone())),
            counters: Arc::new(Counters::default()),
            salt: 0,
            start_at: world.plan.start_at,
        },
        starts: Starts { journal: Box::new(SimJournal(sim.clone())), hashed_only: false },
        outlet: Box::new(SimOutlet(sim.clone())),
        watch: Box::new(NoWatch),
        first_start: world.kept.last().generations.is_empty(),
        health: Arc::default(),
        files: Arc::default(),
        state: State::reading(world.plan.block_bytes),
    }
}

fn step(sim: &Sim, follower: &mut Follower, hints: &Hints) -> bool {
    {
        let mut world = sim.world();
        let World { oracle, files, begun, now_nanos, .. } = &mut *world;
        oracle.step_began(*now_nanos, files, begun);
    }
    sim.step(format_args!("STEP"));
    follower.step(hints).expect("nobody ends it").busy
}

/// A stop by signal: tail leaves, everything under way settles.
fn stop(sim: &Sim, follower: &Follower) {
    sim.world().note(format_args!("STOP"));
    for open in follower.logs().iter().flat_map(|log| &log.open) {
        let books = &follower.with.books;
        books
            .seen(open.generation.id, open.path.clone(), open.stat.id, open.stat.size)
            .expect("nobody ends it");
    }
    sim.with_rooms(Rooms::drain);
    let entries = sim.with_rooms(|rooms| rooms.account.entries());
    if entries.lines_in_flight() != 0 {
        violated(
            "C1",
            format!("everything has settled, and {} lines are in flight", entries.lines_in_flight()),
        );
    }
    sim.world().alive = false;
}

/// A life that ends by a crash, or by a stop, after so many steps.
pub(super) fn one_life(sim: &Sim, length: u64) {
    let stops = {
        let mut world = sim.world();
        let (outage, percent) = (world.plan.outage_percent, world.plan.stop_percent);
        if outage > 0 && world.chance.percent(outage) {
            world.outage = Some(world.chance.pick(&[Outage::Requests, Outage::All]));
        }
        // What is in flight cannot settle then, and nothing stops in peace.
        let stops = world.chance.percent(percent) && world.outage.is_none();
        world.crash_at = (!stops).then(|| world.steps + length);
        stops
    };
    let end = sim.world().steps + length;
    let ended = caught(|| {
        let mut follower = begin_life(sim);
        let mut hints = Hints::everything();
        loop {
            let busy = step(sim, &mut follower, &hints);
            if stops && sim.world().steps >= end {
                return stop(sim, &follower);
            }
            hints = idle(sim, busy);
        }
    });
    end_life(sim, ended.err());
}

/// What happens while tail waits for its next look.
fn idle(sim: &Sim, busy: bool) -> Hints {
    let mut world = sim.world();
    let hinted = world.plan.hints_percent;
    let hints = if world.chance.percent(hinted) { Hints::everything() } else { Hints::default() };
    if !busy {
        let pauses: &[i64] = if world.is_copying() { &[1, 30] } else { &[1, 30, 300, 1000] };
        let millis = world.chance.pick(pauses);
        world.now_nanos += millis * 1_000_000;
        for _ in 0..world.chance.between(1, 3) {
            world.act();
        }
    }
    drop(world);
    sim.step(format_args!("idle"));
    hints
}

fn end_life(sim: &Sim, ended: Option<Box<dyn Any + Send>>) {
    sim.set_rooms(None);
    let mut world = sim.world();
    world.alive = false;
    world.outage = None;
    world.begun.clear();
    world.crash_at = None;
    if let Some(payload) = ended {
        if !payload.is::<Crash>() {
            drop(world);
            std::panic::resume_unwind(payload);
        }
        world.oracle.must_lose.clear();
        let percent = world.plan.power_cut_percent;
        if world.chance.percent(percent) {
            let lost = world.chance.index(4);
            world.note(format_args!("the power goes, with up to {lost} commits"));
            world.kept.power_cut(lost);
        }
    }
    world.kept.last().check();
    if world.oracle.first_look_pending {
        world.end_first_look();
    }
    let percent = world.plan.ledger_loss_percent;
    if world.chance.percent(percent) {
        world.lose_ledger();
    }
    for _ in 0..world.chance.below(20) {
        world.act();
    }
}

/// Nothing happens any more; the processor runs until it has read everything, and stops.
pub(super) fn last_life(sim: &Sim) {
    {
        let mut world = sim.world();
        world.crash_at = None;
    }
    let ended = caught(|| {
        let mut follower = begin_life(sim);
        let mut hints = Hints::everything();
        while sim.world().script.left > 0 {
            let busy = step(sim, &mut follower, &hints);
            hints = idle(sim, busy);
        }
        {
            let mut world = sim.world();
            world.wind_up();
            world.quiet = true;
            world.note(format_args!("PEACE"));
        }
        let begun = sim.world().now_nanos;
        for turn in 0.. {
            let busy = step(sim, &mut follower, &Hints::default());
            let since = Duration::from_nanos((sim.world().now_nanos - begun).unsigned_abs());
            if !busy && since >= PEACE && follower.is_at_rest() {
                return stop(sim, &follower);
            }
            if turn > 2_000 {
                violated("T2", "tail never comes to rest");
            }
            if !busy {
                sim.pass(Duration::from_millis(1300));
            }
        }
    });
    sim.set_rooms(None);
    sim.world().alive = false;
    if let Err(payload) = ended {
        std::panic::resume_unwind(payload);
    }
}

impl World {
    /// A first start: what START_AT says is not to be read.
    fn begin_first_look(&mut self) {
        self.oracle.first_look_pending = true;
        self.oracle.first_active = self.active_files();
    }

    fn active_files(&self) -> BTreeSet<Serial> {
        self.script.programs.iter().filter_map(|program| self.files.at(&program.path)).collect()
    }

    /// The first look is complete, or the first life has ended before: lines that were there in rotated files, or came while it looked, may have been skipped.
    pub(super) fn end_first_look(&mut self) {
        if !self.oracle.first_look_pending {
            return;
        }
        self.oracle.first_look_pending = false;
        if self.plan.start_at == StartAt::History {
            return;
        }
        let active = self.active_files();
        let stayed: BTreeSet<Serial> = active.intersection(&self.oracle.first_active).copied().collect();
        let rotated: BTreeSet<Serial> =
            self.files.inodes.keys().filter(|serial| !active.contains(serial)).copied().collect();
        let to_be_read =
            |serial: &Serial| self.plan.start_at == StartAt::Beginning && stayed.contains(serial);
        let skipped: Vec<u32> = self
            .files
            .inodes
            .keys()
            .filter(|serial| !to_be_read(serial))
            .flat_map(|serial| self.lines_in(*serial))
            .collect();
        self.oracle.skipped_files.extend(rotated);
        self.oracle.may_skip(skipped);
    }

    /// The lines that stand in a file.
    pub(super) fn lines_in(&self, file: Serial) -> Vec<u32> {
        let inode = self.files.get(file);
        let lines = whole_lines(inode.unpacked.as_ref().unwrap_or(&inode.bytes));
        lines.filter_map(|line| self.oracle.identify(line)).collect()
    }

    /// The ledger is gone.
    fn lose_ledger(&mut self) {
        self.note(format_args!("the ledger is lost"));
        self.kept = Kept::default();
        self.oracle.must_lose.clear();
        self.oracle.ledger_lost(&self.files, self.plan.start_at != StartAt::History);
    }

    /// The line that a program has half written to this file.
    pub(super) fn half_written(&self, program: usize, file: Serial) -> Option<u32> {
        self.script.programs[program].half_written(file)
    }
}
