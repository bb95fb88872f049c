//! Loading: takes arguments, environment and files, and merges them. The one place of ours that reads `std::env` (S1).

use super::command_line::{self, PRINT_CONFIG, PRINT_TABLE};
use super::declare::{Program, Setting};
use super::layers::{self, Layer};
use super::read::{Fault, Reader};
use super::show;
use clap::{ArgMatches, Command};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Everything from outside that settings depend on; tests give their own. Its `Debug` shows no values: there are secrets.
#[derive(Clone, Default)]
pub struct Inputs {
    /// The command line, the program's name first.
    pub args: Vec<OsString>,
    /// The environment. What is not UTF-8 stands there with replacement characters, and is a fault in a setting of ours.
    pub environment: BTreeMap<String, String>,
    /// The working folder: `.env.local` and `tailgauge.toml` are looked for here.
    pub folder: PathBuf,
    /// Whether stderr is a terminal.
    pub stderr_is_terminal: bool,
}

/// The merged settings of one start, before they are read as types.
pub struct Loaded {
    pub(super) program: &'static Program,
    pub(super) values: BTreeMap<&'static str, Value>,
    pub(super) faults: Vec<Fault>,
    pub(super) print_config: bool,
    pub(super) inputs: Inputs,
    warnings: Vec<String>,
    matches: ArgMatches,
}

/// A setting's value and where it came from. No `Debug`: it may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Value {
    pub(super) text: String,
    /// `environment`, `.env.local`, …, `default`.
    pub(super) origin: String,
    /// The name under which it was given.
    pub(super) spelled: String,
}

/// A reason to end before the work begins: help was asked for, or a setting is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exit {
    /// The exit code.
    pub code: u8,
    /// What goes to stdout.
    pub out: String,
    /// What goes to stderr.
    pub err: String,
}

impl Inputs {
    /// Those of this process.
    pub fn of_process() -> Self {
        let lossy = |text: OsString| text.to_string_lossy().into_owned();
        Self {
            args: std::env::args_os().collect(),
            environment: std::env::vars_os().map(|(name, value)| (lossy(name), lossy(value))).collect(),
            folder: PathBuf::from("."),
            stderr_is_terminal: io::stderr().is_terminal(),
        }
    }
}

impl Program {
    /// Loads the settings of this process; the program has no subcommands.
    pub fn load(&'static self) -> Result<Loaded, Exit> {
        self.load_with(Inputs::of_process(), |command| command)
    }

    /// Loads settings from the given inputs. `extend` adds the program's own subcommands and flags to the command line;
    /// the settings' flags may stand before or after a subcommand.
    pub fn load_with(
        &'static self,
        inputs: Inputs,
        extend: impl FnOnce(Command) -> Command,
    ) -> Result<Loaded, Exit> {
        let args = command_line::complete_flags(self, &inputs.args);
        let matches = command_line::command(self, extend).try_get_matches_from(args).map_err(|error| {
            let text = error.render().to_string();
            if error.use_stderr() { Exit::usage(text) } else { Exit { out: text, ..Exit::default() } }
        })?;
        if matches.get_flag(PRINT_TABLE) {
            return Err(Exit { out: show::markdown_table(self.settings), ..Exit::default() });
        }
        let (mut faults, mut warnings) = (Vec::new(), Vec::new());
        let layers = self.layers(&inputs, &matches, &mut faults, &mut warnings);
        let values = self.values(&layers, &inputs.folder, &mut faults);
        let print_config = matches.get_flag(PRINT_CONFIG);
        Ok(Loaded { program: self, values, faults, print_config, inputs, warnings, matches })
    }

    /// All sources but the default, the weakest first.
    fn layers(
        &'static self,
        inputs: &Inputs,
        matches: &ArgMatches,
        faults: &mut Vec<Fault>,
        warnings: &mut Vec<String>,
    ) -> Vec<Layer> {
        let mut layers = Vec::new();
        let toml = "tailgauge.toml";
        if let Some(text) = read_optional(&inputs.folder.join(toml), toml, false, faults) {
            let names = layers::from_toml(toml, &text, faults, warnings);
            layers.push(Layer::new(toml, self.settings, names, faults));
        }
        let asked = inputs.environment.get("ENV_FILE").map(String::as_str);
        let env_file = asked.unwrap_or(".env.local");
        let path = inputs.folder.join(env_file);
        if !env_file.is_empty()
            && let Some(text) = read_optional(&path, env_file, asked.is_some(), faults)
        {
            let names = layers::from_env_file(env_file, &text, faults, warnings);
            layers.push(Layer::new(env_file, self.settings, names, faults));
        }
        layers::warn_slips(inputs.environment.keys(), warnings);
        let is_broken = |name: &&str| {
            inputs.environment.get(*name).is_some_and(|value| value.contains(char::REPLACEMENT_CHARACTER))
        };
        for name in self.settings.iter().flat_map(Setting::names).filter(is_broken) {
            faults.push(Fault::new(format!("{name} (from environment): expected UTF-8")));
        }
        layers.push(Layer::new("environment", self.settings, inputs.environment.clone(), faults));
        layers.push(Layer::new("command line", self.settings, command_line::given(self, matches), faults));
        layers
    }

    /// The winning values: an empty one gives way to the default, a named file is read.
    fn values(
        &'static self,
        layers: &[Layer],
        folder: &Path,
        faults: &mut Vec<Fault>,
    ) -> BTreeMap<&'static str, Value> {
        let mut merged = layers::merge(layers).unwrap_or_else(|error| {
            faults.push(Fault::new(format!("the settings cannot be merged: {error}")));
            BTreeMap::new()
        });
        let default = |setting: &Setting| {
            let text = setting.default?.to_owned();
            Some(Value { text, origin: "default".to_owned(), spelled: setting.name.to_owned() })
        };
        let mut values = BTreeMap::new();
        for setting in self.settings {
            let value = match merged.remove(setting.name) {
                Some((origin, given)) if given.in_file => {
                    let text = read_secret(&folder.join(&given.text), &given.spelled, &origin, faults);
                    Some(Value {
                        text,
                        origin: format!("{origin}, {}", given.spelled),
                        spelled: setting.name.to_owned(),
                    })
                }
                Some((origin, given)) if !given.text.is_empty() => {
                    Some(Value { text: given.text, origin, spelled: given.spelled })
                }
                _ => default(setting),
            };
            if let Some(value) = value {
                values.insert(setting.name, value);
            }
        }
        values
    }
}

impl Loaded {
    /// Reads the values as types, collecting all faults.
    pub fn reader(&self) -> Reader<'_> {
        Reader::new(self)
    }
    /// The subcommands and flags that the program added.
    pub fn matches(&self) -> &ArgMatches {
        &self.matches
    }
    /// Names that look like settings and are none. Log them once telemetry is up.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
    /// Logs the warnings.
    pub fn log_warnings(&self) {
        for warning in &self.warnings {
            tracing::warn!("{warning}");
        }
    }
    /// What the settings were loaded from.
    pub fn inputs(&self) -> &Inputs {
        &self.inputs
    }
    /// Whether stderr is a terminal.
    pub fn stderr_is_terminal(&self) -> bool {
        self.inputs.stderr_is_terminal
    }
    /// All settings as `NAME=value` lines with their sources, secrets masked.
    pub fn print_config(&self) -> String {
        show::print_config(self)
    }
}

impl fmt::Debug for Inputs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Inputs").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl fmt::Debug for Loaded {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Loaded {{\n{}}}", self.print_config())
    }
}

impl Exit {
    /// A wrong use of the program: the text goes to stderr, the exit code is 2.
    pub fn usage(text: impl Into<String>) -> Self {
        Self { code: 2, err: text.into(), ..Self::default() }
    }

    /// Prints both texts and gives the exit code. A reader that has gone away is no fault.
    pub fn print(&self) -> ExitCode {
        let printed = io::stdout().write_all(self.out.as_bytes()).and_then(|()| io::stdout().flush());
        let complained = io::stderr().write_all(self.err.as_bytes());
        match printed.and(complained) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
            _ => ExitCode::from(self.code),
        }
    }
}

/// A file's text; `None` when there is none and none was asked for.
fn read_optional(path: &Path, shown: &str, asked: bool, faults: &mut Vec<Fault>) -> Option<String> {
    match std::fs::read_to_string(path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound && !asked => None,
        Err(error) => {
            let by = if asked { " (named by ENV_FILE)" } else { "" };
            faults.push(Fault::new(format!("{shown}{by}: expected a readable text file: {error}")));
            None
        }
    }
}

/// The secret that a file holds, without the newline that editors put at its end.
fn read_secret(path: &Path, name: &str, origin: &str, faults: &mut Vec<Fault>) -> String {
    let fault =
        |what: String| Fault::new(format!("{name}={} (from {origin}): expected {what}", path.display()));
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let secret = text.trim_end_matches(['\r', '\n']).to_owned();
            if secret.is_empty() {
                faults.push(fault("a file with a value in it".to_owned()));
            }
            secret
        }
        Err(error) => {
            faults.push(fault(format!("a readable file that holds the value: {error}")));
            String::new()
        }
    }
}
