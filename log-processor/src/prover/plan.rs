//! What a seed decides beforehand: the kind of store, the limits, which faults and rotations happen and how often.

use std::time::Duration;

use super::chance::Chance;
use super::script::Kind;
use crate::settings::StartAt;

/// When every run begins: 2024-09-14 16:00:00 UTC.
pub(super) const BEGUN_NANOS: i64 = 1_726_329_600 * 1_000_000_000;

/// A plan.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// Requests travel with the ledger; else they go to an InfluxDB.
    pub(super) embedded: bool,
    pub(super) sources: usize,
    pub(super) start_at: StartAt,
    /// Files are there before the first start.
    pub(super) history: bool,
    pub(super) block_bytes: usize,
    pub(super) batch_lines: usize,
    pub(super) batch_bytes: usize,
    pub(super) batch_age: Duration,
    pub(super) workers: usize,
    pub(super) budget_bytes: usize,
    pub(super) kinds: Vec<Kind>,
    pub(super) dated_names: bool,
    pub(super) keep: u64,
    pub(super) gzip_percent: u64,
    /// The program appends; else it writes at a place of its own (and leaves holes after a truncation).
    pub(super) appends: bool,
    /// So long are the holes that it leaves, at least: it has been writing for a while.
    pub(super) hole_bytes: u64,
    pub(super) piece_percent: u64,
    pub(super) garbage_percent: u64,
    pub(super) poison_percent: u64,
    /// A proxy before the store refuses bad lines in words of its own, and so many bodies for no reason; at the end of a run it is gone.
    pub(super) proxy_mood_percent: Option<u64>,
    /// Every file begins with the same line.
    pub(super) header: bool,
    /// By so much that line is longer than others.
    pub(super) header_more_bytes: usize,
    /// A line is repeated in that many cases.
    pub(super) repeat_percent: u64,
    pub(super) rotate_percent: u64,
    pub(super) act_percent: u64,
    pub(super) away_percent: u64,
    /// In so many lives the store is not there at all, or takes nothing.
    pub(super) outage_percent: u64,
    pub(super) lost_ack_percent: u64,
    pub(super) body_lines_max: usize,
    pub(super) io_error_per_mille: u64,
    pub(super) short_read_percent: u64,
    /// So many reads are seen by others in their middle.
    pub(super) slow_read_percent: u64,
    pub(super) ledger_error_percent: u64,
    /// What the script does in all.
    pub(super) actions: u64,
    pub(super) lives: u64,
    pub(super) stop_percent: u64,
    pub(super) power_cut_percent: u64,
    pub(super) ledger_loss_percent: u64,
    pub(super) grain_nanos: i64,
    pub(super) reuses_numbers: bool,
    pub(super) hints_percent: u64,
}

impl Plan {
    /// Logs are rotated by copies.
    pub(super) fn copies(&self) -> bool {
        self.kinds.iter().any(|kind| matches!(kind, Kind::CopyTruncate | Kind::CopyTruncatePaused))
    }

    /// Nothing goes wrong by chance: what happens is in a script.
    pub(super) fn calm(&mut self, embedded: bool) {
        (self.embedded, self.sources, self.start_at, self.history) = (embedded, 1, StartAt::History, false);
        (self.header, self.repeat_percent, self.appends, self.hole_bytes) = (false, 0, true, 0);
        (self.io_error_per_mille, self.short_read_percent, self.ledger_error_percent) = (0, 0, 0);
        (self.stop_percent, self.power_cut_percent, self.ledger_loss_percent) = (0, 0, 0);
        (self.act_percent, self.piece_percent, self.actions) = (15, 0, 0);
        (self.poison_percent, self.garbage_percent) = (0, 0);
    }

    pub(super) fn from_chance(chance: &mut Chance) -> Self {
        let embedded = chance.percent(40);
        let sometimes = |chance: &mut Chance, percent, most| {
            if chance.percent(percent) { chance.between(1, most) } else { 0 }
        };
        let header = chance.percent(15);
        let start_at = chance.pick(&[StartAt::History, StartAt::History, StartAt::Beginning, StartAt::End]);
        // The ledger has no content to know a file by of which nothing was handed on (START_AT=end): after a restart its number alone is left.
        let by_number = start_at == StartAt::End;
        let all: &[Kind] = match chance.below(2) {
            _ if header || by_number => &Kind::BY_NAME,
            0 => &Kind::WITHOUT_COPY,
            _ => &Kind::IN_PLACE,
        };
        let wanted = chance.between(1, 4);
        let kinds = (0..wanted).map(|_| chance.pick(all)).collect();
        let mut plan = Self {
            embedded,
            sources: if chance.percent(20) { 2 } else { 1 },
            start_at,
            history: chance.percent(40),
            block_bytes: chance.pick(&[1100, 1200, 1500, 4096]),
            batch_lines: chance.pick(&[1, 2, 3, 5, 50]),
            batch_bytes: chance.pick(&[60, 200, 1 << 20]),
            batch_age: Duration::from_millis(chance.pick(&[1, 300, 3000])),
            workers: chance.pick(&[1, 2, 3]),
            budget_bytes: chance.pick(&[100, 200, 600, 1 << 16]),
            kinds,
            dated_names: chance.percent(25),
            keep: chance.between(2, 5),
            // A compressed file of the same length that begins alike is taken for one that was read (a limit of the promise).
            gzip_percent: if chance.percent(35) && !header { 60 } else { 0 },
            appends: chance.percent(85),
            hole_bytes: 0,
            piece_percent: chance.pick(&[0, 20, 50]),
            garbage_percent: sometimes(chance, 40, 30),
            proxy_mood_percent: None,
            poison_percent: if embedded { 0 } else { sometimes(chance, 25, 15) },
            header,
            header_more_bytes: 0,
            repeat_percent: if header { 0 } else { sometimes(chance, 15, 60) },
            rotate_percent: chance.pick(&[5, 10, 25]),
            act_percent: chance.pick(&[3, 10, 25, 45]),
            away_percent: sometimes(chance, 50, 50),
            outage_percent: 0,
            lost_ack_percent: sometimes(chance, 50, 40),
            body_lines_max: if chance.percent(10) { 2 } else { usize::MAX },
            io_error_per_mille: sometimes(chance, 10, 20),
            slow_read_percent: 10,
            short_read_percent: sometimes(chance, 25, 30),
            ledger_error_percent: sometimes(chance, 10, 30),
            actions: chance.between(10, 90),
            // What begins alike is told apart by its file's number and by what was settled: a restart in between is a limit of the promise.
            lives: if header { 0 } else { chance.between(0, 4) },
            stop_percent: 25,
            power_cut_percent: if chance.percent(20) { 50 } else { 0 },
            ledger_loss_percent: if !embedded && !header && chance.percent(12) { 40 } else { 0 },
            grain_nanos: chance.pick(&[1, 4_000_000, 1_000_000_000]),
            // A file that was passed over, and one with its number that begins alike, cannot be told apart after a restart.
            reuses_numbers: !header && !by_number && chance.percent(70),
            hints_percent: chance.pick(&[0, 50, 100]),
        };
        if !plan.appends {
            // Within the bytes that a head covers, and beyond them.
            plan.hole_bytes = chance.pick(&[0, 30_000, 70_000]);
            if plan.hole_bytes > 0 {
                plan.block_bytes = 4096; // Smaller ones, of which a kilobyte is compared, take ages to cross it.
            }
            plan.outage_percent = if plan.embedded { 0 } else { chance.pick(&[0, 40, 80]) };
        }
        plan
    }
}
