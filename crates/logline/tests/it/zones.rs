//! Stamps without a zone, read in a zone of the IANA database.

use chrono::{DateTime, Offset, TimeZone};
use logline::{LineParser, LogTime, ParseError, Reason, Zone, ZoneError};

fn read(parser: &mut LineParser, stamp: &str) -> Result<LogTime, ParseError> {
    parser.parse(format!("{stamp} c /p 200 1").as_bytes()).map(|record| record.time)
}

/// The table is Python's: the lesser of `datetime(..., fold=fold, tzinfo=ZoneInfo(zone)).timestamp()` with fold 0 and 1, ambiguous where they differ: in a repeated hour
/// the first offset (fold 0), in a skipped one the later offset (fold 1). Berlin's 02:30 of 2025-03-30 never was; with summer time's offset it is 00:30 UTC.
#[test]
fn stamps_in_zones() {
    for (zone, stamp, second, ambiguous) in [
        ("Europe/Berlin", "2024-09-14 16:15:35", 1_726_323_335, false),
        ("Europe/Berlin", "2024-01-14 16:15:35", 1_705_245_335, false),
        ("Europe/Berlin", "2024-03-31 01:59:59", 1_711_846_799, false),
        ("Europe/Berlin", "2024-03-31 02:00:00", 1_711_843_200, true),
        ("Europe/Berlin", "2024-03-31 02:30:00", 1_711_845_000, true),
        ("Europe/Berlin", "2024-03-31 02:59:59", 1_711_846_799, true),
        ("Europe/Berlin", "2024-03-31 03:00:00", 1_711_846_800, false),
        ("Europe/Berlin", "2025-03-30 02:30:00", 1_743_294_600, true),
        ("Europe/Berlin", "2024-10-27 01:59:59", 1_729_987_199, false),
        ("Europe/Berlin", "2024-10-27 02:00:00", 1_729_987_200, true),
        ("Europe/Berlin", "2024-10-27 02:59:59", 1_729_990_799, true),
        ("Europe/Berlin", "2024-10-27 03:00:00", 1_729_994_400, false),
        ("America/New_York", "2024-03-10 02:30:00", 1_710_052_200, true),
        ("America/New_York", "2024-11-03 01:30:00", 1_730_611_800, true),
        ("America/New_York", "2024-11-03 02:00:00", 1_730_617_200, false),
        ("Australia/Lord_Howe", "2024-04-07 01:29:59", 1_712_413_799, false),
        ("Australia/Lord_Howe", "2024-04-07 01:30:00", 1_712_413_800, true),
        ("Australia/Lord_Howe", "2024-04-07 01:59:59", 1_712_415_599, true),
        ("Australia/Lord_Howe", "2024-04-07 02:00:00", 1_712_417_400, false),
        ("Australia/Lord_Howe", "2024-10-06 02:00:00", 1_728_140_400, true),
        ("Australia/Lord_Howe", "2024-10-06 02:29:59", 1_728_142_199, true),
        ("Australia/Lord_Howe", "2024-10-06 02:30:00", 1_728_142_200, false),
        ("Pacific/Apia", "2011-12-29 23:59:59", 1_325_239_199, false),
        ("Pacific/Apia", "2011-12-30 00:00:00", 1_325_152_800, true),
        ("Pacific/Apia", "2011-12-30 12:00:00", 1_325_196_000, true),
        ("Pacific/Apia", "2011-12-30 23:59:59", 1_325_239_199, true),
        ("Pacific/Apia", "2011-12-31 00:00:00", 1_325_239_200, false),
        ("Africa/Monrovia", "1972-01-07 00:00:00", 63_590_400, true),
        ("Africa/Monrovia", "1972-01-07 00:44:29", 63_593_069, true),
        ("Africa/Monrovia", "1972-01-07 00:44:30", 63_593_070, false),
        ("Asia/Kolkata", "2024-09-14 16:15:35", 1_726_310_735, false),
        ("Africa/Casablanca", "2024-04-14 02:30:00", 1_713_058_200, true),
        ("Africa/Casablanca", "2024-03-10 02:30:00", 1_710_034_200, true),
        ("America/Sao_Paulo", "2018-11-04 00:30:00", 1_541_298_600, true),
        ("Asia/Tokyo", "1970-01-01 09:00:00", 0, false),
        ("Europe/Berlin", "2050-07-01 12:00:00", 2_540_282_400, false),
        ("America/New_York", "2261-12-31 18:59:59", 9_214_646_399, false),
    ] {
        let mut parser = LineParser::new(zone.parse().expect("a zone"));
        let expected = LogTime { second, nanos: 0, ambiguous };
        assert_eq!(read(&mut parser, stamp), Ok(expected), "{zone} {stamp}");
        assert_eq!(read(&mut parser, stamp), Ok(expected), "{zone} {stamp}, remembered");
    }
}

#[test]
fn instants_outside_the_years_are_rejected_in_every_zone() {
    for (zone, stamp) in [("Asia/Tokyo", "1970-01-01 08:59:59"), ("America/New_York", "2261-12-31 19:00:00")]
    {
        let mut parser = LineParser::new(zone.parse().expect("a zone"));
        assert_eq!(
            read(&mut parser, stamp),
            Err(ParseError { reason: Reason::Time, column: 1 }),
            "{zone} {stamp}"
        );
    }
}

#[test]
fn zone_names() {
    for name in ["UTC", "Etc/UTC"] {
        assert_eq!(name.parse(), Ok(Zone::Utc));
    }
    assert_eq!("Europe/Berlin".parse(), Ok(Zone::Named(chrono_tz::Europe::Berlin)));
    for name in ["", "Europe", "europe/berlin", "CEST+2", "../etc/passwd"] {
        assert_eq!(name.parse::<Zone>(), Err(ZoneError(name.to_owned())));
    }
    let error = "Mars/Base".parse::<Zone>().expect_err("not on Earth").to_string();
    assert_eq!(error, "`Mars/Base` is not a time zone of the IANA database (for example `Europe/Berlin`)");
}

/// Around every clock change of every zone, with one parser that remembers hours: the instant that is read is the first at which clocks showed the
/// stamp, and a skipped stamp has the offset after the gap, so it lies before the gap by as much as it is before the gap's end.
#[test]
fn remembered_hours_read_every_second_right() {
    const WEEK: i64 = 7 * 86_400;
    let mut changes = 0;
    for tz in chrono_tz::TZ_VARIANTS {
        let offset_at = |second: i64| {
            let utc = DateTime::from_timestamp(second, 0).expect("a time chrono knows").naive_utc();
            i64::from(tz.offset_from_utc_datetime(&utc).fix().local_minus_utc())
        };
        let mut parser = LineParser::new(Zone::Named(tz));
        for week in (WEEK..70 * 52 * WEEK).step_by(usize::try_from(WEEK).expect("small")) {
            let (mut before, mut after) = (week, week + WEEK);
            if offset_at(before) == offset_at(after) {
                continue;
            }
            while before + 1 < after {
                let middle = i64::midpoint(before, after);
                if offset_at(middle) == offset_at(week) { before = middle } else { after = middle }
            }
            changes += 1;
            let edges = [after + offset_at(before), after + offset_at(after)];
            for local in
                edges.into_iter().flat_map(|edge| [-3600, -1800, -1, 0, 1, 1800, 3600].map(|by| edge + by))
            {
                let stamp = DateTime::from_timestamp(local, 0)
                    .expect("a time chrono knows")
                    .format("%F %T")
                    .to_string();
                let time = read(&mut parser, &stamp).expect("a time within the years");
                let shown = time.second + offset_at(time.second);
                let skipped = edges[0] <= local && local < edges[1];
                let repeated = edges[1] <= local && local < edges[0];
                assert_eq!(time.ambiguous, skipped || repeated, "{tz} {stamp}");
                let expected = if skipped { local - (edges[1] - edges[0]) } else { local };
                if skipped {
                    assert_eq!(local - time.second, offset_at(after), "{tz} {stamp}: the later offset");
                }
                assert_eq!(shown, expected, "{tz} {stamp}");
                if repeated {
                    assert!(time.second < after, "{tz} {stamp}: the first of two");
                }
            }
        }
    }
    assert!(changes > 10_000, "{changes} clock changes");
}
