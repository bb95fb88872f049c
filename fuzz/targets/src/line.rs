//! The parser of the default line, against the plain one that was written from the rules alone, and against the renderer.

use logline::{LineParser, render_line};

use crate::plain::{self, fast};

/// Pieces of lines, good and bad.
pub const TOKENS: &[&[u8]] = &[
    b" ",
    b"\n",
    b"\r",
    b"\r\n",
    b"\0",
    b"\0\0\0\0\0\0\0\0",
    b"\xef\xbb\xbf",
    b"\xc2\x85",
    b"\xc2\xa0",
    b"\xe2\x80\x8b",
    b"\xed\xa0\x80",
    b"\xff",
    b"\x7f",
    b"\x1b",
    b"\\",
    b"2024-09-14 16:15:35 ",
    b"2024-09-14T16:15:35Z ",
    b"1969-12-31",
    b"1970-01-01 00:00:00",
    b"2024-02-29",
    b"2023-02-29",
    b"2261-12-31 23:59:59",
    b"2262-01-01",
    b"23:59:60",
    b"24:00:00",
    b" +02:00 ",
    b" UTC ",
    b"cust_5",
    b" /api/v1/resource4 ",
    b" 200 ",
    b" 099 ",
    b" 600 ",
    b"0.772",
    b"86400",
    b"86400.0000001",
    b"86399.9999999",
    b"0.0000005",
    b"5.",
    b".5",
    b"-1",
    b"1e3",
    b"NaN",
    b"18446744073709551616",
];

/// Every line of the bytes is judged alike by the fast parser, fresh and warm, and by the plain one; what is accepted reads the same when it is written again.
pub fn line(bytes: &[u8]) {
    let mut warm = LineParser::default();
    for line in bytes.split(|byte| *byte == b'\n') {
        let judged = fast(&mut warm, line);
        assert_eq!(
            judged,
            fast(&mut LineParser::default(), line),
            "L2: a parser that has read other lines judges otherwise"
        );
        assert_eq!(judged, plain::parse(line), "L2: the plain parser judges otherwise");
        if judged.is_ok() {
            let record = LineParser::default().parse(line).expect("it was accepted before");
            let mut again = Vec::new();
            render_line(&record, &mut again);
            assert_eq!(again.pop(), Some(b'\n'), "L1: a rendered line without its end");
            assert_eq!(judged, fast(&mut warm, &again), "L1: the rendered line reads otherwise");
        }
    }
}
