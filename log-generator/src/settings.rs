//! The generator's settings: their declaration, and the checked values.

use crate::pace::Pace;
use crate::traffic::Profile;
use chrono::{DateTime, NaiveDateTime};
use service::{Exit, Kind, Loaded, Program, Reader, Setting, Telemetry};
use std::path::PathBuf;

/// The generator as its user meets it.
pub(crate) static PROGRAM: Program = Program {
    name: "log-generator",
    about: "Appends synthetic API-request lines to a log file at a set rate",
    version: env!("CARGO_PKG_VERSION"),
    settings: &[
        Setting::new("LOG_FILE_PATH", Kind::List, "the log; the generator writes to the first path, without a source= before it")
            .default("data/api_requests.log"),
        Setting::new("LOG_BATCH_SIZE", Kind::Whole { min: 1, max: u64::MAX }, "lines per interval").default("100"),
        Setting::new(
            "LOG_INTERVAL_SECONDS",
            Kind::Seconds { max: 86_400 },
            "the interval; lost time is made up; 0 = as fast as it can",
        )
        .default("1"),
        Setting::new("MAX_LOGS_TO_GENERATE", Kind::Whole { min: 0, max: u64::MAX }, "stop after that many lines, history included; 0 = endless")
            .default("0"),
        Setting::new(
            "LOG_PROFILE",
            Kind::OneOf(&["realistic", "seed"]),
            "realistic: unequal customers, busy hours, incidents, times are now; seed: all drawn evenly, times in the past 30 days",
        )
        .default("realistic"),
        Setting::new("LOG_SEED", Kind::Whole { min: 0, max: u64::MAX }, "the same seed makes the same traffic").default("42"),
        Setting::new(
            "LOG_BACKFILL_DAYS",
            Kind::Whole { min: 0, max: 3650 },
            "history written first, in time order, if the log is empty: 20,000 lines a day, 1,000,000 at most",
        )
        .default("0"),
        Setting::new(
            "LOG_ROTATE_BYTES",
            Kind::Whole { min: 0, max: u64::MAX },
            "rename the log to .1 (.1 to .2, …) before it grows beyond that; 0 = never",
        )
        .default("0"),
        Setting::new(
            "LOG_START_TIME",
            Kind::Text("a time from 1971 to 2199 such as 2024-09-14T16:15:35Z or 2024-09-14 16:15:35 (UTC)"),
            "times go on from here by the pace instead of being now, so that the same settings make the same bytes",
        ),
        service::LOGGING_LEVEL,
        service::LOG_FORMAT_JSON,
    ],
    examples: &[
        ("log-generator", "100 lines a second to data/api_requests.log, until Ctrl-C"),
        ("log-generator --log-batch-size 50 --log-interval-seconds 0.05", "1,000 lines a second, fifty at a time"),
        ("log-generator --log-backfill-days 7", "a week of history first, then live"),
        (
            "log-generator --log-profile seed --log-interval-seconds 0 --max-logs-to-generate 1000000",
            "a million lines as fast as it can",
        ),
        ("LOG_ROTATE_BYTES=5000000 log-generator", "files of at most 5 MB: the log, .1, .2, …"),
    ],
    exit_codes: &[
        (0, "all lines are written, or a signal ended it on a whole line"),
        (1, "the log could not be written"),
        (2, "a setting is wrong"),
        (3, "a second signal ended it at once"),
    ],
};

/// The checked settings.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) log: PathBuf,
    /// Its `most` counts the history too.
    pub(crate) pace: Pace,
    pub(crate) profile: Profile,
    pub(crate) seed: u64,
    pub(crate) backfill_days: u64,
    /// `u64::MAX`: never.
    pub(crate) rotate_bytes: u64,
    /// Seconds since 1970; none: times are the clock's.
    pub(crate) start: Option<i64>,
    pub(crate) telemetry: Telemetry,
}

impl Settings {
    /// Reads them; all faults at once.
    pub(crate) fn read(loaded: &Loaded) -> Result<Self, Exit> {
        let mut reader = loaded.reader();
        let or_endless = |number: u64| if number == 0 { u64::MAX } else { number };
        let settings = Self {
            log: log_path(&mut reader),
            pace: Pace {
                batch: reader.whole("LOG_BATCH_SIZE"),
                interval: reader.seconds("LOG_INTERVAL_SECONDS"),
                most: or_endless(reader.whole("MAX_LOGS_TO_GENERATE")),
            },
            profile: match reader.one_of("LOG_PROFILE") {
                "seed" => Profile::Seed,
                _ => Profile::Realistic,
            },
            seed: reader.whole("LOG_SEED"),
            backfill_days: reader.whole("LOG_BACKFILL_DAYS"),
            rotate_bytes: or_endless(reader.whole("LOG_ROTATE_BYTES")),
            start: reader.parse("LOG_START_TIME", second_of),
            telemetry: Telemetry::read(&mut reader),
        };
        reader.finish()?;
        Ok(settings)
    }
}

/// The first path of the list that the processor follows, without its source's name.
fn log_path(reader: &mut Reader<'_>) -> PathBuf {
    let list = reader.list("LOG_FILE_PATH");
    let first = list.first().map_or("", String::as_str);
    let path = match first.split_once('=') {
        Some((source, path)) if !source.contains('/') => path,
        _ => first,
    };
    if path.is_empty() || path.ends_with('/') || path.contains(['*', '?']) {
        reader.fault(
            "LOG_FILE_PATH",
            "the path of one file first, not a pattern or a folder, since the generator writes to it",
        );
    }
    PathBuf::from(path)
}

/// Seconds since 1970 of a time in one of the two forms.
fn second_of(text: &str) -> Option<i64> {
    let zoned = DateTime::parse_from_rfc3339(text).map(|time| time.timestamp());
    let plain =
        || NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").map(|time| time.and_utc().timestamp());
    // From 1971, so that the 30 days before it are times too; to 2199, so that there is time after it.
    let years = 31_536_000..7_258_118_400;
    zoned.or_else(|_| plain()).ok().filter(|second| years.contains(second))
}

#[cfg(test)]
mod tests {
    use super::*;
    use service::Inputs;

    fn read(arguments: &[&str]) -> Result<Settings, Exit> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let args =
            std::iter::once("log-generator").chain(arguments.iter().copied()).map(Into::into).collect();
        let inputs = Inputs { args, folder: folder.path().to_owned(), ..Inputs::default() };
        Settings::read(&PROGRAM.load_with(inputs, |command| command)?)
    }

    #[test]
    fn the_declaration_is_sound_and_all_of_it_is_read() {
        assert_eq!(PROGRAM.audit(), Vec::<String>::new());
        let settings = read(&[]).expect("the defaults are right");
        assert_eq!(
            settings.pace,
            Pace { batch: 100, interval: std::time::Duration::from_secs(1), most: u64::MAX }
        );
        assert_eq!(settings.log, PathBuf::from("data/api_requests.log"));
        assert_eq!(
            (settings.rotate_bytes, settings.start, settings.profile),
            (u64::MAX, None, Profile::Realistic)
        );
    }

    #[test]
    fn the_log_is_the_first_path_without_its_source() {
        for (text, expected) in [
            ("a.log", "a.log"),
            ("web=a.log", "a.log"),
            ("web=/var/log/a.log,other=b.log", "/var/log/a.log"),
            ("/odd=name/a.log", "/odd=name/a.log"),
            ("dir/a=b.log", "dir/a=b.log"),
        ] {
            let settings = read(&["--log-file-path", text]).expect("a right path");
            assert_eq!(settings.log, PathBuf::from(expected), "{text}");
        }
        for text in ["logs/*.log", "web=", "logs/", "a?.log"] {
            assert_eq!(read(&["--log-file-path", text]).expect_err("no file's path").code, 2, "{text}");
        }
    }

    #[test]
    fn start_times() {
        for (text, expected) in [
            ("2024-09-14 16:15:35", Some(1_726_330_535)),
            ("2024-09-14T16:15:35Z", Some(1_726_330_535)),
            ("2024-09-14T18:15:35.9+02:00", Some(1_726_330_535)),
            ("2024-09-14", None),
            ("1970-06-01 00:00:00", None),
            ("2200-01-01 00:00:00", None),
            ("2024-02-30 00:00:00", None),
            ("now", None),
        ] {
            assert_eq!(second_of(text), expected, "{text}");
        }
    }
}
