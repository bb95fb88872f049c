//! The HTTP client for the hot paths (write, query): one per store, its connections are kept. Knows addresses, credentials and certificates; what an answer
//! means is decided in `trouble` and `query`. Nothing here retries (I4).

use std::path::Path;
use std::time::{Duration, SystemTime};

use reqwest::header::{AUTHORIZATION, DATE, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Certificate, Client, Method, RequestBuilder, Response, StatusCode};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::config::{ConfigError, InfluxConfig, InfluxUrl, Token};

/// How much of an error's body is read, in bytes.
const ERROR_BODY_MAX_BYTES: usize = 64 * 1024;
/// How much of a server's words is passed on, in characters.
const WORDS_MAX_CHARS: usize = 400;
/// The longest wait that a `Retry-After` can ask for: a wrong clock must not stop us for days.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// A client bound to one InfluxDB.
#[derive(Clone, Debug)]
pub(super) struct Http {
    client: Client,
    url: InfluxUrl,
    authorization: Option<HeaderValue>,
    token: Token,
}

/// An answer that is not the one hoped for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// The server's words, to be shown: its JSON message where there is one, else the body's beginning. Bounded, one line, without our token.
    pub(super) words: String,
    /// The same as they came, to be understood: a token may be part of any word. Never shown.
    pub(super) raw_words: String,
    /// The body was a JSON object, so it is an InfluxDB (or something that means to be one) that speaks, not a proxy or a stranger.
    pub(super) is_json: bool,
    pub(super) retry_after: Option<Duration>,
    /// Where a redirect points.
    pub(super) location: Option<String>,
}

impl Refusal {
    /// A refusal that another client has read.
    pub(super) fn from_text(http: &Http, status: StatusCode, text: &str) -> Refusal {
        let (words, is_json) = words(text.as_bytes());
        Refusal {
            status,
            words: http.say(&words),
            raw_words: words,
            is_json,
            retry_after: None,
            location: None,
        }
    }
}

impl Http {
    pub(super) fn new(config: &InfluxConfig) -> Result<Http, ConfigError> {
        config.check()?;
        install_crypto_provider();
        let mut builder = Client::builder()
            .connect_timeout(config.connect_timeout)
            .timeout(config.request_timeout)
            // A redirected write would lose its body or its credentials: it is reported instead.
            .redirect(reqwest::redirect::Policy::none())
            .gzip(config.compresses())
            .user_agent(concat!("tailgauge/", env!("CARGO_PKG_VERSION")));
        if config.url.is_loopback() {
            builder = builder.no_proxy();
        }
        // Always the certificates found here and never the client's own search, which fails on a machine without any, even when only http is spoken.
        let roots = trusted_certificates(config)?;
        builder = builder.tls_certs_only(roots.iter().filter_map(|der| Certificate::from_der(der).ok()));
        let client = builder.build().map_err(|error| ConfigError::Certificates { why: chain(&error) })?;
        let authorization = match config.token.reveal() {
            "" => None,
            token => {
                let mut value = HeaderValue::from_str(&format!("Token {token}"))
                    .expect("a token holds only what a header can carry");
                value.set_sensitive(true);
                Some(value)
            }
        };
        Ok(Http { client, url: config.url.clone(), authorization, token: config.token.clone() })
    }

    /// A request to an endpoint, with credentials.
    pub(super) fn request(&self, method: Method, path: &str, query: &[(&str, &str)]) -> RequestBuilder {
        let request = self.client.request(method, self.url.endpoint(path, query));
        match &self.authorization {
            Some(value) => request.header(AUTHORIZATION, value.clone()),
            None => request,
        }
    }

    /// Reads what a server said instead of the answer hoped for.
    pub(super) async fn refusal(&self, mut response: Response) -> Refusal {
        let status = response.status();
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        // The server's own clock, where it says it, since the two may differ.
        let now = header(DATE).and_then(http_date).unwrap_or_else(SystemTime::now);
        let retry_after = header(RETRY_AFTER).and_then(|value| retry_after(value, now));
        let location = header(LOCATION).map(|to| self.say(to));
        let mut body = Vec::new();
        // A body that breaks off is no reason to forget the status.
        while let Ok(Some(chunk)) = response.chunk().await {
            body.extend_from_slice(&chunk);
            if body.len() >= ERROR_BODY_MAX_BYTES {
                body.truncate(ERROR_BODY_MAX_BYTES);
                break;
            }
        }
        let (words, is_json) = words(&body);
        Refusal { status, words: self.say(&words), raw_words: words, is_json, retry_after, location }
    }

    /// What went wrong on the way, in words, without our token.
    pub(super) fn say_error(&self, error: reqwest::Error) -> String {
        let what = if error.is_timeout() {
            "no answer in time"
        } else if error.is_connect() {
            "no connection"
        } else {
            "the connection broke"
        };
        self.say(&format!("{}: {what} ({})", self.url, chain(&error.without_url())))
    }

    /// Text from outside, fit for a log line: bounded, without control characters and without our token.
    pub(super) fn say(&self, text: &str) -> String {
        let mut said: String = text
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(WORDS_MAX_CHARS + self.token.reveal().len())
            .collect();
        said = self.token.mask(said);
        if let Some((at, _)) = said.char_indices().nth(WORDS_MAX_CHARS) {
            said.truncate(at);
            said.push('…');
        }
        said.trim().to_owned()
    }
}

/// The certificates that vouch for an https server, the same for both clients. None for http: nothing is read then.
pub(super) fn trusted_certificates(
    config: &InfluxConfig,
) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    if !config.url.is_https() {
        return Ok(Vec::new());
    }
    if let Some(path) = &config.ca_file {
        return certificates_of(path);
    }
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        let errors: Vec<String> = found.errors.iter().map(chain).collect();
        return Err(ConfigError::Certificates {
            why: format!(
                "{} is https, and there is no certificate here that could vouch for it; install ca-certificates, or name the server's CA in SSL_CERT_FILE ({})",
                config.url,
                if errors.is_empty() { "none found".to_owned() } else { errors.join("; ") }
            ),
        });
    }
    Ok(found.certs)
}

fn certificates_of(path: &Path) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let fault = |why: String| ConfigError::Certificates { why: format!("{}: {why}", path.display()) };
    let certificates =
        CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| fault(format!("no certificates in PEM form can be read from it ({error})")))?;
    if certificates.is_empty() {
        return Err(fault("it holds no certificate in PEM form".to_owned()));
    }
    Ok(certificates)
}

/// rustls wants one cryptography for the whole process: ring, unless the program has chosen before.
fn install_crypto_provider() {
    if CryptoProvider::get_default().is_none() {
        // Fails only when another thread was quicker, which is as good.
        let _installed_by_another = rustls::crypto::ring::default_provider().install_default();
    }
}

/// An error with its causes, as one line.
pub(super) fn chain(error: &(impl std::error::Error + ?Sized)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

/// The message in an error's body, and whether the body is (or, cut off, begins as) a JSON object: InfluxDB names every unreadable line of a write, so its
/// message can be longer than what is read of it.
fn words(body: &[u8]) -> (String, bool) {
    let text = String::from_utf8_lossy(body);
    let value: Option<serde_json::Value> = serde_json::from_str(&text).ok();
    let message =
        value.as_ref().and_then(|value| ["message", "error"].iter().find_map(|key| value.get(key)?.as_str()));
    (message.unwrap_or(&text).to_owned(), text.trim_start().starts_with('{'))
}

/// The wait that a `Retry-After` header asks for: seconds, or an HTTP date.
fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    let wait = match value.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        // A date that has passed means now.
        Err(_) => http_date(value)?.duration_since(now).unwrap_or_default(),
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

fn http_date(value: &str) -> Option<SystemTime> {
    chrono::DateTime::parse_from_rfc2822(value).ok().map(SystemTime::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date_and_bounded() {
        let now = http_date("Sat, 21 Nov 2026 14:00:00 GMT").expect("a date");
        for (value, expected) in [
            ("0", Some(0)),
            (" 7 ", Some(7)),
            ("99999999", Some(3600)),
            ("Sat, 21 Nov 2026 14:01:30 GMT", Some(90)),
            ("Sat, 21 Nov 2026 13:00:00 GMT", Some(0)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(3600)),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(retry_after(value, now), expected.map(Duration::from_secs), "{value:?}");
        }
    }

    #[test]
    fn a_servers_words_are_its_message() {
        for (body, expected) in [
            (r#"{"code":"invalid","message":"unable to parse"}"#, ("unable to parse", true)),
            (r#"{"error":"partial write","data":[]}"#, ("partial write", true)),
            (r#"{"code":5}"#, (r#"{"code":5}"#, true)),
            (
                r#" {"code":"invalid","message":"unable to pa"#,
                (r#" {"code":"invalid","message":"unable to pa"#, true),
            ),
            ("[1]", ("[1]", false)),
            ("<html>", ("<html>", false)),
            ("", ("", false)),
        ] {
            assert_eq!(words(body.as_bytes()), (expected.0.to_owned(), expected.1), "{body}");
        }
    }

    #[test]
    fn words_are_bounded_on_one_line_and_without_the_token() {
        let config = InfluxConfig::new("http://localhost:1", "o", "b", "secret-token").expect("good");
        let http = Http::new(&config).expect("no certificates are needed for http");
        let said = http.say(&format!("bad\r\n{} secret-token {}", "x".repeat(380), "ö".repeat(5000)));
        assert!(!said.contains("secret"), "{said}");
        assert!(!said.contains('\n') && said.chars().count() == WORDS_MAX_CHARS + 1, "{said}");
        // A token that would be cut in half is masked all the same.
        let said = http.say(&format!("{}secret-token", "x".repeat(WORDS_MAX_CHARS - 6)));
        assert!(!said.contains("secret"), "{said}");
    }

    #[test]
    fn https_without_certificates_is_refused_with_the_fix_and_http_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let empty = folder.path().join("empty.pem");
        std::fs::write(&empty, "").expect("written");
        for (url, fails) in [("https://localhost:1", true), ("http://localhost:1", false)] {
            for path in [empty.clone(), folder.path().join("missing.pem")] {
                let mut config = InfluxConfig::new(url, "o", "b", "t").expect("good");
                config.ca_file = Some(path);
                assert_eq!(Http::new(&config).is_err(), fails, "{url}");
            }
        }
    }
}
