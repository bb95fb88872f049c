//! Ranges as people write them, through every zone.

use std::time::Duration;

use proptest::prelude::*;
use stats::{SECONDS_PER_DAY as D, TimeRange, tile_stretches};

use super::*;

/// 2024-09-30T12:34:56Z.
const NOW: i64 = 1_727_699_696;
const TODAY: i64 = 1_727_654_400;
const H: i64 = 3600;

fn moment() -> Moment {
    Moment::new(NOW, None)
}

fn texts<'a>(from: &'a str, to: &'a str, tz: &'a str) -> RangeTexts<'a> {
    let given = |text: &'a str| (!text.is_empty()).then_some(text);
    RangeTexts { from: given(from), to: given(to), tz: given(tz), compare: false }
}

fn range(from: &str, to: &str, tz: &str) -> Result<(i64, i64), Fault> {
    let period = moment().period(texts(from, to, tz))?;
    Ok((period.range.from_second, period.range.to_second))
}

#[test]
fn a_range_is_what_its_texts_mean() {
    let minute = NOW - 56 + 60;
    for (from, to, tz, expected) in [
        // the last day, to the end of the minute that is running
        ("", "", "", (NOW - D - 56, minute)),
        ("-15m", "now", "", (NOW - 15 * 60 - 56, minute)),
        ("-90s", "", "", (NOW - 90 - 26, minute)),
        ("-1h", "-30m", "", (NOW - H - 56, NOW - 30 * 60 + 4)),
        // where only quarter-hours are kept, to quarter-hours
        ("-7d", "", "", (1_727_094_600, minute)),
        ("-1w", "-6d", "", (1_727_094_600, 1_727_181_900)),
        // where only days are kept, to days
        ("-100d", "", "", (TODAY - 100 * D, minute)),
        ("-200d", "-100d", "", (TODAY - 200 * D, TODAY - 99 * D)),
        ("2024-09-29", "", "", (TODAY - D, minute)),
        ("2024-09-29", "2024-09-30", "", (TODAY - D, TODAY)),
        ("1970-01-01", "2024-10-01", "", (0, TODAY + D)),
        ("1969-05-05", "2024-10-01", "", (0, TODAY + D)),
        ("2024-09-29T10:00:00Z", "2024-09-29T10:30:00Z", "", (TODAY - 14 * H, TODAY - 14 * H + 1800)),
        (
            "2024-09-29T12:00:00+02:00",
            "2024-09-29T10:30:00.001Z",
            "",
            (TODAY - 14 * H, TODAY - 14 * H + 1860),
        ),
        ("2024-09-29t10:00:59.9z", "2024-09-29T10:02:00Z", "", (TODAY - 14 * H, TODAY - 14 * H + 120)),
        // days of a zone
        ("2024-09-29", "2024-09-30", "Europe/Berlin", (TODAY - D - 2 * H, TODAY - 2 * H)),
        ("2024-09-29", "2024-09-30", "Asia/Kathmandu", (TODAY - D - 5 * H - 2700, TODAY - 5 * H - 2700)),
        ("2024-09-29", "2024-09-30", "America/New_York", (TODAY - D + 4 * H, TODAY + 4 * H)),
    ] {
        assert_eq!(range(from, to, tz), Ok(expected), "{from} {to} {tz}");
    }
}

#[test]
fn what_cannot_be_answered_is_refused_by_name() {
    for (from, to, tz, parameter, words) in [
        ("yesterday", "", "", "from", "is none of a date"),
        ("-24", "", "", "from", "is none of"),
        ("-h", "", "", "from", "is none of"),
        ("-", "", "", "from", "is none of"),
        ("--5h", "", "", "from", "is none of"),
        ("-5y", "", "", "from", "is none of"),
        ("-5é", "", "", "from", "is none of"),
        ("-99999999999h", "", "", "from", "is none of"),
        ("-9999999999w", "", "", "from", "is none of"),
        ("NOW", "", "", "from", "is none of"),
        ("", " now", "", "to", "is none of"),
        ("2024-9-29", "", "", "from", "is none of"),
        ("2024-02-30", "", "", "from", "calendar"),
        ("2024-09-31", "", "", "from", "calendar"),
        ("2024-09-29T10:00:00", "", "", "from", "is none of"),
        ("2024-09-29 10:00:00Z", "", "", "from", "is none of"),
        ("2024-09-29T10:00:00 02:00", "", "", "from", "%2B"),
        ("2024-09-29T25:00:00Z", "", "", "from", "is none of"),
        ("2024-10-01", "", "", "from", "future"),
        ("2024-09-30T12:34:57Z", "", "", "from", "future"),
        ("", "9999-12-31", "", "to", "2261"),
        ("", "9999-12-31T00:00:00Z", "", "to", "2261"),
        ("2024-09-30", "2024-09-30", "", "to", "not after"),
        ("-1h", "-2h", "", "to", "not after"),
        ("now", "now", "", "to", "not after"),
        ("", "", "Berlin", "tz", "IANA"),
        ("", "", "europe/berlin", "tz", "IANA"),
        ("", "", "UTC+2", "tz", "IANA"),
        // a day of another zone, when only days of UTC are kept any more
        ("2024-01-01", "", "Europe/Berlin", "from", "whole days (UTC) are kept"),
        ("1970-01-02", "2024-05-01", "Europe/Berlin", "from", "tz=UTC"),
        ("2024-09-29T10:00:01Z", "2024-05-01", "", "to", "not after"),
    ] {
        let fault = range(from, to, tz).expect_err(&format!("{from} {to} {tz}"));
        assert_eq!(fault.parameter, parameter, "{fault:?}");
        assert!(fault.detail.contains(words), "{fault:?}");
    }
}

#[test]
fn a_range_does_not_begin_before_the_retention() {
    let moment = Moment::new(NOW, Some(Duration::from_secs(45 * D as u64)));
    let period = |from| moment.period(texts(from, "", "")).expect("a range");
    assert_eq!(
        (period("1970-01-01").range.from_second, period("1970-01-01").clipped),
        (TODAY - 45 * D, true)
    );
    assert_eq!((period("-24h").range.from_second, period("-24h").clipped), (NOW - D - 56, false));
    let gone = moment.period(texts("1970-01-01", "1971-01-01", "")).expect("a range");
    assert!(gone.range.is_empty() && gone.clipped, "{gone:?}");
}

#[test]
fn the_period_before_has_the_same_length() {
    let compared = |from: &str, to: &str, tz: &str| {
        let period = moment().period(RangeTexts { compare: true, ..texts(from, to, tz) })?;
        let previous = period.previous.expect("asked for");
        Ok((previous.from_second, period.range.from_second, period.range.to_second))
    };
    // within the minutes, with both
    assert_eq!(compared("-1h", "", ""), Ok((NOW - 2 * H - 56 - 60, NOW - H - 56, NOW + 4)));
    // the day before reaches beyond them: both in quarter-hours
    let quarter = 1_727_699_400;
    assert_eq!(compared("-24h", "", ""), Ok((quarter - 2 * D - 900, quarter - D, quarter + 900)));
    // days of a zone are days, also where clocks change in between
    let berlin =
        |date: &str| Zone::parse("Europe/Berlin").expect("a zone").day_start(date.parse().expect("a date"));
    assert_eq!(
        compared("2024-09-16", "2024-09-23", "Europe/Berlin"),
        Ok((berlin("2024-09-09"), berlin("2024-09-16"), berlin("2024-09-23")))
    );
    let fault: Fault = compared("2024-05-01", "2024-09-01", "Europe/Berlin").expect_err("not kept");
    assert_eq!(fault.parameter, "compare");
}

fn buckets(from: &str, to: &str, tz: &str, granularity: &str) -> Result<Buckets, Fault> {
    let moment = moment();
    moment.buckets(&moment.period(texts(from, to, tz))?, Granularity::parse(granularity)?)
}

#[test]
fn auto_takes_the_finest_that_is_not_too_many_and_is_kept() {
    for (from, granularity) in [
        ("-15m", "1m"),
        ("-1h", "1m"),
        ("-12h", "1m"),
        ("-24h", "15m"),
        ("-7d", "15m"),
        ("-30d", "1h"),
        ("-60d", "1d"),
        ("-400d", "1d"),
        ("1970-01-01", "1d"),
    ] {
        assert_eq!(buckets(from, "", "", "auto").expect(from).granularity.name(), granularity, "{from}");
    }
    // the length would be minutes', but they are gone
    assert_eq!(buckets("-5d", "-119h", "", "auto").expect("kept").granularity.name(), "15m");
    assert_eq!(buckets("-200d", "-199d", "", "auto").expect("kept").granularity.name(), "1d");
}

#[test]
fn buckets_finer_than_what_is_kept_are_refused() {
    for (from, tz, granularity, words) in [
        ("-72h", "", "1m", "minutes are not kept"),
        ("-100d", "", "1h", "whole days (UTC)"),
        ("-100d", "", "15m", "whole days (UTC)"),
        ("-100d", "Europe/Berlin", "1d", "tz=UTC"),
        ("-100d", "Europe/Berlin", "auto", "tz=UTC"),
        ("-24h", "", "5m", "none of auto"),
        ("-24h", "", "", "none of auto"),
    ] {
        let fault = buckets(from, "", tz, granularity).expect_err(from);
        assert_eq!(fault.parameter, "granularity", "{fault:?}");
        assert!(fault.detail.contains(words), "{fault:?}");
    }
}

/// The bounds of a range as the clocks of its zone show them, at a moment soon after it.
fn on_the_clock(from: &str, to: &str, tz: &str, granularity: Granularity) -> Vec<String> {
    let zone = Zone::parse(tz).expect(tz);
    let end = zone.day_start(to.parse().expect("a date"));
    let moment = Moment::new(end, None);
    let period = moment.period(texts(from, to, tz)).expect("a range");
    let buckets = moment.buckets(&period, Some(granularity)).expect("kept");
    buckets.bounds.iter().map(|bound| zone.rfc3339(*bound)).collect()
}

#[test]
fn days_and_hours_follow_the_clock_when_it_changes() {
    let days = on_the_clock("2024-03-30", "2024-04-01", "Europe/Berlin", Granularity::Day);
    assert_eq!(days, ["2024-03-30T00:00:00+01:00", "2024-03-31T00:00:00+01:00", "2024-04-01T00:00:00+02:00"]);
    assert_eq!(on_the_clock("2024-03-31", "2024-04-01", "Europe/Berlin", Granularity::Hour).len(), 23 + 1);
    assert_eq!(on_the_clock("2024-10-27", "2024-10-28", "Europe/Berlin", Granularity::Hour).len(), 25 + 1);
    // midnight does not exist in Santiago on 2024-09-08, and comes twice in Havana on 2024-11-03 (at 1:00 it is 0:00 again)
    let days = on_the_clock("2024-09-08", "2024-09-09", "America/Santiago", Granularity::Day);
    assert_eq!(days, ["2024-09-08T01:00:00-03:00", "2024-09-09T00:00:00-03:00"]);
    let days = on_the_clock("2024-11-03", "2024-11-04", "America/Havana", Granularity::Day);
    assert_eq!(days, ["2024-11-03T00:00:00-04:00", "2024-11-04T00:00:00-05:00"]);
    // Lord Howe's clocks change by half an hour: the hours after it begin on the clock's hours again
    let hours = on_the_clock("2024-10-06", "2024-10-07", "Australia/Lord_Howe", Granularity::Hour);
    assert_eq!(
        (hours.len(), hours[1].as_str(), hours[2].as_str(), hours[3].as_str()),
        (24 + 1, "2024-10-06T01:00:00+10:30", "2024-10-06T02:30:00+11:00", "2024-10-06T03:00:00+11:00",)
    );
    // Samoa had no 2011-12-30
    let days = on_the_clock("2011-12-29", "2012-01-01", "Pacific/Apia", Granularity::Day);
    assert_eq!(days, ["2011-12-29T00:00:00-10:00", "2011-12-31T00:00:00+14:00", "2012-01-01T00:00:00+14:00"]);
    // a zone that is 5:45 ahead has its hours at quarter-hours of UTC
    let hours = on_the_clock("2024-09-29", "2024-09-30", "Asia/Kathmandu", Granularity::Hour);
    assert_eq!((hours.len(), hours[1].as_str()), (25, "2024-09-29T01:00:00+05:45"));
}

#[test]
fn lists_of_percentiles() {
    let shown = |text: &str| {
        percentiles(text).map(|list| list.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
    };
    assert_eq!(shown("50,95,99,99.9"), Ok("50 95 99 99.9".to_owned()));
    assert_eq!(shown(PERCENTILES_DEFAULT), Ok("50 95 99".to_owned()));
    assert_eq!(shown("100,0"), Ok("100 0".to_owned()));
    for text in ["", ",", "50,", "p50", "50,50", "50,50.0", "101", "50 95", "-1"] {
        assert_eq!(shown(text).expect_err(text).parameter, "percentiles");
    }
    let many: Vec<String> = (0..21).map(|number| number.to_string()).collect();
    assert!(percentiles(&many.join(",")).is_err() && percentiles(&many[..20].join(",")).is_ok());
}

#[test]
fn words() {
    assert_eq!(["null", "zero", "none"].map(Fill::parse), [Ok(Fill::Null), Ok(Fill::Zero), Ok(Fill::None)]);
    assert_eq!([compare("previous"), compare("none")], [Ok(true), Ok(false)]);
    assert!(Fill::parse("Null").is_err() && compare("").is_err() && Granularity::parse("1M").is_err());
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        ".{0,30}",
        "-[0-9]{0,12}[smhdwy]?",
        "[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2}))?",
        Just("now".to_owned()),
    ]
}

fn any_zone() -> impl Strategy<Value = Zone> {
    prop::sample::select(chrono_tz::TZ_VARIANTS.to_vec())
        .prop_map(|tz| Zone::parse(tz.name()).expect("its own name"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn no_text_makes_the_grammar_panic_and_every_range_can_be_told(
        from in any_text(), to in any_text(), zone in any_zone(), compare: bool, granularity in prop::sample::select(vec!["auto", "1m", "15m", "1h", "1d"]),
    ) {
        let moment = moment();
        let texts = RangeTexts { from: Some(&from), to: Some(&to), tz: Some(zone.name()), compare };
        if let Ok(period) = moment.period(texts) {
            let TimeRange { from_second, to_second } = period.range;
            prop_assert!(from_second <= to_second);
            prop_assert!(tile_stretches(&[from_second, to_second], moment.kept()).is_ok());
            if let Some(previous) = period.previous {
                prop_assert_eq!(previous.to_second, from_second);
                prop_assert!(tile_stretches(&[previous.from_second, previous.to_second], moment.kept()).is_ok());
            }
            if let Ok(buckets) = moment.buckets(&period, Granularity::parse(granularity).expect("known")) {
                prop_assert!(buckets.bounds.is_sorted_by(|a, b| a < b));
                prop_assert!(buckets.bounds[0] <= from_second && *buckets.bounds.last().expect("one") >= to_second);
                prop_assert!(tile_stretches(&buckets.bounds, moment.kept()).is_ok());
            }
        }
    }

    #[test]
    fn days_of_every_zone_join(zone in any_zone(), day in 0_i64..30_000) {
        let date = chrono::NaiveDate::default() + chrono::Days::new(day.unsigned_abs());
        let start = zone.day_start(date);
        let next = zone.day_start(date.succ_opt().expect("a next day"));
        // A skipped day has no length; no day has more than 48 hours or, if it is there, less than 20.
        prop_assert!(next >= start && next - start <= 48 * H);
        if next > start {
            prop_assert_eq!(zone.date_of(start), date);
            prop_assert_eq!(zone.date_of(next - 1), date);
            prop_assert!(zone.date_of(start - 1) < date);
        }
    }
}

#[test]
fn before_a_store_without_minutes_only_short_ranges_are_told_to_the_minute() {
    let moment = moment().without_minutes();
    let quarter = NOW - NOW.rem_euclid(900);
    for (from, compare, expected, minutes, granularity) in [
        ("-15m", false, (NOW - 15 * 60 - 56, NOW - 56 + 60), true, Granularity::Minute),
        ("-1h", false, (quarter - H, quarter + 900), true, Granularity::Minute),
        ("-12h", false, (quarter - 12 * H, quarter + 900), false, Granularity::Quarter),
        ("", true, (quarter - D, quarter + 900), false, Granularity::Quarter),
        ("-7d", false, (1_727_094_600, quarter + 900), false, Granularity::Quarter),
    ] {
        let texts = RangeTexts { compare, ..texts(from, "", "") };
        let period = moment.period(texts).unwrap_or_else(|fault| panic!("{from}: {fault:?}"));
        let TimeRange { from_second, to_second } = period.range;
        assert_eq!((from_second, to_second), expected, "{from}");
        assert_eq!(moment.has_minutes(period.range), minutes, "{from}");
        let buckets = moment.buckets(&period, None).unwrap_or_else(|fault| panic!("{from}: {fault:?}"));
        assert_eq!(buckets.granularity, granularity, "{from}");
        let asked = moment.buckets(&period, Some(Granularity::Minute)).map(|buckets| buckets.granularity);
        assert_eq!(
            asked.ok(),
            (from != "-7d").then_some(Granularity::Minute),
            "{from}: when it is asked for"
        );
    }
}
