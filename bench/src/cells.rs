//! Statistics cells of requests that were never written as lines: as many requests of as many customers as wanted, spread over thirty days, the same for the same numbers. What is made of the
//! cells is the receiver's. Pure.

use stats::{Cell, SECONDS_PER_DAY, WindowKind, day_of};

use crate::input::{Dice, STATUSES};
use crate::sink::Fault;

/// So many days, the last of them today.
pub const DAYS: i64 = 30;
/// A customer's requests of a day come in sessions of so many at most, each within one quarter-hour, as long as there are quarter-hours.
pub const SESSION_REQUESTS: u64 = 10;
const QUARTER: i64 = WindowKind::Quarter.seconds();
const MINUTE: i64 = WindowKind::Minute.seconds();
const MINUTES_PER_QUARTER: u64 = 15;

/// A customer and the second of its newest request in a cell.
pub type Whose = (u32, i64);

/// Takes a cell: its window, whose it is (None = all customers together), and what is counted.
pub type Receiver<'a> = dyn FnMut(WindowKind, i64, Option<Whose>, &Cell) -> anyhow::Result<()> + 'a;

/// How requests lie: each customer has as many as the others, sparse ones on days of their own, all of them in quarter-hours that are over.
#[derive(Clone, Debug)]
pub struct Spread {
    requests: u64,
    customers: u32,
    first_day: i64,
    /// Quarter-hours from the first day on.
    quarters: u64,
    fault: Option<Fault>,
}

/// Requests of a customer in a quarter-hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Session {
    start_second: i64,
    customer: u32,
    requests: u64,
}

/// A request of a session.
struct Request {
    minute_second: i64,
    status: u16,
    latency_micros: u64,
}

impl Spread {
    /// So many requests of so many customers up to now. `fault`: one request is left out, or counted twice, for the one who is to notice.
    pub fn new(requests: u64, customers: u32, now_second: i64, fault: Option<Fault>) -> Self {
        let first_day = day_of(now_second) - (DAYS - 1) * SECONDS_PER_DAY;
        let quarters = ((now_second - first_day) / QUARTER).cast_unsigned();
        Self { requests, customers, first_day, quarters, fault }
    }

    /// The first second of the first day.
    pub fn first_day(&self) -> i64 {
        self.first_day
    }

    /// All of them.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// Customers among whom they are spread; there may be more than requests.
    pub fn asked_customers(&self) -> u64 {
        u64::from(self.customers)
    }

    /// A customer's name.
    pub fn id(customer: u32) -> String {
        format!("cust_{customer}")
    }

    /// All requests of a customer.
    pub fn requests_of(&self, customer: u32) -> u64 {
        let customers = u64::from(self.customers);
        self.requests / customers + u64::from(u64::from(customer) < self.requests % customers)
    }

    /// How many customers have any.
    pub fn customers(&self) -> u64 {
        self.requests.min(u64::from(self.customers))
    }

    /// The requests of a customer in its first so many quarter-hours.
    fn until(&self, customer: u32, quarters: u64) -> u64 {
        // Where in the sequence it begins, so that not all sparse customers come on the same day.
        let phase = dice(u64::from(customer), 0).below(self.quarters);
        (self.requests_of(customer) * quarters + phase) / self.quarters
    }

    fn quarters_of_day(&self, day: i64) -> (u64, u64) {
        let quarters = |days: i64| (days * (SECONDS_PER_DAY / QUARTER)).cast_unsigned().min(self.quarters);
        (quarters(day), quarters(day + 1))
    }

    /// The sessions of a customer on a day, in order of time.
    fn sessions(&self, customer: u32, day: i64) -> impl Iterator<Item = Session> + use<> {
        let (from, to) = self.quarters_of_day(day);
        let requests = self.until(customer, to) - self.until(customer, from);
        let open = to - from;
        let number = requests.div_ceil(SESSION_REQUESTS).min(open);
        // All shifted alike within their stretches, so that they stay apart and in order.
        let shift = dice(u64::from(customer), 1 + day.cast_unsigned()).below(open.max(1));
        let first_second = self.first_day + from.cast_signed() * QUARTER;
        let fault = self.fault.filter(|_| customer == 0 && self.until(customer, from) == 0);
        (0..number).map(move |index| {
            let wrong = match fault.filter(|_| index == 0) {
                None => 0,
                Some(Fault::Lose) => -1,
                Some(Fault::Double) => 1,
            };
            let quarter = (index * open + shift % open) / number;
            Session {
                start_second: first_second + quarter.cast_signed() * QUARTER,
                customer,
                requests: (requests / number + u64::from(index < requests % number))
                    .saturating_add_signed(wrong),
            }
        })
    }

    /// Second of the newest request of each customer.
    pub fn newest(&self) -> Vec<i64> {
        let newest = |customer| {
            let sessions = (0..DAYS).rev().find_map(|day| self.sessions(customer, day).last());
            sessions
                .map_or(0, |session| session.draw().map(|request| request.minute_second).max().unwrap_or(0))
        };
        (0..self.customers).map(newest).collect()
    }

    /// Makes the cells of a day (0 is the first), kind by kind in order of time and customer as far as that costs nothing: minutes from a second on, quarter-hours, the day. How many they are.
    ///
    /// # Errors
    /// The receiver's.
    pub fn make_day(
        &self,
        day: i64,
        minutes_from_second: i64,
        put: &mut Receiver<'_>,
    ) -> anyhow::Result<u64> {
        let mut count = 0;
        let mut put = |kind, start, whose, cell: &Cell| {
            count += 1;
            put(kind, start, whose, cell)
        };
        let mut sessions: Vec<Session> =
            (0..self.customers).flat_map(|customer| self.sessions(customer, day)).collect();
        sessions.sort_unstable();
        for quarter in sessions.chunk_by(|a, b| a.start_second == b.start_second) {
            let start = quarter[0].start_second;
            make_minutes(quarter, minutes_from_second, &mut put)?;
            let mut all = Cell::default();
            for session in quarter {
                let (cell, newest) = session.cell(&mut all);
                put(WindowKind::Quarter, start, Some((session.customer, newest)), &cell)?;
            }
            all.settle();
            put(WindowKind::Quarter, start, None, &all)?;
        }
        drop(sessions);
        let day_second = self.first_day + day * SECONDS_PER_DAY;
        let mut all = Cell::default();
        for customer in 0..self.customers {
            let (mut cell, mut newest) = (Cell::default(), i64::MIN);
            for session in self.sessions(customer, day) {
                newest = newest.max(session.count(&mut cell, &mut all));
            }
            cell.settle();
            if !cell.is_empty() {
                put(WindowKind::Day, day_second, Some((customer, newest)), &cell)?;
            }
        }
        all.settle();
        if !all.is_empty() {
            put(WindowKind::Day, day_second, None, &all)?;
        }
        Ok(count)
    }
}

/// The minutes of a quarter-hour, from a second on.
fn make_minutes(
    quarter: &[Session],
    from_second: i64,
    put: &mut impl FnMut(WindowKind, i64, Option<Whose>, &Cell) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let start = quarter[0].start_second;
    let minutes = (0..QUARTER / MINUTE).map(|minute| start + minute * MINUTE);
    for minute in minutes.filter(|minute| *minute >= from_second) {
        let mut all = Cell::default();
        for session in quarter {
            let mut cell = Cell::default();
            for request in session.draw().filter(|request| request.minute_second == minute) {
                request.count(&mut cell, &mut all);
            }
            cell.settle();
            if !cell.is_empty() {
                put(WindowKind::Minute, minute, Some((session.customer, minute)), &cell)?;
            }
        }
        all.settle();
        if !all.is_empty() {
            put(WindowKind::Minute, minute, None, &all)?;
        }
    }
    Ok(())
}

impl Session {
    /// Its requests, the same each time.
    fn draw(self) -> impl Iterator<Item = Request> {
        let mut dice = dice(u64::from(self.customer), self.start_second.cast_unsigned());
        (0..self.requests).map(move |_| Request {
            minute_second: self.start_second + dice.below(MINUTES_PER_QUARTER).cast_signed() * MINUTE,
            status: STATUSES[dice.below(STATUSES.len() as u64) as usize],
            latency_micros: (100 + dice.below(1901)) * 1000,
        })
    }

    /// Counts them; the second of the newest.
    fn count(self, cell: &mut Cell, all: &mut Cell) -> i64 {
        let seconds = self.draw().map(|request| {
            request.count(cell, all);
            request.minute_second
        });
        seconds.max().unwrap_or(i64::MIN)
    }

    fn cell(self, all: &mut Cell) -> (Cell, i64) {
        let mut cell = Cell::default();
        let newest = self.count(&mut cell, all);
        cell.settle();
        (cell, newest)
    }
}

impl Request {
    fn count(&self, cell: &mut Cell, all: &mut Cell) {
        for cell in [cell, all] {
            cell.observe(self.status, Some(self.latency_micros));
        }
    }
}

fn dice(customer: u64, what: u64) -> Dice {
    let mut dice = Dice::new(customer.wrapping_mul(0xD6E8_FEB8_6659_FD93) ^ what.rotate_left(32));
    // The first numbers of neighbouring seeds are alike.
    for _ in 0..3 {
        dice.below(1);
    }
    dice
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const NOW: i64 = 1_759_996_800;

    fn cells(spread: &Spread) -> BTreeMap<(u8, Option<u32>, i64), Cell> {
        let mut cells = BTreeMap::new();
        for day in 0..DAYS {
            let mut put = |kind: WindowKind, start, whose: Option<Whose>, cell: &Cell| {
                let key = (kind as u8, whose.map(|(customer, _)| customer), start);
                assert!(cells.insert(key, cell.clone()).is_none(), "{key:?} twice");
                Ok(())
            };
            spread.make_day(day, NOW - 2 * SECONDS_PER_DAY, &mut put).unwrap();
        }
        cells
    }

    fn sum<'a>(cells: impl Iterator<Item = &'a Cell>) -> Cell {
        let mut sum = Cell::default();
        cells.for_each(|cell| sum.merge(cell));
        sum.settle();
        sum
    }

    #[test]
    fn every_request_is_in_one_cell_of_each_kind_of_its_customer_and_of_all() {
        for (requests, customers) in [(1, 1), (7, 50), (50, 7), (2_000, 50), (40_000, 3)] {
            let spread = Spread::new(requests, customers, NOW, None);
            let cells = cells(&spread);
            for kind in [WindowKind::Quarter, WindowKind::Day] {
                let of = |whose: Option<u32>| {
                    sum(cells
                        .iter()
                        .filter(|(key, _)| (key.0, key.1) == (kind as u8, whose))
                        .map(|(_, cell)| cell))
                };
                assert_eq!(of(None).requests, requests, "{kind:?} of {customers}");
                let each: Vec<Cell> = (0..customers).map(|customer| of(Some(customer))).collect();
                assert_eq!(sum(each.iter()), of(None));
                for (customer, cell) in (0..customers).zip(&each) {
                    assert_eq!(cell.requests, spread.requests_of(customer));
                }
            }
            assert!(cells.keys().all(|(kind, _, start)| {
                *start >= spread.first_day() && (*kind == WindowKind::Day as u8 || *start < NOW)
            }));
        }
    }

    #[test]
    fn a_quarter_hour_is_the_sum_of_its_minutes_and_a_day_of_its_quarter_hours() {
        let cells = cells(&Spread::new(30_000, 20, NOW, None));
        let inside = |kind: WindowKind, whose, from: i64, to: i64| {
            sum(cells.range((kind as u8, whose, from)..(kind as u8, whose, to)).map(|(_, cell)| cell))
        };
        for ((kind, whose, start), cell) in &cells {
            if *kind == WindowKind::Day as u8 {
                assert_eq!(inside(WindowKind::Quarter, *whose, *start, start + SECONDS_PER_DAY), *cell);
            } else if *kind == WindowKind::Quarter as u8 && *start >= NOW - 2 * SECONDS_PER_DAY {
                assert_eq!(inside(WindowKind::Minute, *whose, *start, start + QUARTER), *cell);
            }
        }
    }

    #[test]
    fn a_fault_is_one_request() {
        for (fault, requests) in [(Fault::Lose, 1_999), (Fault::Double, 2_001)] {
            let cells = cells(&Spread::new(2_000, 50, NOW, Some(fault)));
            let days = cells.iter().filter(|(key, _)| (key.0, key.1) == (WindowKind::Day as u8, None));
            assert_eq!(days.map(|(_, cell)| cell.requests).sum::<u64>(), requests);
        }
    }
}
