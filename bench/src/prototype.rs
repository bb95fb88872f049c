//! The floor: the same work as the hot path's, and nothing beside it. `plain` is what one writes first, `fast` what is left when everything is left out: no limits, no
//! rejections, no UTF-8 check, no escapes, no generations. Right for the bench's own lines only.

use std::io::Write;

use chrono::NaiveDateTime;

/// One line in the default form to its line of line protocol, by the standard library's own means.
pub fn plain(line: &[u8], place: u64, body: &mut Vec<u8>) {
    let text = std::str::from_utf8(line).expect("the bench writes UTF-8");
    let fields: Vec<&str> = text.split(' ').collect();
    let [date, clock, customer, path, status, duration] = fields[..] else {
        panic!("the bench writes six fields: {text:?}")
    };
    let time = NaiveDateTime::parse_from_str(&format!("{date} {clock}"), "%Y-%m-%d %H:%M:%S");
    let second = time.expect("the bench writes times").and_utc().timestamp();
    let status: u16 = status.parse().expect("the bench writes statuses");
    let seconds: f64 = duration.parse().expect("the bench writes durations");
    let success = u8::from((200..400).contains(&status));
    let nanos = second * 1_000_000_000 + i64::try_from(place % 1_000_000_000).expect("below 1e9");
    writeln!(
        body,
        "api_requests,customer_id={customer},success={success} duration={seconds},request_path=\"{path}\",status_code={status}i {nanos}"
    )
    .expect("writing to memory cannot fail");
}

/// The last date and its first second.
#[derive(Debug, Default)]
pub struct Dates {
    text: [u8; 10],
    second: i64,
}

/// All lines of a block, each ending in a newline. `place` is that of its first byte; returns how many lines there were.
pub fn fast(block: &[u8], mut place: u64, dates: &mut Dates, body: &mut Vec<u8>) -> usize {
    let mut lines = 0;
    let mut from = 0;
    for end in memchr::memchr_iter(b'\n', block) {
        fast_line(&block[from..end], place, dates, body);
        place += (end + 1 - from) as u64;
        from = end + 1;
        lines += 1;
    }
    lines
}

fn fast_line(line: &[u8], place: u64, dates: &mut Dates, body: &mut Vec<u8>) {
    let (stamp, rest) = line.split_first_chunk::<20>().expect("the bench writes stamps");
    if stamp[..10] != dates.text {
        dates.text.copy_from_slice(&stamp[..10]);
        let text = std::str::from_utf8(&stamp[..10]).expect("digits");
        let date: chrono::NaiveDate = text.parse().expect("a date");
        dates.second = i64::from(date.to_epoch_days()) * 86_400;
    }
    let two = |at: usize| i64::from(stamp[at] - b'0') * 10 + i64::from(stamp[at + 1] - b'0');
    let second = dates.second + two(11) * 3600 + two(14) * 60 + two(17);
    let customer_end = memchr::memchr(b' ', rest).expect("a customer");
    let (customer, rest) = (&rest[..customer_end], &rest[customer_end + 1..]);
    let path_end = memchr::memchr(b' ', rest).expect("a path");
    let (path, rest) = (&rest[..path_end], &rest[path_end + 1..]);
    let (status, mut duration) = (&rest[..3], &rest[4..]);
    while let Some((b'0', shorter)) = duration.split_last() {
        duration = shorter;
    }
    if let Some((b'.', shorter)) = duration.split_last() {
        duration = shorter;
    }
    body.extend_from_slice(b"api_requests,customer_id=");
    body.extend_from_slice(customer);
    body.extend_from_slice(if matches!(status[0], b'2' | b'3') {
        b",success=1 duration="
    } else {
        b",success=0 duration="
    });
    body.extend_from_slice(duration);
    body.extend_from_slice(b",request_path=\"");
    body.extend_from_slice(path);
    body.extend_from_slice(b"\",status_code=");
    body.extend_from_slice(status);
    body.extend_from_slice(b"i ");
    let nanos = second * 1_000_000_000 + i64::try_from(place % 1_000_000_000).expect("below 1e9");
    body.extend_from_slice(itoa::Buffer::new().format(nanos).as_bytes());
    body.push(b'\n');
}
