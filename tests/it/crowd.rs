//! Many at once: live streams, stuck ones among them, and readers that ask without a pause. Nobody gets an error, every stream goes on each second, memory stays what it was.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use system_tests::groups::{Group, heavy, left_out, long, scaled};
use system_tests::stack::{Api, Stack, days_ago};
use system_tests::tell;
use system_tests::wait::{PATIENCE, eventually, holds};

const STREAMS: u64 = 500;
/// They listen and never read.
const STUCK: u64 = 20;
const READERS: u64 = 200;
const CUSTOMERS: u64 = 50;
/// A reader or a stream needs little.
const STACK_BYTES: usize = 128 << 10;
const DEADLINE: Duration = Duration::from_secs(30);
/// Statistics within that, on a quiet machine.
const P99_MAX: Duration = Duration::from_millis(50);
/// And on one that does other work, a client without optimizations included.
const P99_MAX_BUSY: Duration = Duration::from_secs(1);
const MEMORY_MAX_KIB: u64 = 200 << 10;
/// Of what it had in the first half; in some seconds it may still be taking what it needs.
const MEMORY_MAY_GROW_PERCENT: u64 = 10;
const MEMORY_MAY_GROW_PERCENT_SHORT: u64 = 40;

/// A connection that is kept for one question after the other.
struct Asking {
    stream: BufReader<TcpStream>,
    address: String,
}

impl Asking {
    fn connect(address: &str) -> io::Result<Asking> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_nodelay(true)?;
        Ok(Asking { stream: BufReader::new(stream), address: address.to_owned() })
    }

    fn ask(&mut self, path: &str) -> io::Result<()> {
        let question = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address);
        self.stream.get_mut().write_all(question.as_bytes())
    }

    /// A line of the answer's head, without its end.
    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }

    /// The status, and how long the body is.
    fn head(&mut self) -> io::Result<(String, usize)> {
        let (status, mut length) = (self.line()?, 0);
        loop {
            let line = self.line()?.to_ascii_lowercase();
            if line.is_empty() {
                return Ok((status, length));
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
        }
    }

    /// Asks and reads the answer to its end; how long that took.
    fn answered(&mut self, path: &str, body: &mut Vec<u8>) -> io::Result<Duration> {
        let begun = Instant::now();
        self.ask(path)?;
        let (status, length) = self.head()?;
        body.resize(length, 0);
        self.stream.read_exact(body)?;
        let took = begun.elapsed();
        let is_right = status.contains(" 200 ") && body.windows(16).any(|part| part == b"\"total_requests\"");
        let complaint = || io::Error::other(format!("{path}: {status} {}", String::from_utf8_lossy(body)));
        if is_right { Ok(took) } else { Err(complaint()) }
    }
}

/// Listens until it is over; how many ticks came.
fn listen(address: &str, number: u64, over: &AtomicBool) -> io::Result<u64> {
    let mut stream = Asking::connect(address)?;
    let path = match number % 5 {
        0 => "/v1/live".to_owned(),
        _ => format!("/v1/customers/cust_{}/live", 1 + number % CUSTOMERS),
    };
    stream.ask(&path)?;
    let (status, _) = stream.head()?;
    if !status.contains(" 200 ") {
        return Err(io::Error::other(status));
    }
    let mut ticks = 0;
    while !over.load(Ordering::Relaxed) {
        ticks += u64::from(stream.line()? == "event: tick");
    }
    Ok(ticks)
}

/// Asks for statistics without a pause until it is over; how long each answer took.
fn read(address: &str, number: u64, from_date: &str, over: &AtomicBool) -> io::Result<Vec<Duration>> {
    let mut asking = Asking::connect(address)?;
    let (mut took, mut body) = (Vec::new(), Vec::new());
    for turn in number.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let customer = 1 + turn * 7 % CUSTOMERS;
        let path = match turn % 2 {
            0 => format!("/customers/cust_{customer}/stats?from_date={from_date}"),
            _ => format!("/v1/customers/cust_{customer}/stats?from=-24h"),
        };
        took.push(asking.answered(&path, &mut body)?);
    }
    Ok(took)
}

fn all<T>(threads: Vec<ScopedJoinHandle<'_, io::Result<T>>>, what: &str) -> Vec<T> {
    let answers = threads.into_iter().map(|thread| thread.join().expect("no panic"));
    answers.collect::<io::Result<_>>().unwrap_or_else(|error| panic!("{what}: {error}"))
}

/// The most memory the api has in each half of a time.
fn memory_kib(api: &Api, time: Duration) -> [u64; 2] {
    let (begun, mut highest) = (Instant::now(), [0, 0]);
    while begun.elapsed() < time {
        let half = usize::from(begun.elapsed() > time / 2);
        highest[half] = api.program.rss_kib().max(highest[half]);
        // The time itself is what is measured here.
        thread::sleep(Duration::from_millis(100));
    }
    highest
}

#[test]
#[ignore = "a whole-system test: ./start.sh test runs it"]
fn five_hundred_streams_and_two_hundred_readers_are_served_at_once() {
    if left_out(Group::Native) {
        return;
    }
    let _turn = heavy();
    let seconds = scaled("SYSTEM_TESTS_CROWD_SECONDS", 6, 30);
    let stack = Stack::embedded();
    let generator = stack.generator(&[
        ("LOG_BACKFILL_DAYS", "7"),
        ("LOG_BATCH_SIZE", "100"),
        ("LOG_INTERVAL_SECONDS", "0.1"),
    ]);
    let processor = stack.processor();
    let api = stack.api();
    let url = api.url();
    let (address, from_date) = (url.trim_start_matches("http://"), days_ago(30));
    eventually(PATIENCE, "every customer is there", || {
        let found = api.get("/customers?limit=200").json()["data"].as_array().map_or(0, Vec::len);
        holds(found as u64 >= CUSTOMERS, || format!("{found} are"))
    });
    let (over, listening) = (AtomicBool::new(false), AtomicU64::new(0));
    let (ticks, mut took, memory) = thread::scope(|scope| {
        let small = || thread::Builder::new().stack_size(STACK_BYTES);
        let stuck: Vec<Asking> = (0..STUCK)
            .map(|_| {
                let mut stream = Asking::connect(address).expect("it listens");
                stream.ask("/v1/live").expect("it takes questions");
                stream
            })
            .collect();
        let (over, listening, from_date) = (&over, &listening, &from_date);
        let streams = (0..STREAMS).map(|number| {
            let stream = move || {
                listening.fetch_add(1, Ordering::Relaxed);
                listen(address, number, over)
            };
            small().spawn_scoped(scope, stream).expect("a thread")
        });
        let streams: Vec<_> = streams.collect();
        eventually(PATIENCE, "all listen", || {
            holds(listening.load(Ordering::Relaxed) == STREAMS, || "not all".to_owned())
        });
        let readers = (0..READERS)
            .map(|number| small().spawn_scoped(scope, move || read(address, number, from_date, over)));
        let readers: Vec<_> = readers.map(|reader| reader.expect("a thread")).collect();
        let memory = memory_kib(&api, Duration::from_secs(seconds));
        over.store(true, Ordering::Relaxed);
        let took: Vec<Duration> = all(readers, "a reader").into_iter().flatten().collect();
        let ticks = all(streams, "a stream");
        drop(stuck);
        (ticks, took, memory)
    });
    took.sort_unstable();
    let at = |percent: usize| took[(took.len() * percent / 100).min(took.len() - 1)];
    let fewest = ticks.iter().min().expect("streams");
    tell(&format!(
        "{STREAMS} streams (at least {fewest} ticks in {seconds} s), {READERS} readers: {} answers a second, p50 {:.1?}, p99 {:.1?}; memory {} KiB, then {} KiB",
        took.len() as u64 / seconds,
        at(50),
        at(99),
        memory[0],
        memory[1]
    ));
    assert!(fewest + 3 >= seconds, "a stream had {fewest} ticks in {seconds} s");
    let most = if long() { P99_MAX } else { P99_MAX_BUSY };
    assert!(at(99) <= most, "p99 {:?}, at most {most:?} wanted", at(99));
    assert!(memory[1] <= MEMORY_MAX_KIB, "{memory:?} KiB");
    let percent = if long() { MEMORY_MAY_GROW_PERCENT } else { MEMORY_MAY_GROW_PERCENT_SHORT };
    assert!(memory[1] <= memory[0] * (100 + percent) / 100, "it grows: {memory:?} KiB");
    assert_eq!((generator.stop(), processor.program.stop(), api.program.stop()), (0, 0, 0));
}
