//! The fast parser against the plain one, by numbers: hundreds of thousands of spoiled lines in a normal run, as many as are asked for by
//! LOGLINE_DIFFERENTIAL_LINES, for instance ten million in a minute or two:
//!
//! ```sh
//! LOGLINE_DIFFERENTIAL_LINES=10000000 cargo test --release -p logline --test it differential
//! ```

use logline::LineParser;

use crate::plain;
use crate::properties::{FIELDS, fast};

/// xorshift64*: the same lines in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33).expect("31 bits") % bound
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// A valid line, like those of a log.
    fn line(&mut self) -> Vec<u8> {
        let date = self.pick(&["2024-09-14", "1970-01-01", "2261-12-31", "2024-02-29", "2025-12-31"]);
        let (hour, minute, second) = (self.below(24), self.below(60), self.below(60));
        let customer =
            self.pick(&["c", "cust_5", "acme-corporation", "0123456", "01234567", "é", "漢字", "a,b=c"]);
        let path = self.pick(&[
            "/",
            "/api/v1/resource4",
            "/a%20b?c=d&e=\"f\"",
            "/ü",
            "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        ]);
        let status = 100 + self.below(500);
        let duration = match self.below(6) {
            0 => format!("{}", self.below(86_401)),
            1 => format!("{}.{:06}", self.below(100), self.below(1_000_000)),
            2 => format!("{}.{:09}", self.below(3), self.below(1_000_000_000)),
            _ => format!("{}.{:03}", self.below(10), self.below(1000)),
        };
        format!("{date} {hour:02}:{minute:02}:{second:02} {customer} {path} {status} {duration}").into_bytes()
    }

    fn spoil(&mut self, line: &mut Vec<u8>) {
        const BYTES: &[u8] = b" \t\r\0\n\\.-+:/;0123456789Tx\x7f\x1f\x80\x85\x9f\xa0\xc2\xc3\xe2\xed\xf0\xff";
        let byte = if self.below(4) == 0 {
            u8::try_from(self.below(256)).expect("a byte")
        } else {
            self.pick(BYTES)
        };
        match self.below(7) {
            0 if !line.is_empty() => drop(line.remove(self.below(line.len()))),
            1 => line.insert(self.below(line.len() + 1), byte),
            2 => {
                let mut fields: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
                let at = self.below(fields.len());
                fields[at] = self.pick(FIELDS);
                *line = fields.join(&b' ');
            }
            3 => line.truncate(self.below(line.len() + 1)),
            _ if line.is_empty() => line.push(byte),
            _ => {
                let at = self.below(line.len());
                line[at] = byte;
            }
        }
    }
}

#[test]
fn l2_a_multitude_of_spoiled_lines_is_judged_alike() {
    let lines =
        std::env::var("LOGLINE_DIFFERENTIAL_LINES").map_or(150_000, |lines| lines.parse().expect("a number"));
    let mut dice = Dice(42);
    let mut parser = LineParser::default();
    let mut accepted = 0_u64;
    for _ in 0..lines {
        let mut line = dice.line();
        for _ in 0..dice.below(4) {
            dice.spoil(&mut line);
        }
        let judged = fast(&mut parser, &line);
        accepted += u64::from(judged.is_ok());
        assert_eq!(judged, plain::parse(&line), "{:?}", String::from_utf8_lossy(&line));
    }
    assert!(
        accepted * 5 > lines && accepted * 5 < 4 * lines,
        "{accepted} of {lines} are valid: one side is hardly tested"
    );
}

/// The clock is checked eight bytes at a time: every byte at every place, and every pair of bytes that could carry into each other.
#[test]
fn l2_every_byte_of_the_clock_is_looked_at() {
    let mut parser = LineParser::default();
    let mut judge = |clock: [u8; 8]| {
        let line = [b"2024-09-14 ", &clock[..], b" c /p 200 1"].concat();
        assert_eq!(fast(&mut parser, &line), plain::parse(&line), "{:?}", String::from_utf8_lossy(&line));
    };
    for clock in [*b"16:15:35", *b"00:00:00", *b"23:59:59", *b"09:09:09"] {
        for place in 0..8 {
            for byte in 0..=255 {
                let mut spoiled = clock;
                spoiled[place] = byte;
                judge(spoiled);
            }
        }
        for place in 0..7 {
            for pair in [b"\x80\x2f", b"\xff\xff", b"\xba\x39", b"\xb0\x3a", b"9:", b":9", b"//", b"\x8a\x30"]
            {
                let mut spoiled = clock;
                spoiled[place..place + 2].copy_from_slice(pair);
                judge(spoiled);
            }
        }
    }
    for second in 0..86_400_u32 {
        let text = format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60);
        if second % 7 == 0 {
            judge(text.into_bytes().try_into().expect("eight bytes"));
        }
    }
}
