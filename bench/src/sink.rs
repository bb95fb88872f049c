//! The null sink: an HTTP server that takes line protocol as InfluxDB does, reads every body to its end, counts its lines and forgets them. Each line goes into a sum of
//! hashes too, so that one that is missing, doubled or changed is noticed whatever order they come in. What the processor asks beside its writes (bucket, owner,
//! generations, a request read back) is answered by the store's stand-in, so that no guarantee has to be switched off.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use store::influx::fake::FakeInflux;
use xxhash_rust::xxh3::xxh3_64;

/// What the sink gets wrong on purpose, to see whether it is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The first line of the first body is overlooked.
    Lose,
    /// It is counted twice.
    Double,
}

/// What has come.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Lines of requests.
    pub lines: u64,
    /// Sum of their hashes.
    pub sum: u64,
    /// Bodies of requests.
    pub bodies: u64,
    /// Their bytes on the wire.
    pub wire_bytes: u64,
    /// Their bytes, decompressed.
    pub body_bytes: u64,
    /// The start of the first generation that was registered.
    pub start: Option<u64>,
    /// When the last body was read.
    pub last: Option<Instant>,
    /// Some bodies, for requests that are read back.
    kept: VecDeque<Vec<u8>>,
    fault: Option<Fault>,
}

/// So many bodies are kept.
const KEPT_BODIES: usize = 32;

/// A running sink; ends with the process.
#[derive(Debug)]
pub struct Sink {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    tally: Mutex<Tally>,
    fake: FakeInflux,
    hash: fn(&[u8]) -> u64,
}

impl Shared {
    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink {
    /// Starts on a free port of the loopback.
    ///
    /// # Errors
    /// There is no port.
    pub fn start(fault: Option<Fault>) -> io::Result<Sink> {
        Sink::start_with(fault, xxh3_64)
    }

    /// The same with another hash of a line.
    ///
    /// # Errors
    /// There is no port.
    pub fn start_with(fault: Option<Fault>, hash: fn(&[u8]) -> u64) -> io::Result<Sink> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let tally = Mutex::new(Tally { fault, ..Tally::default() });
        let sink = Sink {
            address: listener.local_addr()?,
            shared: Arc::new(Shared { tally, fake: FakeInflux::start()?, hash }),
        };
        let shared = Arc::clone(&sink.shared);
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                // A connection that breaks is the client's affair: what was not acknowledged comes again.
                std::thread::spawn(move || serve(&connection, &shared));
            }
        });
        Ok(sink)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What has come so far.
    pub fn tally(&self) -> Tally {
        let tally = self.shared.tally();
        Tally { kept: VecDeque::new(), ..tally.clone() }
    }
}

/// A request as it came.
#[derive(Debug, Default)]
struct Request {
    head: Vec<u8>,
    body: Vec<u8>,
    is_write: bool,
    is_gzip: bool,
}

fn serve(connection: &TcpStream, shared: &Shared) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(256 << 10, connection.try_clone()?);
    let mut request = Request::default();
    while request.read(&mut reader)? {
        let wire_bytes = request.body.len() as u64;
        if request.is_gzip {
            let packed = std::mem::take(&mut request.body);
            flate2::read::MultiGzDecoder::new(packed.as_slice()).read_to_end(&mut request.body)?;
        }
        if request.is_write && request.body.starts_with(b"api_requests") {
            count(&request.body, wire_bytes, shared);
            (&*connection).write_all(b"HTTP/1.1 204 No Content\r\n\r\n")?;
        } else {
            note_start(&request, shared);
            find_sample(&request, shared);
            (&*connection).write_all(&forward(&request, shared.fake.address())?)?;
        }
    }
    Ok(())
}

impl Request {
    /// Reads the next one; false when the client has closed the connection.
    fn read(&mut self, reader: &mut BufReader<TcpStream>) -> io::Result<bool> {
        self.head.clear();
        self.body.clear();
        let (mut length, mut chunked) = (0, false);
        self.is_gzip = false;
        loop {
            let from = self.head.len();
            if reader.read_until(b'\n', &mut self.head)? == 0 {
                return Ok(false);
            }
            let line = String::from_utf8_lossy(&self.head[from..]).to_ascii_lowercase();
            if from == 0 {
                self.is_write = line.starts_with("post ") && line.contains("/write");
            }
            match line.trim_end().split_once(": ") {
                Some(("content-length", value)) => length = value.parse().unwrap_or(0),
                Some(("transfer-encoding", "chunked")) => chunked = true,
                Some(("content-encoding", "gzip")) => self.is_gzip = true,
                Some(_) => {}
                None if line.trim_end().is_empty() => break,
                None => {}
            }
        }
        if chunked {
            self.read_chunks(reader)?;
        } else {
            reader.take(length).read_to_end(&mut self.body)?;
        }
        Ok(true)
    }

    fn read_chunks(&mut self, reader: &mut BufReader<TcpStream>) -> io::Result<()> {
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let length = u64::from_str_radix(line.trim(), 16).map_err(|_| io::ErrorKind::InvalidData)?;
            reader.by_ref().take(length).read_to_end(&mut self.body)?;
            reader.read_line(&mut line)?;
            if length == 0 {
                return Ok(());
            }
        }
    }
}

/// The sum of the hashes of some lines, and how many they are.
pub fn sum_of(body: &[u8]) -> (u64, u64) {
    sum_with(body, xxh3_64)
}

fn sum_with(body: &[u8], hash: impl Fn(&[u8]) -> u64) -> (u64, u64) {
    let (mut lines, mut sum, mut from) = (0, 0_u64, 0);
    for end in memchr::memchr_iter(b'\n', body) {
        sum = sum.wrapping_add(hash(&body[from..end]));
        lines += 1;
        from = end + 1;
    }
    (lines, sum)
}

fn count(body: &[u8], wire_bytes: u64, shared: &Shared) {
    let (mut lines, mut sum) = sum_with(body, shared.hash);
    let first = memchr::memchr(b'\n', body).map_or(0, |end| (shared.hash)(&body[..end]));
    let mut tally = shared.tally();
    match tally.fault.take() {
        None => {}
        Some(Fault::Lose) => (lines, sum) = (lines - 1, sum.wrapping_sub(first)),
        Some(Fault::Double) => (lines, sum) = (lines + 1, sum.wrapping_add(first)),
    }
    tally.lines += lines;
    tally.sum = tally.sum.wrapping_add(sum);
    tally.bodies += 1;
    tally.wire_bytes += wire_bytes;
    tally.body_bytes += body.len() as u64;
    tally.last = Some(Instant::now());
    if tally.kept.len() < KEPT_BODIES || tally.bodies.is_multiple_of(16) {
        let mut kept = if tally.kept.len() < KEPT_BODIES {
            Vec::new()
        } else {
            tally.kept.pop_front().unwrap_or_default()
        };
        kept.clear();
        kept.extend_from_slice(body);
        tally.kept.push_back(kept);
    }
}

/// Remembers the start in a generation's point.
fn note_start(request: &Request, shared: &Shared) {
    let text = String::from_utf8_lossy(&request.body);
    if let Some((_, rest)) = text.split_once(" start=").filter(|_| text.starts_with("api_log_generations"))
        && let Some(start) = rest.split_once('i').and_then(|(digits, _)| digits.parse::<i64>().ok())
    {
        shared.tally().start.get_or_insert(start.cast_unsigned());
    }
}

/// When a stored request is asked for, the stand-in gets its line, if it is among the bodies that are kept.
fn find_sample(request: &Request, shared: &Shared) {
    let text = String::from_utf8_lossy(&request.body);
    if !text.contains("tailgauge: stored requests") {
        return;
    }
    let times = text.split('"').filter_map(|part| chrono::DateTime::parse_from_rfc3339(part).ok());
    let Some(nanos) = times.filter_map(|time| time.timestamp_nanos_opt()).min() else { return };
    let end = format!(" {nanos}");
    let line = shared.tally().kept.iter().find_map(|body| {
        let text = std::str::from_utf8(body).ok()?;
        text.lines().find(|line| line.ends_with(&end)).map(str::to_owned)
    });
    if let Some(line) = line {
        shared.fake.write_by_hand(&format!("{line}\n")).expect("the processor writes line protocol");
    }
}

/// Asks the stand-in and returns its answer.
fn forward(request: &Request, fake: SocketAddr) -> io::Result<Vec<u8>> {
    let mut connection = TcpStream::connect(fake)?;
    // Without what told of the body's form: it goes on plain.
    let head = String::from_utf8_lossy(&request.head);
    let form = ["content-length:", "transfer-encoding:", "content-encoding:"];
    let kept = head.lines().filter(|line| {
        !line.is_empty() && !form.iter().any(|name| line.to_ascii_lowercase().starts_with(name))
    });
    let mut text: String = kept.map(|line| format!("{line}\r\n")).collect();
    text.push_str(&format!("Content-Length: {}\r\n\r\n", request.body.len()));
    connection.write_all(text.as_bytes())?;
    connection.write_all(&request.body)?;
    connection.shutdown(Shutdown::Write)?;
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer)?;
    Ok(answer)
}
