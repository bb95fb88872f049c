//! Live streams: one look for all who listen, resumed where they ended, cut off when they do not keep up, ended with the program.

use std::time::Duration;

use api::{AppState, Options, ServerLimits, app, serve};
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use service::Stop;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt;

use crate::ask::{clock, example, get, get_with, router};
use crate::fake::{Asked, Fake};

/// The next event of a stream.
async fn event(body: &mut Body) -> Option<String> {
    let frame = tokio::time::timeout(Duration::from_secs(10), body.frame()).await.expect("in time")?;
    let bytes = frame.expect("no error").into_data().expect("data");
    Some(String::from_utf8(bytes.to_vec()).expect("UTF-8"))
}

async fn open(router: &axum::Router, path: &str, last: Option<&str>) -> Body {
    let mut request = Request::builder().uri(path);
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let response = router.clone().oneshot(request.body(Body::empty()).expect(path)).await.expect("an answer");
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers()["cache-control"], "no-store");
    response.into_body()
}

fn minutes(event: &str) -> Vec<(String, u64)> {
    let data = event.lines().find_map(|line| line.strip_prefix("data: ")).expect("data");
    let data: serde_json::Value = serde_json::from_str(data).expect("JSON");
    assert!(data["as_of"].is_string() && data["lag_seconds"].is_number(), "{data}");
    let points = data["data"].as_array().expect("minutes").iter();
    points
        .map(|point| {
            (
                point["start"].as_str().expect("a time").to_owned(),
                point["total_requests"].as_u64().expect("a number"),
            )
        })
        .collect()
}

#[tokio::test]
async fn a_stream_begins_with_the_last_minutes_and_goes_on_every_second() {
    let fake = example();
    let router = router(&fake);
    let mut body = open(&router, "/v1/customers/cust_1/live", None).await;
    let first = event(&mut body).await.expect("an event");
    assert!(first.starts_with("retry: 2000\nevent: tick\nid: 1727687736\ndata: {"), "{first}");
    let told = minutes(&first);
    assert_eq!(
        (told.len(), told[0].0.as_str(), told[15].0.as_str(), told[15].1),
        (16, "2024-09-30T09:00:00Z", "2024-09-30T09:15:00Z", 1)
    );
    fake.add("cust_1", "2024-09-30T09:15:35Z", 200, 1);
    let mut told = Vec::new();
    while !told.contains(&("2024-09-30T09:15:00Z".to_owned(), 2)) {
        let next = event(&mut body).await.expect("an event");
        assert!(next.starts_with("event: tick\nid: ") && next.ends_with("\n\n"), "{next}");
        told = minutes(&next);
        assert_eq!(told.len(), 3, "only the last minutes are told anew");
    }
}

#[tokio::test]
async fn a_stream_goes_on_where_the_last_one_ended() {
    let fake = example();
    fake.add("cust_1", "2024-09-30T07:30:00Z", 200, 1);
    let router = router(&fake);
    let mut body = open(&router, "/v1/live", Some("1727681460")).await;
    let told = minutes(&event(&mut body).await.expect("an event"));
    assert_eq!((told[0].0.as_str(), told.len()), ("2024-09-30T07:30:00Z", 106));
    assert_eq!(told[0].1, 1);
}

#[tokio::test]
async fn trouble_of_the_store_is_told_and_passes() {
    let fake = example();
    let router = router(&fake);
    let mut body = open(&router, "/v1/live", None).await;
    event(&mut body).await.expect("the first");
    fake.fails(store::ReadError::Away { why: "10.0.0.7".to_owned(), retry_after: None });
    while !event(&mut body).await.expect("an event").starts_with("event: trouble\ndata: {\"detail\":") {}
    fake.fails(None);
    while !event(&mut body).await.expect("an event").starts_with("event: tick\n") {}
}

#[tokio::test]
async fn one_look_serves_all_who_listen() {
    let fake = example();
    fake.version_is_a_second();
    let router = router(&fake);
    let mut bodies = Vec::new();
    for _ in 0..50 {
        bodies.push(open(&router, "/v1/live", None).await);
    }
    for body in &mut bodies {
        event(body).await.expect("the first");
    }
    let before = fake.asked().len();
    for number in 0..3 {
        fake.set_version(1_000 + number);
        for body in &mut bodies {
            event(body).await.expect("a tick");
        }
    }
    let looks = fake.asked().len() - before;
    assert!(looks <= 8, "{looks} looks for 3 ticks of 50 streams");
}

async fn start(fake: &Fake) -> (std::net::SocketAddr, Stop, tokio::task::JoinHandle<api::Served>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let stop = Stop::manual();
    let state = AppState::new(fake.clone(), clock(), Options::default(), stop.clone());
    let served = tokio::spawn(serve(listener, app(state), stop.clone(), ServerLimits::default()));
    (address, stop, served)
}

async fn listen(address: std::net::SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("listening");
    stream.write_all(b"GET /v1/live HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("taken");
    stream
}

/// Reads until a text was seen that often.
async fn until(stream: &mut TcpStream, text: &str, times: usize) {
    let mut seen = String::new();
    let mut block = [0; 8192];
    while seen.matches(text).count() < times {
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut block))
            .await
            .expect("in time")
            .expect("open");
        assert!(read > 0, "the stream ended");
        seen.push_str(&String::from_utf8_lossy(&block[..read]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_streams_run_beside_stuck_ones_and_end_with_the_program() {
    let fake = example();
    let (address, stop, served) = start(&fake).await;
    // These never read: what they miss costs the others nothing.
    let mut stuck = Vec::new();
    for _ in 0..20 {
        stuck.push(listen(address).await);
    }
    let mut streams = Vec::new();
    for _ in 0..500 {
        streams.push(listen(address).await);
    }
    let read: Vec<_> = streams
        .into_iter()
        .map(|mut stream| {
            tokio::spawn(async move {
                until(&mut stream, "event: tick", 3).await;
                stream
            })
        })
        .collect();
    let mut streams = Vec::new();
    for task in read {
        streams.push(task.await.expect("every stream goes on"));
    }
    stop.stop();
    assert_eq!(served.await.expect("no panic"), api::Served::Completely);
    drop((streams, stuck));
}

#[tokio::test]
async fn who_does_not_keep_up_is_cut_off() {
    let fake = example();
    let router = router(&fake);
    tokio::time::pause();
    let mut slow = open(&router, "/v1/live", None).await;
    let mut quick = open(&router, "/v1/live", None).await;
    event(&mut quick).await.expect("the first");
    for _ in 0..20 {
        event(&mut quick).await.expect("a tick");
    }
    event(&mut slow).await.expect("what had been made before");
    assert_eq!(event(&mut slow).await, None, "20 ticks behind");
    event(&mut quick).await.expect("the others go on");
    assert!(fake.asked().iter().all(|asked| matches!(asked, Asked::Cells(_))));
}

#[tokio::test]
async fn a_stream_takes_no_parameters_and_is_never_304() {
    let router = router(&example());
    get(&router, "/v1/live?from=-1h").await.problem(422, "invalid-parameter");
    let answer = get_with(&router, "/v1/customers/nobody/live", &[("if-none-match", "*")]).await;
    answer.problem(404, "unknown-customer");
}
