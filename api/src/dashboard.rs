//! The dashboard: three files that `build.rs` made, and who is given them. The page asks the public api like everybody else; nothing here knows what it shows.

use std::sync::LazyLock;

use axum::Router;
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use axum::routing::get;

use crate::conditional::{self, EntityTag};

/// Where its files are. They tell nothing of anybody, so they are open to everyone.
pub(crate) const FOLDER: &str = "/dashboard/";

/// Everything comes from this server, nothing stands in the page itself but its icon; and nobody may frame it.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// An embedded file.
struct File {
    content: &'static [u8],
    content_type: HeaderValue,
    tag: EntityTag,
}

impl File {
    fn new(content: &'static [u8], content_type: &'static str) -> Self {
        let tag = EntityTag::of_bytes(content);
        Self { content, content_type: HeaderValue::from_static(content_type), tag }
    }

    fn answer(&self, request: &HeaderMap) -> Response {
        let mut response = conditional::answer_bytes(request, &self.tag, self.content);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, self.content_type.clone());
        headers.insert(CONTENT_SECURITY_POLICY, POLICY);
        // The names stay when the content changes: whoever has a copy asks whether it is still the right one.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        response
    }
}

macro_rules! file {
    ($name:literal, $content_type:literal) => {
        LazyLock::new(|| {
            File::new(include_bytes!(concat!(env!("OUT_DIR"), "/dashboard/", $name)), $content_type)
        })
    };
}

static PAGE: LazyLock<File> = file!("index.html", "text/html; charset=utf-8");
static SCRIPT: LazyLock<File> = file!("app.js", "text/javascript; charset=utf-8");
static STYLE: LazyLock<File> = file!("app.css", "text/css; charset=utf-8");

/// What the page needs.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/dashboard/app.js", get(async |headers: HeaderMap| SCRIPT.answer(&headers)))
        .route("/dashboard/app.css", get(async |headers: HeaderMap| STYLE.answer(&headers)))
}

/// The page, for who asks for one: a browser names `text/html`, a program does not.
pub(crate) fn page(headers: &HeaderMap) -> Option<Response> {
    if !wants_html(headers) {
        return None;
    }
    let mut response = PAGE.answer(headers);
    response.headers_mut().insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
    Some(response)
}

/// Whether `text/html` is named, and not liked less than JSON (RFC 9110, 12.5.1).
fn wants_html(headers: &HeaderMap) -> bool {
    let accepts: Vec<&str> = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let quality = |name: &str| {
        let ranges = accepts.iter().flat_map(|accept| accept.split(','));
        ranges.filter_map(|range| named(range, name)).fold(0.0, f64::max)
    };
    let html = quality("text/html");
    html > 0.0 && html >= quality("application/json")
}

/// How much a media range of that name is liked, from 0 to 1; None for another name.
fn named(range: &str, name: &str) -> Option<f64> {
    let mut parts = range.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case(name) {
        return None;
    }
    let quality = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    Some(quality.map_or(1.0, |quality| quality.parse().unwrap_or(0.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_gets_the_page_and_a_program_does_not() {
        for (accept, page) in [
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", true),
            ("TEXT/HTML", true),
            ("application/json;q=0.5, text/html", true),
            ("text/html;q=0.5, application/json", false),
            ("text/html;q=0", false),
            ("text/html;q=x", false),
            ("application/json", false),
            ("*/*", false),
            ("text/*", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, accept.parse().expect("a header"));
            assert_eq!(wants_html(&headers), page, "{accept}");
        }
        assert!(!wants_html(&HeaderMap::new()));
    }
}
