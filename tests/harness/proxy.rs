//! A proxy in front of InfluxDB that misbehaves on purpose: it refuses writes, stalls them, or lets them be stored and then withholds the
//! acknowledgement. And it counts what passes: which points came a second time, and whether any of them had changed.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::http::{Answer, connect};
use crate::refusals::{Refusals, refusal};
use crate::wait::eventually;

/// What is done with a write of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// It passes.
    Pass,
    /// It is answered 503 and not stored.
    Refuse,
    /// It is answered with this status and not stored; 429 with a Retry-After of a second.
    Answer(u16),
    /// It is answered as if `duration` were an integer there, and not stored.
    Conflict,
    /// It is kept waiting, not stored, and its connection cut at the release.
    Stall,
    /// Its connection is cut; it is not stored.
    Cut,
    /// It is stored, and its connection cut instead of an answer.
    StoreAndCut,
    /// It is stored, and its answer withheld until the release, which cuts the connection.
    StoreAndWithhold,
}

/// What has passed, or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Writes of requests that have arrived.
    pub writes: u64,
    /// The most requests that one of them had.
    pub largest_write: u64,
    /// Writes of requests that InfluxDB has confirmed to the proxy.
    pub stored_writes: u64,
    /// Requests in those.
    pub points: u64,
    /// Of these the ones that it had confirmed before: replays.
    pub repeated_points: u64,
    /// Of these the ones with other values than before. Never, if points are what they should be.
    pub changed_points: u64,
    /// Writes that are on their way now.
    pub under_way: u64,
    /// Writes whose answer is withheld now.
    pub withheld: u64,
}

type Rule = Box<dyn FnMut() -> Treatment + Send>;

/// The proxy; stops when dropped.
pub struct Proxy {
    shared: Arc<Shared>,
    address: SocketAddr,
}

struct Shared {
    upstream: String,
    ended: AtomicBool,
    state: Mutex<State>,
    released: Condvar,
}

#[derive(Default)]
struct State {
    rule: Option<Rule>,
    refusals: Refusals,
    releases: u64,
    counts: Counts,
    /// Points by their identity, each with its values; both as hashes.
    seen: HashMap<u64, u64>,
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Proxy").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Proxy {
    /// On a free port, in front of a server.
    pub fn in_front_of(upstream: &str) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared {
            upstream: upstream.to_owned(),
            ended: AtomicBool::new(false),
            state: Mutex::default(),
            released: Condvar::new(),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if accepting.ended.load(Ordering::Relaxed) {
                    return;
                }
                let serving = Arc::clone(&accepting);
                if let Ok(client) = client {
                    // A client that is killed breaks its connection: that is what this is for.
                    std::thread::spawn(move || drop(serving.serve(client)));
                }
            }
        });
        Proxy { shared, address }
    }

    /// Its address as INFLUXDB_URL has it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on writes of requests are treated by this rule, which is given their number, from 1 on for each rule.
    pub fn treat(&self, mut rule: impl FnMut(u64) -> Treatment + Send + 'static) {
        let mut number = 0;
        self.shared.lock().rule = Some(Box::new(move || {
            number += 1;
            rule(number)
        }));
    }

    /// From now on this is refused of what passes, until it is told otherwise.
    pub fn refuse(&self, refusals: Refusals) {
        self.shared.lock().refusals = refusals;
    }

    /// Everything passes, and what was kept waiting is cut.
    pub fn release(&self) {
        let mut state = self.shared.lock();
        state.rule = None;
        state.releases += 1;
        self.shared.released.notify_all();
    }

    /// What has passed so far.
    pub fn counts(&self) -> Counts {
        self.shared.lock().counts
    }

    /// Waits for the counts to be as wished.
    pub fn until(&self, deadline: Duration, what: &str, wish: impl Fn(&Counts) -> bool) -> Counts {
        eventually(deadline, what, || {
            let counts = self.counts();
            if wish(&counts) { Ok(counts) } else { Err(format!("{counts:?}")) }
        })
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        self.release();
        // Wakes the thread that accepts; nobody minds if it has ended already.
        drop(TcpStream::connect(self.address));
    }
}

/// A question as it came in.
struct Question {
    method: String,
    target: String,
    headers: Vec<String>,
    body: Vec<u8>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves one connection until it ends.
    fn serve(&self, client: TcpStream) -> io::Result<()> {
        client.set_nodelay(true)?;
        let mut reader = BufReader::new(client.try_clone()?);
        let mut client = client;
        while let Some(question) = Question::read(&mut reader)? {
            if !question.is_write_of_requests() {
                answer(&mut client, &self.forward(&question)?)?;
                continue;
            }
            let treatment = self.arrived(question.lines().count() as u64);
            let outcome = self.treat(&question, treatment, &mut client);
            self.lock().counts.under_way -= 1;
            if !outcome? {
                return client.shutdown(std::net::Shutdown::Both);
            }
        }
        Ok(())
    }

    fn arrived(&self, requests: u64) -> Treatment {
        let mut state = self.lock();
        state.counts.writes += 1;
        state.counts.largest_write = state.counts.largest_write.max(requests);
        state.counts.under_way += 1;
        state.rule.as_mut().map_or(Treatment::Pass, |rule| rule())
    }

    /// Does what the rule said. False: the connection ends here.
    fn treat(&self, question: &Question, treatment: Treatment, client: &mut TcpStream) -> io::Result<bool> {
        match treatment {
            Treatment::Pass => {
                let stored = self.store(question)?;
                answer(client, &stored)?;
                Ok(true)
            }
            Treatment::Refuse => {
                answer(client, &refusal(503, "unavailable", "refused by the test"))?;
                Ok(true)
            }
            Treatment::Answer(status) => {
                let mut refusal = refusal(status, "of the test", "refused by the test");
                if status == 429 {
                    refusal.headers.push(("retry-after".to_owned(), "1".to_owned()));
                }
                answer(client, &refusal)?;
                Ok(true)
            }
            Treatment::Conflict => {
                let words = "failure writing points to database: partial write: field type conflict: input field \"duration\" on \
                             measurement \"api_requests\" is type float, already exists as type integer dropped=1";
                answer(client, &refusal(422, "unprocessable entity", words))?;
                Ok(true)
            }
            Treatment::Cut => Ok(false),
            Treatment::Stall => {
                self.wait_for_release();
                Ok(false)
            }
            Treatment::StoreAndCut => self.store(question).map(|_| false),
            Treatment::StoreAndWithhold => {
                self.store(question)?;
                self.lock().counts.withheld += 1;
                self.wait_for_release();
                self.lock().counts.withheld -= 1;
                Ok(false)
            }
        }
    }

    fn wait_for_release(&self) {
        let state = self.lock();
        let before = state.releases;
        drop(self.released.wait_while(state, |state| state.releases == before));
    }

    /// Has InfluxDB store a write, as far as it is not refused, and counts what it confirms.
    fn store(&self, question: &Question) -> io::Result<Answer> {
        let refusals = self.lock().refusals;
        let Some(refused) = refusals.judge(&question.body) else { return self.store_all(question) };
        if !refused.stored.is_empty() {
            let rest = Question {
                method: question.method.clone(),
                target: question.target.clone(),
                headers: with_length(&question.headers, refused.stored.len()),
                body: refused.stored,
            };
            self.store_all(&rest)?;
        }
        Ok(refused.answer)
    }

    fn store_all(&self, question: &Question) -> io::Result<Answer> {
        let answer = self.forward(question)?;
        if answer.status == 204 {
            let mut state = self.lock();
            state.counts.stored_writes += 1;
            for line in question.lines() {
                let (identity, values) = identity_and_values(line);
                state.counts.points += 1;
                if let Some(before) = state.seen.insert(identity, values) {
                    state.counts.repeated_points += 1;
                    state.counts.changed_points += u64::from(before != values);
                }
            }
        }
        Ok(answer)
    }

    fn forward(&self, question: &Question) -> io::Result<Answer> {
        let mut upstream = connect(&self.upstream)?;
        let mut head = format!("{} {} HTTP/1.0\r\n", question.method, question.target);
        for header in &question.headers {
            head += &format!("{header}\r\n");
        }
        upstream.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes())?;
        upstream.write_all(&question.body)?;
        Answer::read(&mut upstream)
    }
}

impl Question {
    /// None when the client has ended the connection between two questions.
    fn read(reader: &mut BufReader<TcpStream>) -> io::Result<Option<Question>> {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut words = line.split_whitespace().map(str::to_owned);
        let (Some(method), Some(target)) = (words.next(), words.next()) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let mut headers = Vec::new();
        let mut length = 0;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            let header = header.trim_end();
            let Some((name, value)) = header.split_once(':') else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().map_err(|_| io::ErrorKind::InvalidData)?,
                // Without lengths or with packed bodies nothing could be counted; our store does neither to this machine.
                "transfer-encoding" | "content-encoding" => return Err(io::ErrorKind::Unsupported.into()),
                "connection" => continue,
                _ => {}
            }
            headers.push(header.to_owned());
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        Ok(Some(Question { method, target, headers, body }))
    }

    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
    }

    fn is_write_of_requests(&self) -> bool {
        self.target.contains("/api/v2/write") && self.body.starts_with(b"api_requests,")
    }
}

/// The headers of a body of another length.
fn with_length(headers: &[String], bytes: usize) -> Vec<String> {
    let is_length = |header: &&String| header.to_ascii_lowercase().starts_with("content-length:");
    let others = headers.iter().filter(|header| !is_length(header)).cloned();
    others.chain([format!("content-length: {bytes}")]).collect()
}

fn answer(client: &mut TcpStream, answer: &Answer) -> io::Result<()> {
    let mut head = format!("HTTP/1.1 {} by-the-proxy\r\n", answer.status);
    let ours = ["content-length", "connection", "transfer-encoding"];
    for (name, value) in answer.headers.iter().filter(|(name, _)| !ours.contains(&name.as_str())) {
        head += &format!("{name}: {value}\r\n");
    }
    if answer.status != 204 {
        head += &format!("content-length: {}\r\n", answer.body.len());
    }
    client.write_all(format!("{head}\r\n").as_bytes())?;
    client.write_all(&answer.body)
}

/// Of a line of line protocol: measurement, tags and time as one hash, the fields as another.
fn identity_and_values(line: &[u8]) -> (u64, u64) {
    let hash = |parts: &[&[u8]]| {
        let mut hasher = DefaultHasher::new();
        parts.hash(&mut hasher);
        hasher.finish()
    };
    let escaped = |place: usize| place > 0 && line[place - 1] == b'\\';
    let first = (0..line.len()).find(|&place| line[place] == b' ' && !escaped(place)).unwrap_or(line.len());
    let last = line.iter().rposition(|byte| *byte == b' ').filter(|last| *last > first).unwrap_or(line.len());
    (hash(&[&line[..first], &line[last..]]), hash(&[&line[first..last]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_known_by_measurement_tags_and_time() {
        let of = |line: &str| identity_and_values(line.as_bytes());
        let line = r#"api_requests,customer_id=a\ b,success=1 duration=0.5,request_path="/x y" 1"#;
        assert_eq!(of(line), of(line));
        assert_eq!(of(line).0, of(&line.replace("0.5", "0.6")).0);
        assert_ne!(of(line).1, of(&line.replace("0.5", "0.6")).1);
        assert_ne!(of(line).0, of(&line.replace("a\\ b", "a\\ c")).0);
        assert_ne!(of(line).0, of(&format!("{line}2")).0);
    }
}
