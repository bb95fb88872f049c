//! The command line: flags made from the settings list, help text, subcommands of the program. No other source enters.

use super::declare::{Kind, Program, Setting};
use super::form;
use clap::{Arg, ArgAction, ArgMatches, Command};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;

pub(super) const PRINT_CONFIG: &str = "print-config";
pub(super) const PRINT_TABLE: &str = "print-settings-table";

/// The flag of a setting's name: `LOG_FILE_PATH` -> `log-file-path`.
pub(super) fn flag_name(name: &str) -> String {
    name.to_ascii_lowercase().replace('_', "-")
}

/// The command with every setting as a flag, before or after a subcommand.
pub(super) fn command(program: &Program, extend: impl FnOnce(Command) -> Command) -> Command {
    let mut command = Command::new(program.name)
        .about(program.about)
        .version(program.version)
        .after_help(after_help(program))
        .next_help_heading("Settings");
    for setting in program.settings {
        let names = |suffix: &str| setting.names().map(|name| flag_name(name) + suffix).collect::<Vec<_>>();
        let arg = |id: String, long: String, aliases: Vec<String>| {
            Arg::new(id)
                .long(long)
                .aliases(aliases)
                .action(ArgAction::Append)
                .allow_negative_numbers(true)
                .next_line_help(true)
                .global(true)
        };
        let plain = names("");
        command = command.arg(
            arg(setting.name.to_owned(), plain[0].clone(), plain[1..].to_vec())
                .value_name(value_name(&setting.kind))
                .help(wrapped(&help_of(setting))),
        );
        if setting.secret {
            let files = names("-file");
            command = command.arg(
                arg(format!("{}_FILE", setting.name), files[0].clone(), files[1..].to_vec())
                    .value_name("PATH")
                    .help("a file that holds it"),
            );
        }
    }
    let report = |name: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue).global(true);
    extend(
        command
            .next_help_heading(None)
            .arg(report(PRINT_CONFIG).help("Print every setting with its value and its source, then exit"))
            .arg(report(PRINT_TABLE).hide(true)),
    )
}

/// What the command line says about settings, under their environment names.
pub(super) fn given(program: &Program, matches: &ArgMatches) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    for setting in program.settings {
        let file = setting.secret.then(|| format!("{}_FILE", setting.name));
        for id in std::iter::once(setting.name.to_owned()).chain(file) {
            let Some(values) = matches.get_many::<String>(&id) else { continue };
            let values: Vec<&str> = values.map(String::as_str).collect();
            let text = match setting.kind {
                Kind::List => values.join(","),
                _ => values.last().copied().unwrap_or_default().to_owned(),
            };
            names.insert(id, text);
        }
    }
    names
}

/// Lets a true/false flag stand alone: `--x` becomes `--x=true` unless a true/false word follows.
pub(super) fn complete_flags(program: &Program, args: &[OsString]) -> Vec<OsString> {
    let flags: Vec<String> = program
        .settings
        .iter()
        .filter(|setting| matches!(setting.kind, Kind::Flag))
        .flat_map(|setting| setting.names().map(|name| format!("--{}", flag_name(name))))
        .collect();
    let mut completed = Vec::with_capacity(args.len());
    let mut open = true;
    for (index, arg) in args.iter().enumerate() {
        open = open && arg != "--";
        let is_flag = open && arg.to_str().is_some_and(|arg| flags.iter().any(|flag| flag == arg));
        let next = args.get(index + 1).and_then(|next| next.to_str());
        if is_flag && next.and_then(form::flag).is_none() {
            let mut whole = arg.clone();
            whole.push("=true");
            completed.push(whole);
        } else {
            completed.push(arg.clone());
        }
    }
    completed
}

/// What a setting is for, the form of its value, and its default.
fn help_of(setting: &Setting) -> String {
    let default = setting.default.filter(|default| !default.is_empty());
    let default = default.map(|default| format!("; default: {default}")).unwrap_or_default();
    format!("{} [{}{default}]", setting.help, setting.kind.expected())
}

/// Breaks a text into lines that fit a terminal of 100 columns behind the indent of the help.
fn wrapped(text: &str) -> String {
    let mut lines = String::new();
    let mut width = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if width > 0 && width + 1 + length > 88 {
            lines.push('\n');
            width = 0;
        } else if width > 0 {
            lines.push(' ');
            width += 1;
        }
        lines.push_str(word);
        width += length;
    }
    lines
}

fn value_name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Whole { .. } => "NUMBER",
        Kind::Seconds { .. } => "SECONDS",
        Kind::Flag => "BOOL",
        Kind::Address => "ADDRESS",
        Kind::Age => "SPAN",
        Kind::Path => "PATH",
        Kind::List => "LIST",
        Kind::OneOf(_) => "WORD",
        Kind::Text(_) => "TEXT",
        Kind::Url(_) => "URL",
    }
}

fn after_help(program: &Program) -> String {
    let mut text = String::from(
        "Each setting can be given as a flag, as a variable of the environment (--log-seed is LOG_SEED), as a line\n\
         NAME=value of .env.local (or of the file that ENV_FILE names), or as a key of tailgauge.toml: the first that\n\
         gives it wins. An empty value means the default.\n",
    );
    if !program.examples.is_empty() {
        text.push_str("\nExamples:\n");
        for (line, meaning) in program.examples {
            writeln!(text, "  {line}\n      {meaning}").expect("a String takes any text");
        }
    }
    text.push_str("\nExit codes:\n");
    for (code, meaning) in program.exit_codes {
        writeln!(text, "  {code}  {meaning}").expect("a String takes any text");
    }
    text.trim_end().to_owned()
}
