//! The bare loader: ready-made bodies posted to a server over kept connections, and nothing else. What a server takes of it, it takes of nobody faster.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;

use anyhow::{Context, bail, ensure};

use crate::stages;

/// Lines of a body, as the processor's batches.
const BODY_LINES: usize = 5000;
/// Connections, as the processor's workers.
const CONNECTIONS: usize = 4;

/// Where bodies go.
#[derive(Clone, Debug)]
pub struct Target {
    address: String,
    path: String,
    token: String,
}

impl Target {
    /// `http://host:port/path?query` and a token.
    ///
    /// # Errors
    /// It is no such address.
    pub fn parse(url: &str, token: &str) -> anyhow::Result<Self> {
        let rest = url.strip_prefix("http://").context("the loader speaks http")?;
        let (address, path) = rest.split_once('/').context("an address and a path")?;
        Ok(Self { address: address.to_owned(), path: format!("/{path}"), token: token.to_owned() })
    }
}

/// The bodies of a log, ready to be sent.
///
/// # Errors
/// The log cannot be read.
pub fn bodies(log: &Path) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut all = Vec::new();
    stages::prototype_fast(log, 0, |body| all.extend_from_slice(body))?;
    let mut bodies = Vec::new();
    let (mut from, mut lines) = (0, 0);
    for end in memchr::memchr_iter(b'\n', &all) {
        lines += 1;
        if lines == BODY_LINES || end + 1 == all.len() {
            bodies.push(all[from..=end].to_vec());
            (from, lines) = (end + 1, 0);
        }
    }
    Ok(bodies)
}

/// Posts all of them; returns how many lines were acknowledged.
///
/// # Errors
/// The server does not take a body.
pub fn post(target: &Target, bodies: &[Vec<u8>]) -> anyhow::Result<u64> {
    let share = bodies.len().div_ceil(CONNECTIONS).max(1);
    std::thread::scope(|scope| {
        let workers: Vec<_> =
            bodies.chunks(share).map(|bodies| scope.spawn(move || post_share(target, bodies))).collect();
        workers.into_iter().map(|worker| worker.join().expect("a loader does not panic")).sum()
    })
}

fn post_share(target: &Target, bodies: &[Vec<u8>]) -> anyhow::Result<u64> {
    let mut connection = TcpStream::connect(&target.address).context("the server")?;
    connection.set_nodelay(true)?;
    let mut answers = BufReader::new(connection.try_clone()?);
    let mut lines = 0;
    for body in bodies {
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nAuthorization: Token {}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\r\n",
            target.path,
            target.address,
            target.token,
            body.len()
        );
        connection.write_all(head.as_bytes())?;
        connection.write_all(body)?;
        read_answer(&mut answers)?;
        lines += memchr::memchr_iter(b'\n', body).count() as u64;
    }
    Ok(lines)
}

fn read_answer(answers: &mut impl BufRead) -> anyhow::Result<()> {
    let mut line = String::new();
    answers.read_line(&mut line)?;
    let status = line.clone();
    ensure!(!status.is_empty(), "the server closed the connection");
    let mut length = 0;
    loop {
        line.clear();
        answers.read_line(&mut line)?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse()?,
            Some(_) => {}
            None => break,
        }
    }
    let mut body = String::new();
    answers.take(length).read_to_string(&mut body)?;
    if !status.contains(" 204") {
        bail!("{}: {body}", status.trim_end());
    }
    Ok(())
}
