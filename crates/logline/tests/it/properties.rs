//! L1, L2, L3 and agreement with the plain parser, over generated records and lines.

use logline::{CustomerId, Latency, LineParser, LogTime, Reason, Record, RequestPath, Status, render_line};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::plain::{self, fast};

/// Text that a field can hold, of any script.
fn field(max_chars: usize) -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[a-z/_0-9]{1,20}",
        1 => prop::collection::vec(any::<char>(), 1..max_chars).prop_map(|chars| {
            let mut text: String = chars.into_iter().filter(|c| !c.is_control() && *c != ' ').collect();
            while text.is_empty() || text.ends_with('\\') {
                text.push('x');
            }
            text
        }),
    ]
}

prop_compose! {
    fn parts()(
        second in prop_oneof![LogTime::SECOND_MIN..=LogTime::SECOND_MAX, 1_700_000_000..1_800_000_000_i64],
        customer in field(60),
        path in field(200),
        status in 100..600_u16,
        micros in prop_oneof![0..=86_400_000_000_u64, (0..9000_u64).prop_map(|millis| millis * 1000), Just(86_400_000_000)],
    ) -> (i64, String, String, u16, u64) {
        (second, customer, path, status, micros)
    }
}

fn line_of((second, customer, path, status, micros): &plain::Request) -> Vec<u8> {
    let record = Record {
        time: LogTime::from_second(*second).expect("a time within the limits"),
        customer: CustomerId::new(customer).expect("a valid customer"),
        path: Some(RequestPath::new(path).expect("a valid path")),
        status: Status::new(*status).expect("a valid status"),
        latency: Some(Latency::from_micros(*micros).expect("a valid latency")),
    };
    let mut line = Vec::new();
    render_line(&record, &mut line);
    assert_eq!(line.pop(), Some(b'\n'));
    line
}

/// One way to spoil a line.
#[derive(Clone, Debug)]
enum Mutation {
    Replace(Index, u8),
    Insert(Index, u8),
    Delete(Index),
    Double(Index, usize),
    Field(Index, &'static [u8]),
    Prefix(&'static [u8]),
    Suffix(&'static [u8]),
}

/// Bytes on which parsers stumble, besides any.
fn byte() -> impl Strategy<Value = u8> {
    prop_oneof![
        4 => prop::sample::select(&b" \t\r\0\\.-+:0123456789Tx/\x7f\x1f\x80\x85\x9f\xa0\xc2\xc3\xe2\xed\xf0\xff"[..]),
        1 => any::<u8>(),
    ]
}

const FIELDS: &[&[u8]] = &[
    b"",
    b"0",
    b"5",
    b"5.",
    b".5",
    b"-0.5",
    b"+1",
    b"nan",
    b"NaN",
    b"inf",
    b"1e3",
    b"86400",
    b"86400.0000001",
    b"86400.00000000",
    b"86399.9999999",
    b"0.0000005",
    b"0.12345649",
    b"00012.5",
    b"99999999999999999999999999",
    b"99",
    b"600",
    b"0200",
    b"200",
    b"599",
    b"2024-02-30",
    b"2024-02-29",
    b"2023-02-29",
    b"1969-12-31",
    b"2262-01-01",
    b"2261-12-31",
    b"2024-00-10",
    b"23:59:60",
    b"24:00:00",
    b"23:59:59",
    b"00:00:00.5",
    b"2024-09-14T16:15:35",
    b"2024-09-14T16:15:35Z",
    b"2024-09-14t",
    b"16:15:35 +02:00",
    b"16:15:35 UTC",
    b"a b",
    b"\\",
    b"x\\",
    b"\xc2\xa0",
    b"\xe2\x80\x8b",
    b"\xef\xbb\xbf",
    b"\xc2\x85",
    b"\xc2",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"-",
    b"Z",
    b"+",
];

const PREFIXES: &[&[u8]] = &[b"\0", b"\0\0\0\0\0\0\0\0\0", b" ", b"\r", b"\xef\xbb\xbf"];
const SUFFIXES: &[&[u8]] = &[b"\r", b"\r\r", b"\0", b" ", b".", b"0"];

fn mutation() -> impl Strategy<Value = Mutation> {
    prop_oneof![
        3 => (any::<Index>(), byte()).prop_map(|(at, byte)| Mutation::Replace(at, byte)),
        2 => (any::<Index>(), byte()).prop_map(|(at, byte)| Mutation::Insert(at, byte)),
        2 => any::<Index>().prop_map(Mutation::Delete),
        1 => (any::<Index>(), 1..300_usize).prop_map(|(at, times)| Mutation::Double(at, times)),
        3 => (any::<Index>(), prop::sample::select(FIELDS)).prop_map(|(at, field)| Mutation::Field(at, field)),
        1 => prop::sample::select(PREFIXES).prop_map(Mutation::Prefix),
        1 => prop::sample::select(SUFFIXES).prop_map(Mutation::Suffix),
    ]
}

fn spoil(line: &mut Vec<u8>, mutation: &Mutation) {
    match mutation {
        Mutation::Prefix(bytes) => drop(line.splice(..0, bytes.iter().copied())),
        Mutation::Suffix(bytes) => line.extend_from_slice(bytes),
        Mutation::Insert(at, byte) => line.insert(at.index(line.len() + 1), *byte),
        _ if line.is_empty() => {}
        Mutation::Replace(at, byte) => {
            let at = at.index(line.len());
            line[at] = *byte;
        }
        Mutation::Delete(at) => {
            line.remove(at.index(line.len()));
        }
        Mutation::Double(at, times) => {
            let at = at.index(line.len());
            let byte = line[at];
            line.splice(at..at, std::iter::repeat_n(byte, *times));
        }
        Mutation::Field(at, field) => {
            let mut fields: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
            let at = at.index(fields.len());
            fields[at] = field;
            *line = fields.join(&b' ');
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn l1_parse_of_render_is_the_record(parts in parts()) {
        let line = line_of(&parts);
        prop_assert_eq!(fast(&mut LineParser::default(), &line), Ok(parts.clone()));
        prop_assert_eq!(plain::parse(&line), Ok(parts));
    }

    #[test]
    fn l2_any_bytes_are_parsed_or_rejected(bytes in prop::collection::vec(byte(), 0..120)) {
        prop_assert_eq!(fast(&mut LineParser::default(), &bytes), plain::parse(&bytes));
    }

    #[test]
    fn l2_any_bytes_behind_a_valid_stamp_are_parsed_or_rejected(
        bytes in prop::collection::vec(prop_oneof![Just(b' '), byte(), any::<u8>()], 0..120),
    ) {
        let line = [b"2024-09-14 16:15:35 ", bytes.as_slice()].concat();
        prop_assert_eq!(fast(&mut LineParser::default(), &line), plain::parse(&line));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6000))]

    #[test]
    fn spoiled_lines_are_judged_as_the_plain_parser_judges(
        parts in parts(), mutations in prop::collection::vec(mutation(), 0..4),
    ) {
        let mut line = line_of(&parts);
        // a parser that has seen other dates, as in a log
        let mut parser = LineParser::default();
        parser.parse(&line).expect("not yet spoiled");
        for mutation in &mutations {
            spoil(&mut line, mutation);
        }
        prop_assert_eq!(fast(&mut parser, &line), plain::parse(&line), "{:?}", String::from_utf8_lossy(&line));
        prop_assert_eq!(fast(&mut LineParser::default(), &line), plain::parse(&line));
    }
}

/// Each reason can be reached, so the comparison above compares more than one kind of line.
#[test]
fn l3_every_reason_of_the_parser_is_reached() {
    let long = [b"2024-09-14 16:15:35 c /p 200 0.".as_slice(), &[b'1'; 1 << 20]].concat();
    for (line, reason) in [
        (&b""[..], Reason::Empty),
        (&long, Reason::TooLong),
        (b"2024-09-14 16:15:35 c\xff /p 200 1", Reason::InvalidUtf8),
        (b"2024-09-14 16:15:35 c\x01 /p 200 1", Reason::ControlCharacter),
        (b"2024-09-14 16:15:35 c /p 200", Reason::Fields),
        (b"2024-09-14 16:15:75 c /p 200 1", Reason::Time),
        (b"2024-09-14 16:15:35 c\\ /p 200 1", Reason::Customer),
        (b"2024-09-14 16:15:35 c /p\\ 200 1", Reason::Path),
        (b"2024-09-14 16:15:35 c /p 600 1", Reason::Status),
        (b"2024-09-14 16:15:35 c /p 200 -1", Reason::Duration),
    ] {
        assert_eq!(fast(&mut LineParser::default(), line), Err(reason));
        assert_eq!(plain::parse(line), Err(reason));
    }
}
