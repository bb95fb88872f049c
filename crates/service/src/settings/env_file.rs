//! The form of `.env.local`: simple `KEY=VALUE` lines, text -> entries. Which keys mean something is not its business.

/// One line that gives a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number, from 1.
    pub line: usize,
    /// What stands before the `=`.
    pub key: String,
    /// What stands behind it, quotes resolved.
    pub value: String,
}

/// Parses the whole text: the entries, and one sentence for each line that is neither an entry nor a comment.
///
/// `export` before the key is allowed. A value may stand in single quotes (taken as it is) or in double quotes (with
/// `\\`, `\"`, `\n`, `\t`); without quotes a ` #` begins a comment. Nothing is expanded.
pub fn parse(text: &str) -> (Vec<Entry>, Vec<String>) {
    let mut entries = Vec::new();
    let mut faults = Vec::new();
    for (index, raw) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = index + 1;
        let content = raw.trim();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let content = content.strip_prefix("export ").unwrap_or(content);
        let parsed = content.split_once('=').and_then(|(key, value)| {
            let key = key.trim();
            let plain = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            (plain && !key.is_empty()).then(|| value_of(value.trim()).map(|value| (key.to_owned(), value)))?
        });
        match parsed {
            Some((key, value)) => entries.push(Entry { line, key, value }),
            // The text itself is not shown: it may hold a secret.
            None => faults.push(format!("line {line}: expected KEY=VALUE, a comment or nothing")),
        }
    }
    (entries, faults)
}

fn value_of(text: &str) -> Option<String> {
    if let Some(inner) = text.strip_prefix('\'') {
        let (value, rest) = inner.split_once('\'')?;
        return is_comment(rest).then(|| value.to_owned());
    }
    if let Some(inner) = text.strip_prefix('"') {
        return double_quoted(inner);
    }
    if text.starts_with('#') {
        return Some(String::new());
    }
    let end = text.find(" #").or_else(|| text.find("\t#")).unwrap_or(text.len());
    Some(text[..end].trim_end().to_owned())
}

fn double_quoted(inner: &str) -> Option<String> {
    let mut value = String::new();
    let mut letters = inner.chars();
    loop {
        match letters.next()? {
            '"' => return is_comment(letters.as_str()).then_some(value),
            '\\' => match letters.next()? {
                'n' => value.push('\n'),
                't' => value.push('\t'),
                letter @ ('\\' | '"' | '$') => value.push(letter),
                other => value.extend(['\\', other]),
            },
            letter => value.push(letter),
        }
    }
}

fn is_comment(rest: &str) -> bool {
    rest.trim_start().is_empty() || rest.trim_start().starts_with('#')
}
