//! Settings as text for people: `--print-config`, the README table. No source is touched here.

use super::declare::{Kind, Setting};
use super::load::Loaded;
use std::borrow::Cow;
use std::fmt::Write as _;

/// What stands for a secret.
const MASK: &str = "***";

/// A value as it may be shown.
pub(super) fn without_secrets<'a>(setting: &Setting, text: &'a str) -> Cow<'a, str> {
    match setting.kind {
        _ if setting.secret => Cow::Borrowed(MASK),
        Kind::Url(_) => Cow::Owned(mask_url(text)),
        _ => Cow::Borrowed(text),
    }
}

/// An address without user, password, query and fragment. Works on text, since what is no address can hold a password as well: what may be one is
/// masked even if that masks more than it must.
fn mask_url(text: &str) -> String {
    let (scheme, rest) = match text.find("://") {
        Some(end) => text.split_at(end + "://".len()),
        None => ("", text),
    };
    let masked = match (rest.rfind('@'), rest.find(['?', '#'])) {
        (None, None) => rest.to_owned(),
        (None, Some(query)) => format!("{}{MASK}", &rest[..=query]),
        (Some(at), None) => format!("{MASK}{}", &rest[at..]),
        (Some(at), Some(query)) if at < query => format!("{MASK}{}{MASK}", &rest[at..=query]),
        // Whether the `@` ends a password with a `?` or belongs to the query cannot be told.
        (Some(_), Some(_)) => MASK.to_owned(),
    };
    format!("{scheme}{masked}")
}

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
            Some(value) => {
                format!(
                    "{}={}  # {}",
                    setting.name,
                    quoted(&without_secrets(setting, &value.text)),
                    value.origin
                )
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_user_password_and_query() {
        for (text, shown) in [
            ("http://localhost:8086/v1/influxdb", "http://localhost:8086/v1/influxdb"),
            ("http://me:hunter2@host:8086/x", "http://***@host:8086/x"),
            ("http://hunter2@host", "http://***@host"),
            ("http://me:hun@ter2@host", "http://***@host"),
            ("http://me:hun/ter2@host/", "http://***@host/"),
            ("http://host:8086/?token=hunter2", "http://host:8086/?***"),
            ("http://host#hunter2", "http://host#***"),
            ("http://me:hunter2@host/?q=hunter2#x", "http://***@host/?***"),
            ("http://me:hun?ter2@host", "http://***"),
            ("http://host/?p=hun@ter2", "http://***"),
            ("http//me:hunter2@host", "***@host"),
            ("me:hunter2@host:8086?x", "***@host:8086?***"),
            ("ftp://h/", "ftp://h/"),
            ("", ""),
        ] {
            assert_eq!(mask_url(text), shown, "{text}");
        }
    }
}
