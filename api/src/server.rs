//! Connections: accepted, limited, served with HTTP/1.1, and ended in order. What is answered is the router's business.
//!
//! Not `axum::serve`: it sets no time for a request's head, so that a client that sends it byte by byte would hold its connection for ever.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use service::Stop;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

/// Limits against slow, huge and too many clients.
#[derive(Clone, Copy, Debug)]
pub struct ServerLimits {
    /// Connections served at once; more wait in the system's queue.
    pub connections: usize,
    /// Line and headers of a request together; more is answered 431.
    pub head_max_bytes: usize,
    /// How long a request's head may take, and so how long a connection may idle between two requests.
    pub head_deadline: Duration,
    /// How long a client may leave an answer unread.
    pub unread_deadline: Duration,
    /// How long answers under way may take after a stop.
    pub stop_deadline: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections: 1024,
            // An id of 256 bytes is at most 768 bytes percent-encoded; the rest is for headers of proxies.
            head_max_bytes: 32 * 1024,
            head_deadline: Duration::from_secs(30),
            unread_deadline: Duration::from_secs(30),
            // As long as any answer may take. The container is given 15 s.
            stop_deadline: Duration::from_secs(10),
        }
    }
}

/// What waits in memory for one client, and at least a head of a request: a live stream that nobody reads fills it, and no more.
const BUFFER_MAX_BYTES: usize = 64 * 1024;

/// After a failed accept (no file descriptor left): connections that end free some.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Served {
    /// Every answer under way was given.
    Completely,
    /// These connections still had an answer under way at the deadline and were cut.
    Cut(usize),
}

/// Serves until the stop; then takes no more requests and lets the answers under way be given.
pub async fn serve(listener: TcpListener, router: Router, stop: Stop, limits: ServerLimits) -> Served {
    let permits = Arc::new(Semaphore::new(limits.connections));
    let mut connections = JoinSet::new();
    while let Some((stream, permit)) = next_connection(&listener, &permits, &stop).await {
        // Those that have ended need not be remembered.
        while connections.try_join_next().is_some() {}
        connections.spawn(connection(stream, router.clone(), stop.clone(), limits, permit));
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.stop_deadline, drained).await.is_ok() {
        return Served::Completely;
    }
    let cut = connections.len();
    tracing::warn!(connections = cut, "answers still under way at the deadline are cut");
    connections.shutdown().await;
    Served::Cut(cut)
}

/// The next connection and its place; None once stopped.
async fn next_connection(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
    stop: &Stop,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let permit = stop.or(Arc::clone(permits).acquire_owned()).await?.expect("the semaphore is never closed");
    let mut failed = false;
    loop {
        match stop.or(listener.accept()).await? {
            Ok((stream, _)) => return Some((stream, permit)),
            // The client was gone again before we came to it.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                if !failed {
                    tracing::error!(%error, "a connection cannot be accepted; trying on");
                }
                failed = true;
                stop.or(tokio::time::sleep(ACCEPT_PAUSE)).await?;
            }
        }
    }
}

async fn connection(
    stream: TcpStream,
    router: Router,
    stop: Stop,
    limits: ServerLimits,
    place: OwnedSemaphorePermit,
) {
    if let Err(error) = prepare(&stream, limits.unread_deadline) {
        tracing::debug!(%error, "a connection cannot be set up");
        return;
    }
    let service = TowerToHyperService::new(router);
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head_deadline)
            .max_header_size(limits.head_max_bytes)
            .max_buf_size(BUFFER_MAX_BYTES.max(limits.head_max_bytes))
            .serve_connection(TokioIo::new(stream), service)
    );
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = stop.stopped() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    // A client that goes away or sends nonsense is its own business.
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended early");
    }
    drop(place);
}

fn prepare(stream: &TcpStream, unread_deadline: Duration) -> io::Result<()> {
    // Answers are written whole: there is nothing to wait for.
    stream.set_nodelay(true)?;
    // The system gives up a connection whose client acknowledges nothing or takes nothing for so long.
    #[cfg(target_os = "linux")]
    socket2::SockRef::from(stream).set_tcp_user_timeout(Some(unread_deadline))?;
    #[cfg(not(target_os = "linux"))]
    let _ = unread_deadline;
    Ok(())
}
