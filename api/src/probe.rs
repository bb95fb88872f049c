//! `api health`: asks a running api how it is, for health checks in images that have no other HTTP client. One request, plain HTTP/1.1.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use axum::http::Uri;

/// How long the whole question may take.
const DEADLINE: Duration = Duration::from_secs(4);
/// As much of an answer as is of interest: the status line, and a problem's text behind the headers.
const ANSWER_MAX_BYTES: u64 = 16 * 1024;

/// Whom to ask, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    host: String,
    port: u16,
    path: String,
}

impl Probe {
    /// The api that listens at an address; one that listens everywhere is asked over loopback.
    pub(crate) fn of_address(bind: SocketAddr, path: &str) -> Result<Self, String> {
        if bind.port() == 0 {
            return Err(
                "API_BIND takes any free port, so its port is not known here; give the URL".to_owned()
            );
        }
        let host = match bind.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            ip => ip,
        };
        Ok(Self { host: host.to_string(), port: bind.port(), path: path.to_owned() })
    }

    /// The api at a URL; without a path of its own it is asked for `path`.
    pub(crate) fn of_url(url: &str, path: &str) -> Result<Self, String> {
        let wrong = || format!("`{url}` is not a URL of the form http://HOST:PORT[/PATH]");
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let host = uri.host().filter(|_| uri.scheme_str() == Some("http")).ok_or_else(wrong)?;
        let own_path = uri.path_and_query().map(|path| path.as_str()).filter(|path| *path != "/");
        Ok(Self {
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: uri.port_u16().unwrap_or(80),
            path: own_path.unwrap_or(path).to_owned(),
        })
    }

    /// Asks. The error says, for people, what is not well.
    pub fn ask(&self) -> Result<(), String> {
        let answer = self.answer().map_err(|error| format!("{self} does not answer: {error}"))?;
        let answer = String::from_utf8_lossy(&answer);
        let status = answer.split_ascii_whitespace().nth(1).unwrap_or_default();
        if answer.starts_with("HTTP/1.1 ") && status == "200" {
            return Ok(());
        }
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body).trim();
        Err(format!("{self} answers {}: {body}", answer.lines().next().unwrap_or_default()))
    }

    fn answer(&self) -> io::Result<Vec<u8>> {
        let end = Instant::now() + DEADLINE;
        let left = || Some(end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1)));
        let mut addresses = (self.host.as_str(), self.port).to_socket_addrs()?;
        let address = addresses.next().ok_or_else(|| io::Error::other("the name has no address"))?;
        let mut stream = TcpStream::connect_timeout(&address, DEADLINE)?;
        stream.set_write_timeout(left())?;
        write!(
            stream,
            "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            self.path,
            self.authority()
        )?;
        let mut answer = Vec::new();
        // Each read may wait as long as is left, so that an answer that comes in drops ends in time, too.
        loop {
            stream.set_read_timeout(left())?;
            let mut block = [0; 4096];
            match stream.read(&mut block)? {
                0 => return Ok(answer),
                _ if Instant::now() >= end => return Err(io::ErrorKind::TimedOut.into()),
                read => answer.extend_from_slice(&block[..read]),
            }
            if answer.len() as u64 > ANSWER_MAX_BYTES {
                return Ok(answer);
            }
        }
    }

    fn authority(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority(), self.path)
    }
}
