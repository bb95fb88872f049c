//! The server on real sockets: slow, huge and too many clients, and the order of stopping.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use api::{Served, ServerLimits, serve};
use service::Stop;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::ask::{example, router};
use crate::fake::Fake;

const STATS: &str = "GET /customers/cust_1/stats?from_date=2024-09-29 HTTP/1.1\r\nhost: x\r\n\r\n";

struct Server {
    address: SocketAddr,
    stop: Stop,
    served: JoinHandle<Served>,
}

async fn start(fake: &Fake, limits: ServerLimits) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let stop = Stop::manual();
    let served = tokio::spawn(serve(listener, router(fake), stop.clone(), limits));
    Server { address, stop, served }
}

async fn send(address: SocketAddr, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("listening");
    stream.write_all(text.as_bytes()).await.expect("taken");
    stream
}

/// Everything until the server closes.
async fn rest(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    // A reset ends it as well.
    drop(
        tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut text))
            .await
            .expect("closed in time"),
    );
    String::from_utf8_lossy(&text).into_owned()
}

async fn head(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    while !text.contains("\r\n\r\n") {
        let mut block = [0; 1];
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut block))
            .await
            .expect("in time")
            .expect("open");
        assert_eq!(read, 1, "closed after: {text}");
        text.push(char::from(block[0]));
    }
    text
}

#[tokio::test]
async fn an_answer_under_way_is_given_before_the_end() {
    let fake = example();
    fake.close_gate();
    let server = start(&fake, ServerLimits::default()).await;
    let idle = send(server.address, "").await;
    let mut kept_alive = send(server.address, "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await;
    head(&mut kept_alive).await;
    let under_way = send(server.address, STATS).await;
    while fake.asked().is_empty() {
        tokio::task::yield_now().await;
    }
    server.stop.stop();
    assert_eq!(rest(idle).await, "");
    assert!(rest(kept_alive).await.contains("alive"), "its body, then the end");
    fake.gate.add_permits(1);
    let answer = rest(under_way).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("\"total_requests\":5"), "{answer}");
    assert_eq!(server.served.await.expect("no panic"), Served::Completely);
    TcpStream::connect(server.address).await.expect_err("nobody listens any more");
}

#[tokio::test]
async fn s3_an_answer_that_never_comes_is_cut_at_the_deadline() {
    let fake = example();
    fake.close_gate();
    let limits = ServerLimits { stop_deadline: Duration::from_millis(200), ..ServerLimits::default() };
    let server = start(&fake, limits).await;
    let under_way = send(server.address, STATS).await;
    while fake.asked().is_empty() {
        tokio::task::yield_now().await;
    }
    server.stop.stop();
    assert_eq!(server.served.await.expect("no panic"), Served::Cut(1));
    assert_eq!(rest(under_way).await, "");
}

#[tokio::test]
async fn a_head_that_does_not_end_ends_the_connection() {
    let limits = ServerLimits { head_deadline: Duration::from_millis(200), ..ServerLimits::default() };
    let server = start(&example(), limits).await;
    let started = Instant::now();
    for text in ["", "GET /livez HT", "GET /livez HTTP/1.1\r\nhost: x\r\n"] {
        assert_eq!(rest(send(server.address, text).await).await, "", "{text}");
    }
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_huge_head_is_431() {
    let server = start(&example(), ServerLimits::default()).await;
    let fitting =
        format!("GET /livez?{} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "x".repeat(20_000));
    assert!(rest(send(server.address, &fitting).await).await.starts_with("HTTP/1.1 200"));
    for huge in [
        format!("GET /livez?{} HTTP/1.1\r\nhost: x\r\n\r\n", "x".repeat(40_000)),
        format!("GET /livez HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "x".repeat(40_000)),
        format!("GET /livez HTTP/1.1\r\nhost: x\r\n{}\r\n", "x: y\r\n".repeat(101)),
    ] {
        let answer = rest(send(server.address, &huge).await).await;
        assert!(answer.starts_with("HTTP/1.1 431") || answer.starts_with("HTTP/1.1 414"), "{answer}");
    }
}

#[tokio::test]
async fn more_connections_than_allowed_wait_for_a_place() {
    let fake = example();
    let server = start(&fake, ServerLimits { connections: 1, ..ServerLimits::default() }).await;
    let mut first = send(server.address, "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await;
    head(&mut first).await;
    let second = send(server.address, "GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    let mut byte = [0];
    let waiting = tokio::time::timeout(Duration::from_millis(100), second.peek(&mut byte)).await;
    assert!(waiting.is_err(), "the only place is taken");
    drop(first);
    assert!(rest(second).await.starts_with("HTTP/1.1 200"));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_client_that_reads_nothing_loses_its_connection() {
    let limits =
        ServerLimits { unread_deadline: Duration::from_secs(1), connections: 1, ..ServerLimits::default() };
    let server = start(&example(), limits).await;
    // Far more than the buffers of both ends hold.
    let asking = "GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nhost: x\r\n\r\n".repeat(64);
    let unread = send(server.address, &asking).await;
    let waiting = send(server.address, "GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(rest(waiting).await.starts_with("HTTP/1.1 200"), "the place becomes free");
    drop(unread);
}
