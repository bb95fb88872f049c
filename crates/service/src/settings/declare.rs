//! The declaration of a setting and of a program: data only. Neither sources nor values enter here.

use super::form;

/// One setting of a program: the single place that says its name, form, default and meaning.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The name in the environment and in files, for instance `LOG_FILE_PATH`; the flag is `--log-file-path`.
    pub name: &'static str,
    /// Older or foreign names for the same thing. Within one source the name itself wins.
    pub aliases: &'static [&'static str],
    /// The form of its value.
    pub kind: Kind,
    /// The value when no source gives one.
    pub default: Option<&'static str>,
    /// What it is for: a phrase for `--help` and the README.
    pub help: &'static str,
    /// Its value is never shown, and `NAME_FILE` may name a file that holds it.
    pub secret: bool,
}

/// The form of a setting's value. From it come the check and the words "expected …", so that they cannot differ.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A whole number from `min` to `max`, both included.
    Whole {
        /// The least.
        min: u64,
        /// The greatest.
        max: u64,
    },
    /// Seconds from 0 to `max`, a fraction is fine.
    Seconds {
        /// The greatest.
        max: u64,
    },
    /// true or false, 1 or 0, yes or no.
    Flag,
    /// An IP address (or `localhost`) with a port.
    Address,
    /// An age such as `45d`: whole numbers with s, m, h, d or w; `0` is none.
    Age,
    /// A path of the file system.
    Path,
    /// Values separated by commas.
    List,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Any text; the program that reads it says what it expects.
    Text(&'static str),
    /// As `Text`, an address `http://…`. A user, a password or a query in it may be secret, and is never shown.
    Url(&'static str),
}

/// A program of ours as its user meets it.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// The binary's name.
    pub name: &'static str,
    /// One sentence: what it does.
    pub about: &'static str,
    /// Its version: `env!("CARGO_PKG_VERSION")`.
    pub version: &'static str,
    /// All its settings, in the order of `--help`.
    pub settings: &'static [Setting],
    /// A command and what it does.
    pub examples: &'static [(&'static str, &'static str)],
    /// Every exit code and its meaning.
    pub exit_codes: &'static [(u8, &'static str)],
}

impl Setting {
    /// A setting without default and aliases.
    pub const fn new(name: &'static str, kind: Kind, help: &'static str) -> Self {
        Self { name, aliases: &[], kind, default: None, help, secret: false }
    }
    /// With that default.
    pub const fn default(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }
    /// Also known under these names.
    pub const fn aliases(self, aliases: &'static [&'static str]) -> Self {
        Self { aliases, ..self }
    }
    /// Never shown; `NAME_FILE` may name a file that holds it.
    pub const fn secret(self) -> Self {
        Self { secret: true, ..self }
    }

    /// Its name and its aliases, in order of precedence.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }
}

impl Kind {
    /// What is expected, as it stands after the word "expected".
    pub fn expected(&self) -> String {
        match self {
            Kind::Whole { min, max: u64::MAX } => format!("a whole number from {min}"),
            Kind::Whole { min, max } => format!("a whole number from {min} to {max}"),
            Kind::Seconds { max } => format!("seconds from 0 to {max}, such as 1 or 0.25"),
            Kind::Flag => "true or false".to_owned(),
            Kind::Address => "an address with a port, such as 127.0.0.1:8000".to_owned(),
            Kind::Age => "a time span such as 45d, 12h or 1d12h (s, m, h, d, w), or 0 for none".to_owned(),
            Kind::Path => "a path".to_owned(),
            Kind::List => "values separated by commas".to_owned(),
            Kind::OneOf(words) => match words {
                [first, second] => format!("{first} or {second}"),
                _ => format!("one of {}", words.join(", ")),
            },
            Kind::Text(expected) | Kind::Url(expected) => (*expected).to_owned(),
        }
    }

    /// Whether a value has this form. `Text` and `Url` are checked by the program that reads it.
    pub(super) fn fits(&self, text: &str) -> bool {
        match self {
            Kind::Whole { min, max } => form::whole(text, *min, *max).is_some(),
            Kind::Seconds { max } => form::seconds(text, *max).is_some(),
            Kind::Flag => form::flag(text).is_some(),
            Kind::Address => form::address(text).is_some(),
            Kind::Age => form::age(text).is_some(),
            Kind::Path | Kind::Text(_) | Kind::Url(_) => true,
            Kind::List => !form::list(text).is_empty(),
            Kind::OneOf(words) => form::one_of(text, words).is_some(),
        }
    }
}

impl Program {
    /// What is wrong with the declaration itself, one sentence each; a program's unit test expects none.
    pub fn audit(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        for setting in self.settings {
            for name in setting.names() {
                if !seen.insert(name) {
                    complaints.push(format!("{name} is declared twice"));
                }
                if !super::known::is_known(name) {
                    complaints.push(format!("{name} is missing in service::settings::KNOWN"));
                }
            }
            if let Some(default) = setting.default
                && !setting.kind.fits(default)
            {
                complaints.push(format!("{}: the default {default:?} does not fit its kind", setting.name));
            }
            if setting.help.is_empty() {
                complaints.push(format!("{} has no help", setting.name));
            }
        }
        if !self.exit_codes.iter().any(|(code, _)| *code == 2) {
            complaints.push("exit code 2 (a setting is wrong) is not documented".to_owned());
        }
        complaints
    }
}
