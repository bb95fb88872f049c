//! The names that rotation gives to a log's files, and their order in time. Pure: looks at names only, not at files.
//!
//! Known are `name.3`, `name-20240914`, `name.2024-09-14`, `name-20240914-1726300000`, `name-2024091413`, and `stem-20240914.ext` of `stem.ext`, each also with `.gz` behind it.

/// What a name says of a rotated file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotated {
    /// The name of the log that it was once.
    pub base: String,
    /// When, in relation to the log's other files. Ascending is oldest first; a file and its compressed copy are equal.
    pub order: Order,
    /// Whether it is compressed.
    pub gzip: bool,
}

/// The age of a rotated file in relation to its siblings, oldest first. Where numbers and dates meet (a rotation whose rule was changed), the dates are the older ones.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Order {
    /// The digits of its date, and of the time behind it.
    Dated(String),
    /// Its number: the greater, the older.
    Numbered(std::cmp::Reverse<u64>),
}

/// Reads the name of a rotated file; `None` for every other name.
pub fn rotated(name: &str) -> Option<Rotated> {
    let (plain, gzip) = name.strip_suffix(".gz").map_or((name, false), |plain| (plain, true));
    let (base, order) = behind_the_name(plain).or_else(|| inside_the_name(plain))?;
    Some(Rotated { base, order, gzip })
}

/// `api.log.3`, `api.log-20240914`.
fn behind_the_name(name: &str) -> Option<(String, Order)> {
    if let Some((base, digits)) = name.rsplit_once('.')
        && !base.is_empty()
        && digits.len() < 8
        && is_digits(digits)
    {
        return Some((base.to_owned(), Order::Numbered(std::cmp::Reverse(digits.parse().ok()?))));
    }
    let (base, digits) = strip_stamp(name)?;
    (!base.is_empty()).then(|| (base.to_owned(), Order::Dated(digits)))
}

/// `api-20240914.log`: a number there would be somebody else's name (`worker-1.log`), only a date is taken.
fn inside_the_name(name: &str) -> Option<(String, Order)> {
    let (stem, extension) = name.rsplit_once('.')?;
    let (base, digits) = strip_stamp(stem)?;
    (!base.is_empty() && !extension.is_empty() && !is_digits(extension))
        .then(|| (format!("{base}.{extension}"), Order::Dated(digits)))
}

/// Takes a date with what may follow it off the end of a name: what is before the separator, and the stamp's digits.
fn strip_stamp(name: &str) -> Option<(&str, String)> {
    let stamp_from = name
        .rfind(|c: char| !c.is_ascii_digit() && !"-_.T:".contains(c))
        .map_or(0, |at| at + name[at..].chars().next().map_or(1, char::len_utf8));
    // The stamp begins at the first separator behind which a date stands.
    name[stamp_from..].char_indices().find_map(|(at, c)| {
        let at = stamp_from + at;
        let stamp = name.get(at + 1..).filter(|_| "-_.".contains(c))?;
        is_stamp(stamp).then(|| (&name[..at], stamp.chars().filter(char::is_ascii_digit).collect()))
    })
}

/// A date `20240914` or `2024-09-14`, and any digits and separators behind it.
fn is_stamp(stamp: &str) -> bool {
    let digits: String = stamp.chars().filter(char::is_ascii_digit).collect();
    let compact = stamp.len() >= 8 && is_digits(&stamp[..8]);
    let dashed = stamp.len() >= 10
        && is_digits(&stamp[..4])
        && is_digits(&stamp[5..7])
        && is_digits(&stamp[8..10])
        && stamp.as_bytes()[4] == stamp.as_bytes()[7]
        && b"-_.".contains(&stamp.as_bytes()[4]);
    if !(compact || dashed) || !stamp.ends_with(|c: char| c.is_ascii_digit()) {
        return false;
    }
    let number = |from: usize, to: usize| digits[from..to].parse::<u32>().unwrap_or(0);
    (1970..=2261).contains(&number(0, 4))
        && (1..=12).contains(&number(4, 6))
        && (1..=31).contains(&number(6, 8))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    //! Which names are known, and their order.

    use super::*;

    #[test]
    fn rotated_names() {
        for (name, base) in [
            ("a.log.1", Some("a.log")),
            ("a.log.12", Some("a.log")),
            ("a.log.1.gz", Some("a.log")),
            ("a.log-20240914", Some("a.log")),
            ("a.log-20240914.gz", Some("a.log")),
            ("a.log.2024-09-14", Some("a.log")),
            ("a.log.2024-09-14_13", Some("a.log")),
            ("a.log-2024091413", Some("a.log")),
            ("a.log-20240914-1726300000", Some("a.log")),
            ("a.log.20240914", Some("a.log")),
            ("a-20240914.log", Some("a.log")),
            ("a-2024-09-14.log.gz", Some("a.log")),
            ("a.log.1.1", Some("a.log.1")),
            ("ä.log-20240914", Some("ä.log")),
            ("a.log", None),
            ("a.log.", None),
            ("a.log.x", None),
            ("a.log.gz", None),
            (".1", None),
            ("-20240914", None),
            ("a.log.99999999999999999999999", None),
            ("a-1.log", None),
            ("a.log-20241314", None),
            ("a.log-12345678", None),
            ("a.log.1~", None),
            ("", None),
        ] {
            assert_eq!(rotated(name).map(|found| found.base).as_deref(), base, "{name}");
        }
    }

    #[test]
    fn oldest_first() {
        let mut names = ["a.2", "a.10", "a.1", "a-20240914", "a-20230101", "a-2024091401", "a.3.gz"];
        names.sort_by_key(|name| rotated(name).expect("rotated").order);
        assert_eq!(names, ["a-20230101", "a-20240914", "a-2024091401", "a.10", "a.3.gz", "a.2", "a.1"]);
    }

    proptest::proptest! {
        #[test]
        fn any_name_is_safe(name in "\\PC{0,40}", stamp in "[-_.T:0-9]{0,24}") {
            drop(rotated(&name));
            drop(rotated(&format!("{name}{stamp}")));
        }
    }
}
