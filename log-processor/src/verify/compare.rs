//! Requests that should be there against requests that are: two lists, sorted by key, merged. Pure: knows no files and no store.

use std::collections::HashMap;
use std::sync::Arc;

/// A text's number in [`Texts`].
pub(crate) type TextId = u32;

/// Texts, each kept once.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    by_text: HashMap<Arc<str>, TextId>,
    texts: Vec<Arc<str>>,
}

impl Texts {
    /// The number of a text.
    pub(crate) fn id(&mut self, text: &str) -> TextId {
        if let Some(id) = self.by_text.get(text) {
            return *id;
        }
        let id = TextId::try_from(self.texts.len()).expect("fewer texts than requests, which are few");
        let text: Arc<str> = text.into();
        self.texts.push(Arc::clone(&text));
        self.by_text.insert(text, id);
        id
    }

    /// The text of a number.
    pub(crate) fn text(&self, id: TextId) -> &str {
        &self.texts[id as usize]
    }
}

/// By what a store tells requests of one source apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    /// Time with place, nanoseconds since 1970.
    pub(crate) time_nanos: i64,
    /// Customer.
    pub(crate) customer: TextId,
    /// The tag `success`.
    pub(crate) success: TextId,
}

/// What is kept of a request beside its key. A value that is no number, where a number should stand, is not a number here either.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fields {
    /// Latency in seconds.
    pub(crate) duration: Option<f64>,
    /// HTTP status.
    pub(crate) status_code: Option<f64>,
    /// Path.
    pub(crate) request_path: Option<TextId>,
}

impl PartialEq for Fields {
    /// To the last bit: what was written comes back as it was.
    fn eq(&self, other: &Self) -> bool {
        let bits = |value: Option<f64>| value.map(f64::to_bits);
        bits(self.duration) == bits(other.duration)
            && bits(self.status_code) == bits(other.status_code)
            && self.request_path == other.request_path
    }
}

/// A request that a line makes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Expected {
    /// Its key.
    pub(crate) key: Key,
    /// Its fields.
    pub(crate) fields: Fields,
    /// Its file's index.
    pub(crate) part: u32,
    /// The place of its first byte.
    pub(crate) offset: u64,
    /// Whether it must be there; else it may be gone, but not be different.
    pub(crate) must: bool,
}

/// A request that is in the store, or a part of its fields.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Stored {
    /// Its key.
    pub(crate) key: Key,
    /// Its fields.
    pub(crate) fields: Fields,
}

/// What a comparison finds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Finding {
    /// A line's request is not there.
    Missing(Expected),
    /// It is there with other fields.
    Changed(Expected, Fields),
    /// There is a request that no line makes.
    Surplus(Stored),
    /// Two lines make the same key, so one of them overwrites the other.
    SameKey(Expected),
}

/// Compares; sorts both lists. Returns how many requests of `expected` were found just as they should be.
pub(crate) fn compare(
    expected: &mut [Expected],
    stored: &mut Vec<Stored>,
    mut tell: impl FnMut(Finding),
) -> u64 {
    expected.sort_unstable_by_key(|request| (request.key, request.part, request.offset));
    join_fields(stored);
    let mut equal = 0;
    let mut there = stored.iter().copied().peekable();
    let mut before: Option<Key> = None;
    for request in &*expected {
        if before == Some(request.key) {
            tell(Finding::SameKey(*request));
            continue;
        }
        before = Some(request.key);
        while let Some(surplus) = there.next_if(|found| found.key < request.key) {
            tell(Finding::Surplus(surplus));
        }
        match there.next_if(|found| found.key == request.key) {
            Some(found) if found.fields == request.fields => equal += 1,
            Some(found) => tell(Finding::Changed(*request, found.fields)),
            None if request.must => tell(Finding::Missing(*request)),
            None => {}
        }
    }
    there.for_each(|surplus| tell(Finding::Surplus(surplus)));
    equal
}

/// Sorts, and makes one of several parts of one request.
fn join_fields(stored: &mut Vec<Stored>) {
    stored.sort_unstable_by_key(|request| request.key);
    stored.dedup_by(|next, first| {
        let same = next.key == first.key;
        if same {
            let (fields, more) = (&mut first.fields, next.fields);
            fields.duration = fields.duration.or(more.duration);
            fields.status_code = fields.status_code.or(more.status_code);
            fields.request_path = fields.request_path.or(more.request_path);
        }
        same
    });
}

#[cfg(test)]
mod tests {
    //! Every kind of difference is found, and nothing else.

    use super::*;

    fn key(time_nanos: i64) -> Key {
        Key { time_nanos, customer: 0, success: 1 }
    }

    fn expected(time_nanos: i64, seconds: f64) -> Expected {
        let fields = Fields { duration: Some(seconds), status_code: Some(200.0), request_path: Some(2) };
        Expected { key: key(time_nanos), fields, part: 0, offset: time_nanos.unsigned_abs(), must: true }
    }

    /// As InfluxDB answers: field by field.
    fn stored(time_nanos: i64, seconds: f64) -> [Stored; 3] {
        let fields = [
            Fields { duration: Some(seconds), ..Fields::default() },
            Fields { status_code: Some(200.0), ..Fields::default() },
            Fields { request_path: Some(2), ..Fields::default() },
        ];
        fields.map(|fields| Stored { key: key(time_nanos), fields })
    }

    fn check(mut expected: Vec<Expected>, stored: Vec<Stored>, equal: u64, findings: &[&str]) {
        let mut stored: Vec<Stored> = stored.into_iter().rev().collect();
        let mut told = Vec::new();
        let found = compare(&mut expected, &mut stored, |finding| {
            told.push(match finding {
                Finding::Missing(request) => format!("missing {}", request.key.time_nanos),
                Finding::Changed(request, fields) => {
                    format!("changed {} to {:?}", request.key.time_nanos, fields.duration)
                }
                Finding::Surplus(request) => format!("surplus {}", request.key.time_nanos),
                Finding::SameKey(request) => format!("same key {}", request.key.time_nanos),
            });
        });
        assert_eq!((told, found), (findings.iter().map(|text| (*text).to_owned()).collect(), equal));
    }

    #[test]
    fn differences() {
        let all = [stored(1, 0.5), stored(2, 0.5), stored(3, 0.5)].concat();
        let lines = || vec![expected(3, 0.5), expected(1, 0.5), expected(2, 0.5)];
        check(lines(), all.clone(), 3, &[]);
        check(lines(), [stored(1, 0.5), stored(3, 0.5)].concat(), 2, &["missing 2"]);
        check(
            lines(),
            [stored(1, 0.5), stored(2, 0.500_000_000_000_000_1), stored(3, 0.5)].concat(),
            2,
            &["changed 2 to Some(0.5000000000000001)"],
        );
        check(lines()[..2].to_vec(), all.clone(), 2, &["surplus 2"]);
        check(vec![], all.clone(), 0, &["surplus 1", "surplus 2", "surplus 3"]);
        check(lines(), vec![], 0, &["missing 1", "missing 2", "missing 3"]);
        check(vec![expected(1, 0.5), expected(1, 0.5)], stored(1, 0.5).to_vec(), 1, &["same key 1"]);
        check(lines(), all[..8].to_vec(), 2, &["changed 3 to Some(0.5)"]); // A field of it is gone.
    }

    #[test]
    fn what_may_be_gone_must_not_be_different() {
        let optional = |time, seconds| Expected { must: false, ..expected(time, seconds) };
        check(vec![optional(1, 0.5), optional(2, 0.5)], stored(2, 0.5).to_vec(), 1, &[]);
        check(vec![optional(2, 0.5)], stored(2, 9.5).to_vec(), 0, &["changed 2 to Some(9.5)"]);
    }
}
