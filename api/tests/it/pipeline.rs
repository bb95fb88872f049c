//! How the processor beside the api is doing: asked over its status socket.

use std::io::Write as _;
use std::os::unix::net::UnixListener;

use api::{AppState, Options, app};
use insta::assert_snapshot;

use crate::ask::{clock, example, get, router};

#[tokio::test]
async fn a4_v1_pipeline_tells_what_the_processor_says() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let socket = UnixListener::bind(folder.path().join("processor.sock")).expect("a socket");
    let answers = [
        r#"{"lines_read":6,"lines_stored":5,"lines_rejected":1,"rejected":{"status":1},"lines_in_flight":0,"bytes_settled":360,"lag_bytes":0,"lag_seconds":0.2,"lost_bytes":{},"skipped_bytes":0,"future_time":0,"ambiguous_time":0,"store":"embedded","ready":true,"problems":[],"pid":7,"commit":3,"files":[{"path":"api.log","source":"main","size":360,"read_offset":360,"settled_offset":360}],"new_in_a_later_version":1}"#,
        "no status",
    ];
    let told = std::thread::spawn(move || {
        for answer in answers {
            socket.accept().expect("the api asks").0.write_all(answer.as_bytes()).expect("it listens");
        }
    });
    let state = AppState::new(example(), clock(), Options::default(), service::Stop::never());
    let router = app(state.beside(folder.path()));
    assert_snapshot!(get(&router, "/v1/pipeline").await.shown(), @r#"
    200 application/json
    {"running":true,
     "processor":{"lines_read":6,
     "lines_stored":5,
     "lines_rejected":1,
     "rejected":{"status":1},
     "lines_in_flight":0,
     "bytes_settled":360,
     "lag_bytes":0,
     "lag_seconds":0.2,
     "lost_bytes":{},
     "skipped_bytes":0,
     "future_time":0,
     "ambiguous_time":0,
     "store":"embedded",
     "ready":true,
     "problems":[],
     "commit":3,
     "files":[{"path":"api.log",
     "source":"main",
     "size":360,
     "read_offset":360,
     "settled_offset":360}]}}
    "#);
    get(&router, "/v1/pipeline").await.problem(500, "internal");
    told.join().expect("both answers were asked for");
    // The socket is still there, nobody is behind it.
    let gone = get(&router, "/v1/pipeline").await;
    assert_snapshot!(gone.shown(), @r#"
    200 application/json
    {"running":false,
     "processor":null}
    "#);
    assert_eq!(gone.header("cache-control"), "no-store");
}

#[tokio::test]
async fn without_a_processor_nothing_is_known_of_one() {
    let router = router(&example());
    assert_eq!(get(&router, "/v1/pipeline").await.json()["processor"], serde_json::Value::Null);
    get(&router, "/v1/pipeline?from=-1h").await.problem(422, "invalid-parameter");
}
