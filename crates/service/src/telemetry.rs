//! Telemetry: tracing to stderr, its filter and its form. What is logged, and when, stays with the programs.

use crate::settings::{Kind, Reader, Setting};
use std::io;
use std::sync::Arc;
use tracing_subscriber::EnvFilter;

/// How much is logged; every program's list contains it.
pub const LOGGING_LEVEL: Setting = Setting::new(
    "LOGGING_LEVEL",
    Kind::Text("error, warn, info, debug, trace, off or a filter such as info,store=debug"),
    "how much is logged to stderr; RUST_LOG wins over it",
)
.default("info");

/// The form of log lines; every program's list contains it.
pub const LOG_FORMAT_JSON: Setting =
    Setting::new("LOG_FORMAT_JSON", Kind::Flag, "log one JSON object a line instead of text")
        .default("false");

/// How a program logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telemetry {
    filter: String,
    json: bool,
    colours: bool,
}

impl Telemetry {
    /// Reads [`LOGGING_LEVEL`] and [`LOG_FORMAT_JSON`], and RUST_LOG and NO_COLOR from the environment.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let inputs = reader.loaded().inputs();
        let given = |name: &str| inputs.environment.get(name).filter(|value| !value.is_empty());
        let level = reader.parse("LOGGING_LEVEL", filter_of).unwrap_or_else(|| "info".to_owned());
        Self {
            filter: given("RUST_LOG").cloned().unwrap_or(level),
            json: reader.flag("LOG_FORMAT_JSON"),
            colours: inputs.stderr_is_terminal && given("NO_COLOR").is_none(),
        }
    }

    /// Starts logging to stderr. A second call, or a subscriber of a test, leaves the first in place.
    pub fn init(&self) {
        self.init_around(|write| write());
    }

    /// The same, with every write handed to `around`, which must call it: whoever draws on the terminal clears its place first.
    pub fn init_around(&self, around: impl Fn(&mut dyn FnMut()) + Send + Sync + 'static) {
        let around = Arc::new(around);
        let builder = tracing_subscriber::fmt()
            .with_writer(move || Stderr { around: around.clone() })
            .with_env_filter(EnvFilter::new(&self.filter))
            .with_ansi(self.colours);
        // The only failure is that logging is already set up, which is what was wanted.
        let started =
            if self.json { builder.json().flatten_event(true).try_init() } else { builder.try_init() };
        drop(started);
    }
}

/// Stderr, each write in the care of a function.
struct Stderr<F> {
    around: Arc<F>,
}

impl<F: Fn(&mut dyn FnMut())> io::Write for Stderr<F> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut result = Ok(());
        (self.around)(&mut || result = io::stderr().write_all(line));
        result.map(|()| line.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// The filter that a LOGGING_LEVEL means. A single word must be a level: the filter language would take any other
/// word as the name of a module and log that one alone. The names of Python's levels are understood.
fn filter_of(text: &str) -> Option<String> {
    let word = text.trim().to_ascii_lowercase();
    match word.as_str() {
        "error" | "warn" | "info" | "debug" | "trace" | "off" => Some(word),
        "warning" => Some("warn".to_owned()),
        "critical" | "fatal" => Some("error".to_owned()),
        _ if text.contains(['=', ',']) => EnvFilter::try_new(text).ok().map(|_| text.to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_a_level_or_a_filter() {
        for (text, expected) in [
            ("info", Some("info")),
            ("INFO", Some("info")),
            ("WARNING", Some("warn")),
            ("CRITICAL", Some("error")),
            ("warn,store=debug", Some("warn,store=debug")),
            ("loud", None),
            ("store=loud", None),
            ("", None),
        ] {
            assert_eq!(filter_of(text).as_deref(), expected, "{text:?}");
        }
    }
}
