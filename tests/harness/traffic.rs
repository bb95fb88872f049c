//! Lines for a campaign, good and bad ones, and the truth about them: what was written is noted while it is made, apart from every file and program.

use crate::dice::Dice;
use crate::recount::Recount;

/// A customer whose lines the proxy in front of the store refuses (see `refusals`).
pub const POISON: &str = "poison_";

/// Lines that are no requests, each rejected.
const BAD: [&[u8]; 10] = [
    b"not a request",
    b"",
    b"2026-09-14 16:15:35 cust_1 /a 200",
    b"2026-09-14 16:15:35 cust_1 /a 200 0.5 more",
    b"2026-09-14 16:15:60 cust_1 /a 200 0.5",
    b"2026-09-14 16:15:35 cust_1 /a 99 0.5",
    b"2026-09-14 16:15:35 cust_1 /a 200 -0.5",
    b"2026-09-14 16:15:35 cust_\xFF /a 200 0.5",
    b"2026-09-14 16:15:35 cust_1 /a\x01 200 0.5",
    b"2026-02-30 16:15:35 cust_1 /a 200 0.5",
];

/// Makes lines, and knows what it has made.
#[derive(Debug)]
pub struct Traffic {
    dice: Dice,
    made: u64,
    poison: bool,
    good: Vec<u8>,
    good_lines: u64,
    bad_lines: u64,
    refused_lines: u64,
}

impl Traffic {
    /// Nothing made yet. `poison`: some lines are of the kind that the store refuses.
    pub fn new(dice: Dice, poison: bool) -> Traffic {
        let good = Vec::new();
        Traffic { dice, made: 0, poison, good, good_lines: 0, bad_lines: 0, refused_lines: 0 }
    }

    /// Good lines that were made.
    pub fn good_lines(&self) -> u64 {
        self.good_lines
    }

    /// Lines that were made and must be rejected, be it by the processor or by the store.
    pub fn rejected_lines(&self) -> u64 {
        self.bad_lines + self.refused_lines
    }

    /// Of these the ones that the store refuses.
    pub fn refused_lines(&self) -> u64 {
        self.refused_lines
    }

    /// The good lines, counted.
    pub fn recount(&self) -> Recount {
        Recount::of_text(&self.good)
    }

    /// So many lines, each with its end.
    pub fn lines(&mut self, count: u64) -> Vec<u8> {
        let mut text = Vec::new();
        let mut left = count;
        while left > 0 {
            // One of a dozen good lines stands there several times, to the last letter.
            let times = if self.dice.chance(8) { self.dice.between(2, 5).min(left) } else { 1 };
            left -= times;
            self.line(times, &mut text);
        }
        text
    }

    fn line(&mut self, times: u64, text: &mut Vec<u8>) {
        self.made += 1;
        let end: &[u8] = if self.dice.chance(10) { b"\r\n" } else { b"\n" };
        if self.dice.chance(2) {
            let bad = *self.dice.pick(&BAD);
            for _ in 0..times {
                text.extend_from_slice(bad);
                text.extend_from_slice(end);
            }
            self.bad_lines += times;
            return;
        }
        if self.poison && self.dice.number().is_multiple_of(4000) {
            let line = self.request(&format!("{POISON}{}", self.made), 0);
            text.extend_from_slice(line.as_bytes());
            text.extend_from_slice(end);
            self.refused_lines += 1;
            // Whatever was to follow of it: once is enough.
            if times > 1 {
                self.line(times - 1, text);
            }
            return;
        }
        let customer = self.dice.between(0, 5) * self.dice.between(0, 4);
        let line = self.request(&format!("cust_{customer}"), 0);
        self.good_line(line.as_bytes(), end, times, text);
    }

    fn good_line(&mut self, line: &[u8], end: &[u8], times: u64, text: &mut Vec<u8>) {
        for into in [text, &mut self.good] {
            for _ in 0..times {
                into.extend_from_slice(line);
                into.extend_from_slice(end);
            }
        }
        self.good_lines += times;
    }

    /// One good line of just that many bytes, its end included; at least 150 and at most 8,000.
    pub fn line_of(&mut self, bytes: usize) -> Vec<u8> {
        self.made += 1;
        let bare = self.request("cust_7", 0).len() + 1;
        let line = loop {
            let line = self.request("cust_7", bytes - bare);
            match (bytes - 1).cmp(&line.len()) {
                std::cmp::Ordering::Equal => break line,
                // The latency has another number of digits this time.
                _ => continue,
            }
        };
        let mut text = Vec::new();
        self.good_line(line.as_bytes(), b"\n", 1, &mut text);
        text
    }

    /// A request of this moment, or of one within the past days; its path longer by so many letters.
    fn request(&mut self, customer: &str, padding: usize) -> String {
        let back = if self.dice.chance(5) { self.dice.between(0, 3 * 86_400) } else { 0 };
        let time = chrono::Utc::now() - chrono::TimeDelta::seconds(i64::try_from(back).expect("days"));
        let status = *self.dice.pick(&[200, 200, 200, 201, 302, 399, 400, 404, 500, 503]);
        let (millis, micros) = (self.dice.between(0, 2_500), self.dice.between(0, 16_000));
        // Only such that no histogram of ours rounds: whole milliseconds, and few microseconds.
        let latency = match self.dice.between(0, 5) {
            0 => format!("{}", millis / 1000),
            1 => format!("{}.{}", millis / 1000, millis / 100 % 10),
            2 => format!("0.{micros:06}"),
            3 => format!("0.{micros:06}5"),
            _ => format!("{}.{:03}", millis / 1000, millis % 1000),
        };
        let (stamp, number, more) = (time.format("%Y-%m-%d %H:%M:%S"), self.made, "x".repeat(padding));
        format!("{stamp} {customer} /api/v1/resource{}/{number}{more} {status} {latency}", number % 4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_truth_is_what_was_made() {
        let mut traffic = Traffic::new(Dice::new(1), true);
        let text = traffic.lines(20_000);
        let ends = text.iter().filter(|byte| **byte == b'\n').count() as u64;
        assert_eq!(ends, 20_000);
        assert_eq!(traffic.good_lines() + traffic.rejected_lines(), 20_000);
        assert!(traffic.refused_lines() > 0 && traffic.rejected_lines() > 200);
        assert_eq!(traffic.recount().lines(), traffic.good_lines());
        for bytes in [150, 1000, 8000] {
            assert_eq!(traffic.line_of(bytes).len(), bytes);
        }
        assert_eq!(traffic.good_lines() + traffic.rejected_lines(), 20_003);
    }
}
