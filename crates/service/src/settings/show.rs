//! Settings as text for people: `--print-config`, the README table. No source is touched here.

use super::declare::Setting;
use super::load::Loaded;
use std::fmt::Write as _;

/// What stands for a secret.
pub(super) const MASK: &str = "***";

/// A value in a message: without control characters, and not longer than a line can bear.
pub(super) fn shorten(text: &str) -> String {
    let mut shown: String = text.chars().take(120).flat_map(char::escape_debug).collect();
    if text.chars().count() > 120 {
        shown.push('…');
    }
    // escape_debug also escapes quotes, which stand for themselves here.
    shown.replace("\\\"", "\"").replace("\\'", "'")
}

/// One line a setting, `NAME=value  # source`: again a valid `.env.local`, but for the masked secrets.
pub(super) fn print_config(loaded: &Loaded) -> String {
    let mut text = String::new();
    for setting in loaded.program.settings {
        let line = match loaded.values.get(setting.name) {
            Some(value) if setting.secret => format!("{}={MASK}  # {}", setting.name, value.origin),
            Some(value) => format!("{}={}  # {}", setting.name, quoted(&value.text), value.origin),
            None => format!("{}=  # not set", setting.name),
        };
        writeln!(text, "{line}").expect("a String takes any text");
    }
    text
}

fn quoted(text: &str) -> String {
    let plain = |letter: char| letter.is_ascii_graphic() && !matches!(letter, '"' | '\'' | '#' | '\\');
    if text.chars().all(plain) {
        return text.to_owned();
    }
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\t', "\\t");
    format!("\"{escaped}\"")
}

/// A settings list as a Markdown table, for the README; a test keeps both in step.
pub fn markdown_table(settings: &[Setting]) -> String {
    let mut text = String::from("| setting | default | meaning |\n|---|---|---|\n");
    for setting in settings {
        let default = match setting.default {
            Some(default) if !default.is_empty() => format!("`{default}`"),
            _ => String::new(),
        };
        let mut names = format!("`{}`", setting.name);
        for alias in setting.aliases {
            write!(names, ", `{alias}`").expect("a String takes any text");
        }
        if setting.secret {
            write!(names, ", `{}_FILE`", setting.name).expect("a String takes any text");
        }
        let meaning = format!("{} ({})", setting.help, setting.kind.expected()).replace('|', "\\|");
        writeln!(text, "| {names} | {default} | {meaning} |").expect("a String takes any text");
    }
    text
}
