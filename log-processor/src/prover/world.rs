//! The world around the processor: clock, files, store, what is durable of the ledger, and the steps between which others act. One lock around all of it; a run has one thread,
//! so the lock only serves the types.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use store::KeyStart;
use store::embedded::GenerationId;

use super::chance::Chance;
use super::files::{Files, Serial};
use super::ledger::Kept;
use super::oracle::Oracle;
use super::plan::Plan;
use super::rooms::Rooms;
use super::script::Script;
use crate::tail::disk::Clock;

/// No run is that long.
const STEPS_MAX: u64 = 60_000;

/// The processor dies here.
#[derive(Debug)]
pub(super) struct Crash;

/// An invariant does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Violation {
    /// Its id: X1, K1, …
    pub(super) invariant: String,
    pub(super) what: String,
}

/// Ends the run: an invariant does not hold.
pub(super) fn violated(invariant: &str, what: impl Into<String>) -> ! {
    resume_unwind(Box::new(Violation { invariant: invariant.to_owned(), what: what.into() }))
}

/// The store is away for as long as the processor lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outage {
    /// It takes no requests.
    Requests,
    /// It was never reached: nothing leaves tail.
    All,
}

/// A point of the store: what it is of, and when.
pub(super) type PointKey = (String, i64);

/// Everything around the processor.
pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) chance: Chance,
    pub(super) now_nanos: i64,
    /// When the processor started.
    pub(super) started_nanos: i64,
    /// A processor runs.
    pub(super) alive: bool,
    pub(super) files: Files,
    pub(super) script: Script,
    pub(super) oracle: Oracle,
    /// InfluxDB's points: which line each is of.
    pub(super) points: HashMap<PointKey, u32>,
    /// Its journal of starts, by (source, head, start), and when each was first seen.
    pub(super) journal: BTreeMap<(String, String, KeyStart), i64>,
    /// The ledger on disk.
    pub(super) kept: Kept,
    /// Steps so far, and the one at which the processor dies.
    pub(super) steps: u64,
    pub(super) crash_at: Option<u64>,
    /// What the store does not do in this life.
    pub(super) outage: Option<Outage>,
    /// The disk fails for all files whose names begin so, for as long as this stands here; `true`: also when it is only asked about them.
    pub(super) broken: Option<(&'static str, bool)>,
    /// Nothing acts any more: the run is at its end.
    pub(super) quiet: bool,
    pub(super) trace: Option<Vec<String>>,
    /// The generation that tail has begun in which file.
    pub(super) begun: HashMap<GenerationId, Serial>,
}

/// The world, and the rooms of the processor that runs in it.
#[derive(Clone)]
pub(super) struct Sim {
    world: Arc<Mutex<World>>,
    rooms: Arc<Mutex<Option<Rooms>>>,
}

impl fmt::Debug for Sim {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Sim")
    }
}

impl Sim {
    pub(super) fn new(world: World) -> Self {
        Self { world: Arc::new(Mutex::new(world)), rooms: Arc::default() }
    }

    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Installs the rooms of a new processor, or takes those of a dead one away.
    pub(super) fn set_rooms(&self, rooms: Option<Rooms>) {
        *self.rooms.lock().unwrap_or_else(PoisonError::into_inner) = rooms;
    }

    pub(super) fn with_rooms<V>(&self, act: impl FnOnce(&mut Rooms) -> V) -> V {
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        act(rooms.as_mut().expect("a processor runs"))
    }

    /// A step: here the processor can die, and writers, rotators and the other rooms can act.
    pub(super) fn step(&self, what: fmt::Arguments<'_>) {
        if std::thread::panicking() {
            return; // The processor is dead; what is dropped now does nothing.
        }
        let mut world = self.world();
        world.steps += 1;
        world.now_nanos += 20_000;
        if world.steps > STEPS_MAX {
            drop(world);
            violated("T2", "the run never ends");
        }
        world.note(what);
        if world.crash_at == Some(world.steps) {
            world.note(format_args!("CRASH"));
            drop(world);
            resume_unwind(Box::new(Crash));
        }
        let act = world.plan.act_percent;
        while !world.quiet && world.chance.percent(act) {
            world.act();
        }
        let rooms_act = world.alive && world.chance.percent(30);
        drop(world);
        if rooms_act
            && let Ok(mut rooms) = self.rooms.try_lock()
            && let Some(rooms) = rooms.as_mut()
        {
            rooms.act();
        }
    }

    /// Time passes.
    pub(super) fn pass(&self, time: Duration) {
        self.world().now_nanos += i64::try_from(time.as_nanos()).expect("short");
    }
}

impl World {
    pub(super) fn note(&mut self, what: fmt::Arguments<'_>) {
        if let Some(trace) = &mut self.trace {
            let since = self.now_nanos - super::plan::BEGUN_NANOS;
            let line = format!(
                "{:6} {:10.5}s {what}",
                self.steps,
                Duration::from_nanos(since.unsigned_abs()).as_secs_f64()
            );
            trace.push(line);
        }
    }

    pub(super) fn clock(&self) -> Clock {
        let uptime = u64::try_from(self.now_nanos - self.started_nanos).expect("time goes on");
        Clock { wall_nanos: self.now_nanos, uptime: Duration::from_nanos(uptime) }
    }

    /// Does something to files that may take lines away; the oracle is told which.
    pub(super) fn destroying<V>(&mut self, by_tail: bool, act: impl FnOnce(&mut Files) -> V) -> V {
        let before = self.oracle.standing(&self.files);
        let value = act(&mut self.files);
        let after = self.oracle.standing(&self.files);
        for id in before.difference(&after) {
            if self.trace.is_some() {
                self.note(format_args!("    line {id} is in no file any more"));
            }
            self.oracle.destroyed(*id, by_tail && self.alive);
        }
        value
    }
}
