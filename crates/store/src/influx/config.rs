//! How an InfluxDB is reached, checked as far as it can be without asking it. Nothing here talks to a server or reads the environment.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;

/// Where an InfluxDB 2 is and what is asked of it.
#[derive(Clone, Debug)]
pub struct InfluxConfig {
    /// Its address; a path in it (`/v1/influxdb`, a sub-path proxy) is kept.
    pub url: InfluxUrl,
    /// The organization's name.
    pub org: String,
    /// The bucket's name.
    pub bucket: String,
    /// The token of an account that may write (processor) or read (api) the bucket.
    pub token: Token,
    /// How long the bucket keeps points when it has to be created; None = for ever.
    pub retention: Option<Duration>,
    /// Whether bodies are compressed on their way.
    pub gzip: Gzip,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long one request may take, from its first byte to the answer's last.
    pub request_timeout: Duration,
    /// Nothing can be asked of this store: no look-ups, no bucket, no ownership (a collector, VictoriaMetrics).
    pub write_only: bool,
    /// Certificates (PEM) to trust instead of the system's. None = those of SSL_CERT_FILE and SSL_CERT_DIR when set, else the system's.
    pub ca_file: Option<PathBuf>,
    /// The first account of a server that was never set up; None = such a server is left as it is, and refuses our token.
    pub onboarding: Option<Onboarding>,
}

/// The first account of a fresh server. Its token is [`InfluxConfig::token`].
#[derive(Clone)]
pub struct Onboarding {
    /// The account's name.
    pub username: String,
    /// Its password, at least 8 characters.
    pub password: String,
}

/// Whether request bodies are compressed (gzip, level 1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gzip {
    /// Unless the server is on this machine, where it would only cost time.
    #[default]
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// The address of an InfluxDB: http or https, with a host, without user, query or fragment.
#[derive(Clone, PartialEq, Eq)]
pub struct InfluxUrl(Url);

/// A secret that is never printed. May be empty: then no credentials are sent.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Token(String);

/// A setting that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The address.
    #[error("not the address of an InfluxDB: {why}; expected something like http://localhost:8086")]
    Url {
        /// What is wrong with it. What was given is not repeated: it may hold secrets.
        why: String,
    },
    /// Organization, bucket or token.
    #[error("the InfluxDB {what} {why}")]
    Value {
        /// Which.
        what: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Something is to be asked of a store that can only be written.
    #[error("INFLUXDB_WRITE_ONLY=true says that {url} can only be written; answers need an InfluxDB 2")]
    WriteOnly {
        /// Its address.
        url: String,
    },
    /// The certificates to trust.
    #[error("{why}")]
    Certificates {
        /// What is wrong with them.
        why: String,
    },
}

impl InfluxConfig {
    /// The usual settings for a server at `url`. Errors name the value that cannot work.
    pub fn new(url: &str, org: &str, bucket: &str, token: &str) -> Result<InfluxConfig, ConfigError> {
        let config = InfluxConfig {
            url: InfluxUrl::parse(url)?,
            org: org.to_owned(),
            bucket: bucket.to_owned(),
            token: Token::new(token)?,
            retention: None,
            gzip: Gzip::Auto,
            connect_timeout: Duration::from_secs(5),
            // influxd gives up on a write after 10 seconds by itself.
            request_timeout: Duration::from_secs(30),
            write_only: false,
            ca_file: None,
            onboarding: None,
        };
        config.check()?;
        Ok(config)
    }

    /// Checks what the types of the fields leave open.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        for (what, value) in [("organization", &self.org), ("bucket", &self.bucket)] {
            if value.trim().is_empty() && !self.write_only {
                return Err(ConfigError::Value { what, why: "is empty" });
            }
        }
        Ok(())
    }

    pub(super) fn compresses(&self) -> bool {
        match self.gzip {
            Gzip::Auto => !self.url.is_loopback(),
            Gzip::On => true,
            Gzip::Off => false,
        }
    }
}

impl InfluxUrl {
    /// Checks an address.
    pub fn parse(text: &str) -> Result<InfluxUrl, ConfigError> {
        let fault = |why: &str| ConfigError::Url { why: why.to_owned() };
        let url = Url::parse(text.trim()).map_err(|error| fault(&error.to_string()))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(fault("it holds a user or password; the token has a setting of its own"));
        }
        if !matches!(url.scheme(), "http" | "https") {
            return Err(fault("only http and https are spoken"));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(fault("it names no host"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(fault("it has a query or fragment"));
        }
        Ok(InfluxUrl(url))
    }

    /// The address of an endpoint below this one: a path in the base is kept.
    pub(super) fn endpoint(&self, path: &str, query: &[(&str, &str)]) -> Url {
        let mut url = self.0.clone();
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}/{path}"));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// Whether it has a path of its own, so that the server is behind a prefix.
    pub(super) fn has_base_path(&self) -> bool {
        !matches!(self.0.path(), "" | "/")
    }

    pub(super) fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    pub(super) fn is_loopback(&self) -> bool {
        let host = self.0.host_str().unwrap_or_default();
        let address = host.trim_start_matches('[').trim_end_matches(']');
        host.eq_ignore_ascii_case("localhost")
            || address.parse().is_ok_and(|address: IpAddr| address.is_loopback())
    }
}

impl Token {
    /// Checks a token: visible ASCII, so that it fits into a header.
    pub fn new(token: &str) -> Result<Token, ConfigError> {
        if token.bytes().any(|byte| !byte.is_ascii_graphic() && byte != b' ') || token.trim() != token {
            return Err(ConfigError::Value {
                what: "token",
                why: "holds a space at an end, a control character or something else that no header can carry",
            });
        }
        Ok(Token(token.to_owned()))
    }

    pub(super) fn reveal(&self) -> &str {
        &self.0
    }

    /// The text without the token, wherever a server repeated it. What is shorter than a word is no secret, and would make any text unreadable.
    pub(super) fn mask(&self, text: String) -> String {
        const SECRET_MIN_BYTES: usize = 4;
        if self.0.len() < SECRET_MIN_BYTES || !text.contains(&self.0) {
            text
        } else {
            text.replace(&self.0, "***")
        }
    }
}

impl fmt::Display for InfluxUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

impl fmt::Debug for InfluxUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "(empty)" } else { "***" })
    }
}

impl fmt::Debug for Onboarding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Onboarding {{ username: {:?}, password: *** }}", self.username)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(url: &str) -> String {
        InfluxConfig::new(url, "org", "bucket", "t").expect_err(url).to_string()
    }

    #[test]
    fn a_base_path_is_kept_with_and_without_a_slash_at_its_end() {
        for (base, expected) in [
            ("http://localhost:8086", "http://localhost:8086/api/v2/write?org=my+org&bucket=b%26c"),
            (
                "https://example.org/influx/",
                "https://example.org/influx/api/v2/write?org=my+org&bucket=b%26c",
            ),
            ("http://g:4000/v1/influxdb", "http://g:4000/v1/influxdb/api/v2/write?org=my+org&bucket=b%26c"),
        ] {
            let url = InfluxUrl::parse(base).expect("a good address");
            let endpoint = url.endpoint("api/v2/write", &[("org", "my org"), ("bucket", "b&c")]);
            assert_eq!(endpoint.as_str(), expected);
        }
    }

    #[test]
    fn addresses_that_cannot_work_are_named_without_their_password() {
        for (url, why) in [
            ("localhost:8086", "only http and https are spoken"),
            ("not an address", "relative URL without a base"),
            ("http://", "empty host"),
            ("ftp://host/", "only http and https are spoken"),
            ("http://host/?db=1", "it has a query or fragment"),
            ("http://host/#x", "it has a query or fragment"),
        ] {
            assert!(fault(url).contains(why), "{url}: {}", fault(url));
        }
        for url in [
            "http://me:hunter2@host:8086/",
            "http//me:hunter2@host",
            "http://h/?token=hunter2",
            "ftp://h/?hunter2",
        ] {
            assert!(!fault(url).contains("hunter2"), "{}", fault(url));
        }
    }

    #[test]
    fn empty_names_and_unprintable_tokens_are_refused() {
        for (org, bucket, token) in
            [("", "b", "t"), ("o", " ", "t"), ("o", "b", "t\n"), ("o", "b", "tökn"), ("o", "b", " t")]
        {
            assert!(
                InfluxConfig::new("http://h", org, bucket, token).is_err(),
                "{org:?} {bucket:?} {token:?}"
            );
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        let mut config = InfluxConfig::new("http://h", "o", "b", "hunter2-token").expect("good");
        config.onboarding =
            Some(Onboarding { username: "me".to_owned(), password: "hunter2-password".to_owned() });
        assert!(!format!("{config:?}").contains("hunter2"), "{config:?}");
        assert_eq!(Token::new("t").expect("good").mask("total".to_owned()), "total");
        assert_eq!(config.token.mask("bad token hunter2-token!".to_owned()), "bad token ***!");
    }

    #[test]
    fn only_a_server_on_this_machine_gets_plain_bodies_by_itself() {
        for (url, loopback) in [
            ("http://localhost:8086", true),
            ("http://127.0.0.1:8086", true),
            ("https://[::1]:8086", true),
            ("http://influx_db:8086", false),
            ("http://10.0.0.1", false),
        ] {
            let config = InfluxConfig::new(url, "o", "b", "t").expect("good");
            assert_eq!(!config.compresses(), loopback, "{url}");
        }
    }
}
