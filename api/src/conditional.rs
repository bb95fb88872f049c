//! Conditional requests (RFC 9110, 13): an answer's ETag, `If-None-Match`, and what caches may do with the answer.

use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// A strong validator: made of what an answer says apart from how fresh it is. Equal content has equal tags whichever process, replica or
/// rebuilt ledger made it, so a tag never vouches for data that has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EntityTag(HeaderValue);

impl EntityTag {
    /// The tag of an answer whose freshness has been left out.
    pub(crate) fn of(content: &impl Serialize) -> Self {
        let bytes = serde_json::to_vec(content).expect("answers hold strings and finite numbers only");
        let text = format!("\"{:032x}\"", xxhash_rust::xxh3::xxh3_128(&bytes));
        Self(HeaderValue::try_from(text).expect("hex digits in quotes"))
    }

    /// The tag of a text in one of its forms, whose freshness has been left out.
    pub(crate) fn of_text(text: &str, form: &str) -> Self {
        let mut hash = xxhash_rust::xxh3::Xxh3::new();
        hash.update(form.as_bytes());
        hash.update(&[0]);
        hash.update(text.as_bytes());
        let text = format!("\"{:032x}\"", hash.digest128());
        Self(HeaderValue::try_from(text).expect("hex digits in quotes"))
    }

    /// The tag of bytes as they are.
    pub(crate) fn of_bytes(bytes: &[u8]) -> Self {
        let text = format!("\"{:032x}\"", xxhash_rust::xxh3::xxh3_128(bytes));
        Self(HeaderValue::try_from(text).expect("hex digits in quotes"))
    }

    /// Whether a client that sends these headers has this answer already.
    fn is_known_to(&self, headers: &HeaderMap) -> bool {
        let tag = self.0.to_str().expect("hex digits in quotes");
        headers
            .get_all(IF_NONE_MATCH)
            .iter()
            .any(|value| value.to_str().is_ok_and(|list| list_names(list, tag)))
    }
}

/// Whether an `If-None-Match` list names the tag, by weak comparison.
fn list_names(list: &str, tag: &str) -> bool {
    if list.trim() == "*" {
        return true;
    }
    let mut rest = list;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let opaque = rest.strip_prefix("W/").unwrap_or(rest);
        // Tags may hold commas; what stands between two quotes belongs together. Anything else ends the list: then it matches nothing more.
        let Some(end) = opaque.strip_prefix('"').and_then(|inner| inner.find('"')) else { return false };
        let (candidate, after) = opaque.split_at(end + 2);
        if candidate == tag {
            return true;
        }
        rest = after;
    }
}

/// The answer with its tag, or 304 when the client has it already.
pub(crate) fn answer(request: &HeaderMap, tag: &EntityTag, body: &impl Serialize) -> Response {
    let body = serde_json::to_string(body).expect("answers hold strings and finite numbers only");
    answer_text(request, tag, body)
}

/// Bytes with their tag, or 304; what they are and who may keep them is the caller's to say.
pub(crate) fn answer_bytes(request: &HeaderMap, tag: &EntityTag, body: &'static [u8]) -> Response {
    let mut response = if tag.is_known_to(request) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        body.into_response()
    };
    response.headers_mut().insert(ETAG, tag.0.clone());
    response
}

/// The same of an answer that is a text already; it is JSON unless its content type says otherwise.
pub(crate) fn answer_text(request: &HeaderMap, tag: &EntityTag, body: String) -> Response {
    let mut response = if tag.is_known_to(request) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(ETAG, tag.0.clone());
    // A copy may be kept and must be asked about: the next commit may change it. `private`: it speaks of a customer.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, max-age=0, must-revalidate"));
    headers.insert(VARY, HeaderValue::from_static(crate::format::VARIES));
    response
}

/// A compressed answer is another sequence of bytes: its tag can only be a weak one (RFC 9110, 8.8.1).
pub(crate) async fn weaken_tag_of_compressed(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    if headers.contains_key(CONTENT_ENCODING)
        && let Some(strong) = headers.get(ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/"))
        && let Ok(weak) = HeaderValue::try_from([b"W/", strong.as_bytes()].concat())
    {
        headers.insert(ETAG, weak);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn if_none_match_compares_weakly() {
        for (list, expected) in [
            ("*", true),
            (" * ", true),
            ("\"a\"", true),
            ("W/\"a\"", true),
            ("\"b\", \"a\"", true),
            ("\"b\",W/\"a\"", true),
            ("\"b,\", \"a\"", true),
            (",, \"a\"", true),
            ("\"b\"", false),
            ("", false),
            ("a", false),
            ("\"a", false),
            ("\"aa\"", false),
            ("\"b,\"a\"", false),
            ("w/\"a\"", false),
            ("b, \"a\"", false),
            ("\"*\"", false),
        ] {
            assert_eq!(list_names(list, "\"a\""), expected, "{list}");
        }
    }

    proptest! {
        #[test]
        fn no_list_makes_the_parser_panic(list in ".*") {
            list_names(&list, "\"a\"");
        }
    }
}
