//! Uptime by minutes: which minutes had traffic, and which of those were up. No time here; the caller knows whose minutes they are.

use crate::Cell;

/// A minute with at least this share of server errors, in percent, was down.
const DOWN_PERCENT: u64 = 5;

/// Minutes with traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Minutes {
    /// Minutes with any request.
    pub with_traffic: u64,
    /// Those of them in which fewer than 5 % of the requests ended in a status of 500 or more.
    pub up: u64,
}

impl Minutes {
    /// Counts a minute, by all its requests.
    pub fn count(&mut self, minute: &Cell) {
        if !minute.is_empty() {
            self.with_traffic += 1;
            self.up += u64::from(
                minute.classes[4].saturating_mul(100) < minute.requests.saturating_mul(DOWN_PERCENT),
            );
        }
    }

    /// Adds other minutes.
    pub fn add(&mut self, other: Minutes) {
        self.with_traffic += other.with_traffic;
        self.up += other.up;
    }
}

impl<'a> FromIterator<&'a Cell> for Minutes {
    fn from_iter<I: IntoIterator<Item = &'a Cell>>(minutes: I) -> Self {
        let mut found = Minutes::default();
        minutes.into_iter().for_each(|minute| found.count(minute));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(requests: u64, errors: u64) -> Cell {
        let mut cell = Cell::default();
        (0..requests).for_each(|number| cell.observe(if number < errors { 500 } else { 404 }, Some(number)));
        cell
    }

    #[test]
    fn a_minute_is_down_from_five_percent_of_server_errors_on() {
        let minutes =
            [cell(0, 0), cell(1, 0), cell(1, 1), cell(100, 4), cell(100, 5), cell(19, 1), cell(21, 1)];
        assert_eq!(minutes.iter().collect::<Minutes>(), Minutes { with_traffic: 6, up: 3 });
    }
}
