//! Reading merged values as types: what a program does with its list. No source is touched here.

use super::declare::{Kind, Setting};
use super::form;
use super::load::{Exit, Loaded, Value};
use super::show;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// One thing wrong with the settings, as one line for people. Secrets never enter it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault(String);

/// Reads settings as types and collects every fault. A getter always returns: after a fault its result is a stand-in
/// (the default), and [`Reader::finish`] then gives the faults instead of letting the program start.
///
/// A name that the program has not declared, or a getter that does not fit the declared kind, is a mistake of the
/// program and panics.
#[derive(Debug)]
pub struct Reader<'a> {
    loaded: &'a Loaded,
    faults: Vec<Fault>,
    read: BTreeSet<&'static str>,
}

impl Fault {
    pub(super) fn new(text: String) -> Self {
        Self(text)
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(loaded: &'a Loaded) -> Self {
        Self { loaded, faults: loaded.faults.clone(), read: BTreeSet::new() }
    }

    /// The merged settings that are being read.
    pub fn loaded(&self) -> &'a Loaded {
        self.loaded
    }

    /// A [`Kind::Whole`] with a default.
    pub fn whole(&mut self, name: &str) -> u64 {
        self.defaulted(name, |kind, text| match kind {
            Kind::Whole { min, max } => Some(form::whole(text, *min, *max)),
            _ => None,
        })
    }
    /// A [`Kind::Seconds`] with a default.
    pub fn seconds(&mut self, name: &str) -> Duration {
        self.defaulted(name, |kind, text| match kind {
            Kind::Seconds { max } => Some(form::seconds(text, *max)),
            _ => None,
        })
    }
    /// A [`Kind::Flag`] with a default.
    pub fn flag(&mut self, name: &str) -> bool {
        self.defaulted(name, |kind, text| matches!(kind, Kind::Flag).then(|| form::flag(text)))
    }
    /// A [`Kind::Address`] with a default.
    pub fn address(&mut self, name: &str) -> SocketAddr {
        self.defaulted(name, |kind, text| matches!(kind, Kind::Address).then(|| form::address(text)))
    }
    /// A [`Kind::Age`]; none when it is `0` or not given.
    pub fn age(&mut self, name: &str) -> Option<Duration> {
        self.optional(name, |kind, text| matches!(kind, Kind::Age).then(|| form::age(text))).flatten()
    }
    /// A [`Kind::Path`] with a default.
    pub fn path(&mut self, name: &str) -> PathBuf {
        self.defaulted(name, |kind, text| matches!(kind, Kind::Path).then(|| Some(PathBuf::from(text))))
    }
    /// A [`Kind::List`]; empty when not given.
    pub fn list(&mut self, name: &str) -> Vec<String> {
        let list = |text: &str| Some(form::list(text)).filter(|list| !list.is_empty());
        self.optional(name, |kind, text| matches!(kind, Kind::List).then(|| list(text))).unwrap_or_default()
    }
    /// A [`Kind::OneOf`] with a default: the word as it is declared.
    pub fn one_of(&mut self, name: &str) -> &'static str {
        self.defaulted(name, |kind, text| match kind {
            Kind::OneOf(words) => Some(form::one_of(text, words)),
            _ => None,
        })
    }
    /// The text of a setting of any kind, if it has a value; a value that does not fit the kind is a fault.
    pub fn text(&mut self, name: &str) -> Option<String> {
        self.optional(name, |kind, text| Some(kind.fits(text).then(|| text.to_owned())))
    }
    /// The text of a setting that must be given; `why` completes "expected a value, …".
    pub fn required(&mut self, name: &str, why: &str) -> String {
        let text = self.text(name);
        if text.is_none() && !self.has_value(name) {
            self.faults
                .push(Fault(format!("{} is not set: expected a value, {why}", self.setting(name).name)));
        }
        text.unwrap_or_default()
    }
    /// A setting of any kind in a form of the program's own; what is expected is what its kind says.
    pub fn parse<T>(&mut self, name: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.optional(name, |_, text| Some(parse(text)))
    }

    /// Where the value comes from (`environment`, …, `default`); none when there is no value.
    pub fn origin(&self, name: &str) -> Option<&str> {
        self.value(self.setting(name)).map(|value| value.origin.as_str())
    }
    /// Reports a fault that only the program can see, for instance two settings that contradict each other.
    pub fn fault(&mut self, name: &str, expected: &str) {
        let setting = self.setting(name);
        let fault = match self.value(setting) {
            Some(value) => fault(setting, value, expected),
            None => Fault(format!("{} is not set: expected {expected}", setting.name)),
        };
        self.faults.push(fault);
    }
    /// Settings that are declared and were not read: dead knobs. A program's unit test expects none.
    pub fn unread(&self) -> Vec<&'static str> {
        let declared = self.loaded.program.settings.iter().map(|setting| setting.name);
        declared.filter(|name| !self.read.contains(name)).collect()
    }

    /// Ends the reading: all faults at once, or the answer to `--print-config`, or leave to go on.
    pub fn finish(mut self) -> Result<(), Exit> {
        for name in self.unread() {
            self.text(name);
        }
        let mut exit = Exit::default();
        if self.loaded.print_config {
            exit.out = self.loaded.print_config();
        }
        if self.loaded.print_config || !self.faults.is_empty() {
            // Nothing will log them any more, and a slip in a name may be the cause of a fault.
            exit.err = self.loaded.warnings().iter().map(|warning| format!("warning: {warning}\n")).collect();
        }
        if !self.faults.is_empty() {
            exit.code = 2;
            exit.err += &format!(
                "{}: {} wrong:\n",
                self.loaded.program.name,
                match self.faults.len() {
                    1 => "a setting is".to_owned(),
                    count => format!("{count} settings are"),
                }
            );
            exit.err.extend(self.faults.iter().map(|fault| format!("  {fault}\n")));
            exit.err += &format!("See {} --help\n", self.loaded.program.name);
        }
        if self.loaded.print_config || exit.code != 0 { Err(exit) } else { Ok(()) }
    }

    fn setting(&self, name: &str) -> &'static Setting {
        let program = self.loaded.program;
        let declared = program.settings.iter().find(|setting| setting.name == name);
        declared.unwrap_or_else(|| panic!("{name} is not in the settings list of {}", program.name))
    }
    fn value(&self, setting: &Setting) -> Option<&'a Value> {
        self.loaded.values.get(setting.name)
    }
    fn has_value(&self, name: &str) -> bool {
        self.loaded.values.contains_key(name)
    }

    fn optional<T>(&mut self, name: &str, form: impl Fn(&Kind, &str) -> Option<Option<T>>) -> Option<T> {
        let setting = self.setting(name);
        self.read.insert(setting.name);
        let parse = |text: &str| {
            form(&setting.kind, text).unwrap_or_else(|| panic!("{name} is declared as {:?}", setting.kind))
        };
        let value = self.value(setting)?;
        parse(&value.text).or_else(|| {
            self.faults.push(fault(setting, value, &setting.kind.expected()));
            setting.default.and_then(parse)
        })
    }
    fn defaulted<T>(&mut self, name: &str, form: impl Fn(&Kind, &str) -> Option<Option<T>>) -> T {
        self.optional(name, form).unwrap_or_else(|| {
            panic!("{name} has no default that fits its kind: declare one, or use text() or parse()")
        })
    }
}

/// `NAME=value (from source): expected …`, secrets masked.
fn fault(setting: &Setting, value: &Value, expected: &str) -> Fault {
    let shown = show::shorten(&show::without_secrets(setting, &value.text));
    Fault(format!("{}={shown} (from {}): expected {expected}", value.spelled, value.origin))
}
