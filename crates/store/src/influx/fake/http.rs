//! As much HTTP/1.1 as our clients speak: one request in, one answer out, on a blocking connection. Knows nothing of InfluxDB.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// The longest body that is read, in bytes: more is a fault of the test.
const BODY_MAX_BYTES: u64 = 256 * 1024 * 1024;

/// A request.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: String,
    /// Path and query.
    pub(super) target: String,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

/// An answer of the stand-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Further headers.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: String,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The path without the query.
    pub(super) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// A value of the query.
    pub(super) fn query(&self, name: &str) -> Option<String> {
        let url = reqwest::Url::parse(&format!("http://fake{}", self.target)).ok()?;
        url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }

    /// The next request of a connection; None when the client has closed it.
    pub(super) fn read(connection: &mut BufReader<TcpStream>) -> io::Result<Option<Request>> {
        let mut line = String::new();
        if connection.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut words = line.split_whitespace();
        let (method, target) =
            (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            connection.read_line(&mut line)?;
            match line.trim_end().split_once(':') {
                Some((key, value)) => headers.push((key.to_ascii_lowercase(), value.trim().to_owned())),
                None => break,
            }
        }
        let mut request = Request { method, target, headers, body: Vec::new() };
        if request.header("transfer-encoding") == Some("chunked") {
            request.body = read_chunks(connection)?;
        } else if let Some(length) =
            request.header("content-length").and_then(|value| value.parse::<u64>().ok())
        {
            connection.take(length.min(BODY_MAX_BYTES)).read_to_end(&mut request.body)?;
        }
        if request.header("content-encoding") == Some("gzip") {
            let mut plain = Vec::new();
            flate2::read::MultiGzDecoder::new(request.body.as_slice())
                .take(BODY_MAX_BYTES)
                .read_to_end(&mut plain)?;
            request.body = plain;
        }
        Ok(Some(request))
    }
}

fn read_chunks(connection: &mut BufReader<TcpStream>) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        connection.read_line(&mut line)?;
        let length = u64::from_str_radix(line.trim(), 16).map_err(|_| io::ErrorKind::InvalidData)?;
        connection.by_ref().take(length.min(BODY_MAX_BYTES)).read_to_end(&mut body)?;
        connection.read_line(&mut line)?;
        if length == 0 {
            return Ok(body);
        }
    }
}

impl Answer {
    /// An answer with a body and no further headers.
    pub fn new(status: u16, body: impl Into<String>) -> Answer {
        Answer { status, headers: Vec::new(), body: body.into() }
    }

    /// An error in InfluxDB's form.
    pub fn error(status: u16, code: &str, message: &str) -> Answer {
        Answer::new(status, serde_json::json!({ "code": code, "message": message }).to_string())
            .with("Content-Type", "application/json")
    }

    /// Busy: 503, and when to come again.
    pub fn busy(retry_after_seconds: u64) -> Answer {
        Answer::error(503, "unavailable", "busy").with("Retry-After", &retry_after_seconds.to_string())
    }

    /// 413.
    pub fn too_large() -> Answer {
        Answer::error(413, "request too large", "request body too large")
    }

    /// What InfluxDB says when `duration` was stored as an integer before.
    pub fn field_type_conflict() -> Answer {
        Answer::error(
            422,
            "unprocessable entity",
            "failure writing points to database: partial write: field type conflict: input field \"duration\" on measurement \"api_requests\" is type float, already exists as type integer dropped=1",
        )
    }

    /// The same answer with one more header.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Answer {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(super) fn write(&self, mut connection: &TcpStream) -> io::Result<()> {
        let mut text = format!("HTTP/1.1 {} Fake\r\n", self.status);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        // 204 has no body, and says nothing of its length.
        if self.status != 204 {
            text.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        text.push_str("\r\n");
        if self.status != 204 {
            text.push_str(&self.body);
        }
        connection.write_all(text.as_bytes())
    }
}
