//! A stand-in for InfluxDB 2 inside the test's own process: takes writes, keeps points by their identity as InfluxDB does, and misbehaves on demand (refuses, stalls,
//! cuts, keeps the acknowledgement to itself). For tests only (feature `fake`); it runs on threads of its own, so any kind of test can use it.
//!
//! It answers `/health`, `/ready`, the look-up and creation of a bucket, `/api/v2/write`, and of `/api/v2/query` just the processor's own questions, known by the comment in their first line: a source's generations,
//! its owner and what was said about it, its stored requests. Statistics are asked of a real InfluxDB.

mod http;
mod line;
mod points;
mod serve;

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use http::Answer;
pub use line::{FieldValue, Point, parse_line};
use points::Points;

/// What happens to one write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is stored and acknowledged.
    None,
    /// Nothing is stored; this is answered.
    Answer(Answer),
    /// It is stored; this is answered.
    StoreAndAnswer(Answer),
    /// The connection is closed without an answer, before storing or after it.
    Cut {
        /// Whether it is stored first.
        store: bool,
    },
    /// No answer until [`FakeInflux::release`]; then 204 if it was stored, else the connection is closed.
    Withhold {
        /// Whether it is stored first.
        store: bool,
    },
    /// It is stored, and acknowledged that much later.
    Slow(Duration),
}

/// A write that has just been read, before anything is done with it.
#[derive(Clone, Copy, Debug)]
pub struct SeenWrite<'a> {
    /// Its number, from 1.
    pub number: u64,
    /// Its line protocol, decompressed.
    pub body: &'a str,
    /// Whether it came compressed.
    pub gzip: bool,
}

/// What always holds, whatever the scripted faults are.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Larger bodies (decompressed, in bytes) are answered 413.
    pub body_max_bytes: Option<usize>,
    /// A body with this text in a line is answered 400, naming that line; nothing is stored.
    pub refuse_lines_with: Option<String>,
    /// Writes of requests are answered with a field type conflict, storing nothing.
    pub field_type_conflict: bool,
    /// Only this token is let in; others are answered 401.
    pub token: Option<String>,
    /// A request whose path is this one gets this answer instead of its own. Writes are scripted apart.
    pub instead: Vec<(String, Answer)>,
    /// There is no bucket until one is created: writes and questions are answered 404.
    pub bucket_missing: bool,
}

/// What has happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Writes that were read to their end.
    pub writes: u64,
    /// Of these: stored.
    pub stored_writes: u64,
    /// Of these: acknowledged with 204.
    pub acknowledged_writes: u64,
    /// Points, by identity, of all measurements.
    pub points: u64,
    /// How often a point came again with the same fields: replays.
    pub repeated_points: u64,
    /// How often a point came again with other fields. Of requests this must never happen.
    pub changed_points: u64,
    /// Requests of any kind.
    pub requests: u64,
}

/// The stand-in. It ends when it is dropped.
pub struct FakeInflux {
    address: SocketAddr,
    shared: Arc<Shared>,
}

type Script = Box<dyn FnMut(&SeenWrite<'_>) -> Fault + Send>;

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Something changed: a request was counted, withheld writes were released, the end has come.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    points: Points,
    counts: Counts,
    rules: Rules,
    queue: VecDeque<Fault>,
    script: Option<Script>,
    releases: u64,
    stopped: bool,
    connections: Vec<TcpStream>,
}

impl FakeInflux {
    /// Starts on a free port of the loopback.
    pub fn start() -> io::Result<FakeInflux> {
        FakeInflux::start_at(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// Starts on a given address: one that [`FakeInflux::stop`] has let go, say.
    pub fn start_at(address: SocketAddr) -> io::Result<FakeInflux> {
        let listener = TcpListener::bind(address)?;
        let fake = FakeInflux { address: listener.local_addr()?, shared: Arc::default() };
        fake.accept(listener);
        Ok(fake)
    }

    fn accept(&self, listener: TcpListener) {
        let shared = Arc::clone(&self.shared);
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let mut state = shared.lock();
                if state.stopped {
                    return;
                }
                if let Ok(twin) = connection.try_clone() {
                    state.connections.push(twin);
                }
                drop(state);
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || serve::serve(connection, &shared));
            }
        });
    }

    /// Its address, for INFLUXDB_URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next `times` writes meet this fault; it comes before what [`FakeInflux::on_write`] says.
    pub fn fail_next(&self, times: usize, fault: &Fault) {
        self.shared.lock().queue.extend(std::iter::repeat_n(fault.clone(), times));
    }

    /// Decides about every write from now on.
    pub fn on_write(&self, script: impl FnMut(&SeenWrite<'_>) -> Fault + Send + 'static) {
        self.shared.lock().script = Some(Box::new(script));
    }

    /// Changes what always holds.
    pub fn rule(&self, change: impl FnOnce(&mut Rules)) {
        change(&mut self.shared.lock().rules);
    }

    /// Lets all withheld writes go.
    pub fn release(&self) {
        self.shared.lock().releases += 1;
        self.shared.changed.notify_all();
    }

    /// What has happened so far.
    pub fn counts(&self) -> Counts {
        self.shared.lock().counts()
    }

    /// Waits until the counts are as wished, for at most `patience`; the last counts are the error.
    pub fn wait_until(&self, patience: Duration, wish: impl Fn(&Counts) -> bool) -> Result<Counts, Counts> {
        let (state, _) = self
            .shared
            .changed
            .wait_timeout_while(self.shared.lock(), patience, |state| !wish(&state.counts()))
            .unwrap_or_else(PoisonError::into_inner);
        let counts = state.counts();
        if wish(&counts) { Ok(counts) } else { Err(counts) }
    }

    /// How many points a measurement has.
    pub fn count(&self, measurement: &str) -> u64 {
        self.shared.lock().points.count(measurement)
    }

    /// All points of a measurement, by tags and time.
    pub fn points(&self, measurement: &str) -> Vec<Point> {
        self.shared.lock().points.of(measurement).collect()
    }

    /// Forgets the points for which `keep` says no, as somebody does who deletes by hand; all of them, as when the bucket is deleted and made anew.
    pub fn retain(&self, keep: impl Fn(&Point) -> bool) {
        self.shared.lock().points.retain(keep);
    }

    /// Takes line protocol, as from somebody who writes by hand.
    ///
    /// # Errors
    /// The line that cannot be read, and why.
    pub fn write_by_hand(&self, body: &str) -> Result<(), (String, String)> {
        self.shared.lock().points.store(body)
    }

    /// Stops: nobody listens any more, and all connections are cut. What was stored goes on with [`FakeInflux::start_again`].
    pub fn stop(&self) {
        let mut state = self.shared.lock();
        if std::mem::replace(&mut state.stopped, true) {
            return;
        }
        for connection in state.connections.drain(..) {
            // It may have been closed by the other side already.
            let _closed = connection.shutdown(std::net::Shutdown::Both);
        }
        drop(state);
        self.shared.changed.notify_all();
        // Wakes the listener, which then sees that it is over and lets the port go.
        let _woken = TcpStream::connect(self.address);
    }

    /// Starts again at the same address with everything that was stored, as after a restart of the server.
    pub fn start_again(&self) -> io::Result<()> {
        // The listener's thread lets the port go within an instant of `stop`.
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        let listener = loop {
            match TcpListener::bind(self.address) {
                Ok(listener) => break listener,
                Err(error) if std::time::Instant::now() > deadline => return Err(error),
                Err(_) => std::thread::yield_now(),
            }
        };
        self.shared.lock().stopped = false;
        self.accept(listener);
        Ok(())
    }
}

impl Drop for FakeInflux {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for FakeInflux {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeInflux")
            .field("address", &self.address)
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A test that panicked while it held the lock has failed already.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn counts(&self) -> Counts {
        Counts {
            points: self.points.stored,
            repeated_points: self.points.repeated,
            changed_points: self.points.changed,
            ..self.counts
        }
    }
}
