//! The renderer of the default log line: parse(render(r)) = r for every record with whole seconds (L1).

use chrono::{Datelike, NaiveDate};

use crate::{LogTime, Record};

/// Appends the record as a line of the default format with its newline, its time in UTC. A record without path or latency is written with
/// the path `-` and the duration `0`. Durations have three decimals, or as many as they need up to six.
pub fn render_line(record: &Record<'_>, line: &mut Vec<u8>) {
    let customer = record.customer.as_str().as_bytes();
    let path = record.path.map_or("-", |path| path.as_str()).as_bytes();

    line.extend_from_slice(&stamp(record.time));
    line.extend_from_slice(customer);
    line.push(b' ');
    line.extend_from_slice(path);

    // space, status, space, at most 12 bytes of duration, newline
    let mut end = [0; 18];
    let code = u32::from(record.status.code());
    end[0] = b' ';
    end[1] = digit(code / 100);
    end[2..4].copy_from_slice(&pair(code % 100));
    end[4] = b' ';
    let length = match record.latency {
        None => {
            end[5] = b'0';
            6
        }
        Some(latency) => 5 + duration(latency.micros(), &mut end[5..17]),
    };
    end[length] = b'\n';
    line.extend_from_slice(&end[..=length]);
}

/// `2024-09-14 16:15:35 `, with the space behind it.
fn stamp(time: LogTime) -> [u8; 20] {
    debug_assert!(LogTime::from_second(time.second).is_ok(), "L3: a time outside 1970 to 2261: {time:?}");
    let second = time.second.clamp(LogTime::SECOND_MIN, LogTime::SECOND_MAX);
    let days = i32::try_from(second / 86_400).expect("fewer than 107,000 days");
    let clock = u32::try_from(second % 86_400).expect("less than 86,400");
    let date = NaiveDate::from_epoch_days(days).expect("chrono knows the years 1970 to 2261");
    let year = date.year().unsigned_abs();

    let mut text = *b"0000-00-00 00:00:00 ";
    for (at, value) in [
        (0, year / 100),
        (2, year % 100),
        (5, date.month()),
        (8, date.day()),
        (11, clock / 3600),
        (14, clock / 60 % 60),
        (17, clock % 60),
    ] {
        text[at..at + 2].copy_from_slice(&pair(value));
    }
    text
}

/// Writes microseconds as seconds with three to six decimals; returns how many bytes that took.
fn duration(micros: u64, text: &mut [u8]) -> usize {
    let seconds = u32::try_from(micros / 1_000_000).expect("L3: at most 86,400");
    let fraction = u32::try_from(micros % 1_000_000).expect("less than a million");

    let mut length = 0;
    let mut scale = 10_000;
    while scale > 1 && seconds < scale {
        scale /= 10;
    }
    while scale > 0 {
        text[length] = digit(seconds / scale % 10);
        length += 1;
        scale /= 10;
    }
    text[length] = b'.';
    length += 1;
    let decimals = length;
    for value in [fraction / 10_000, fraction / 100 % 100, fraction % 100] {
        text[length..length + 2].copy_from_slice(&pair(value));
        length += 2;
    }
    while length > decimals + 3 && text[length - 1] == b'0' {
        length -= 1;
    }
    length
}

fn digit(value: u32) -> u8 {
    b'0' + (value % 10) as u8
}

fn pair(value: u32) -> [u8; 2] {
    [digit(value / 10), digit(value)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CustomerId, Latency, RequestPath, Status};

    fn check(second: i64, micros: Option<u64>, path: Option<&str>, expected: &str) {
        let record = Record {
            time: LogTime::from_second(second).expect("a time within 1970 to 2261"),
            customer: CustomerId::new("cust_5").expect("a valid customer"),
            path: path.map(|path| RequestPath::new(path).expect("a valid path")),
            status: Status::new(200).expect("a valid status"),
            latency: micros.map(|micros| Latency::from_micros(micros).expect("a valid latency")),
        };
        let mut line = b"before\n".to_vec();
        render_line(&record, &mut line);
        assert_eq!(String::from_utf8(line).expect("UTF-8"), format!("before\n{expected}\n"));
    }

    #[test]
    fn lines_as_people_know_them() {
        let path = Some("/api/v1/resource4");
        for (second, micros, expected) in [
            (1_726_330_535, 772_000, "2024-09-14 16:15:35 cust_5 /api/v1/resource4 200 0.772"),
            (0, 0, "1970-01-01 00:00:00 cust_5 /api/v1/resource4 200 0.000"),
            (951_782_400, 1_000_000, "2000-02-29 00:00:00 cust_5 /api/v1/resource4 200 1.000"),
            (1_709_251_199, 125, "2024-02-29 23:59:59 cust_5 /api/v1/resource4 200 0.000125"),
            (4_107_542_400, 100_100, "2100-03-01 00:00:00 cust_5 /api/v1/resource4 200 0.1001"),
            (9_214_646_399, 86_400_000_000, "2261-12-31 23:59:59 cust_5 /api/v1/resource4 200 86400.000"),
            (1, 86_399_999_999, "1970-01-01 00:00:01 cust_5 /api/v1/resource4 200 86399.999999"),
            (1, 10_000_010, "1970-01-01 00:00:01 cust_5 /api/v1/resource4 200 10.00001"),
        ] {
            check(second, Some(micros), path, expected);
        }
        check(59, None, None, "1970-01-01 00:00:59 cust_5 - 200 0");
    }
}
