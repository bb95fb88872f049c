//! B10: an acknowledgement is checked. A store that says 204 and keeps nothing is found out.

use store::influx::fake::{Answer, FakeInflux, Fault};

use crate::harness::{Bench, Running, eventually, lines};

const WORDS: &str = "does not give it back as it was";

fn metric(running: &Running, name: &str) -> u64 {
    let (_, text) = running.get("/metrics");
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("tailgauge_{name}_total ")));
    line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{name}:\n{text}"))
}

fn until_metric(running: &Running, name: &str, wanted: u64) {
    eventually(&format!("{name} is {wanted}"), || {
        let value = metric(running, name);
        if value == wanted { Ok(()) } else { Err(value.to_string()) }
    });
}

#[test]
fn b10_an_acknowledged_request_is_read_back() {
    let influx = FakeInflux::start().expect("a free port");
    let bench = Bench::on(&influx);
    bench.append(&lines(0, 500));
    let running = bench.start();
    bench.until_stored(500);
    until_metric(&running, "readback_found", 1);
    assert_eq!(metric(&running, "readback_missing"), 0);
    assert_eq!(running.get("/readyz").0, 200);
    assert_eq!(running.stop(), 0);
}

#[test]
fn b10_a_store_that_acknowledges_and_keeps_nothing_is_found_out() {
    let influx = FakeInflux::start().expect("a free port");
    let bench = Bench::on(&influx);
    influx.on_write(|seen| {
        if seen.body.starts_with("api_requests") { Fault::Answer(Answer::new(204, "")) } else { Fault::None }
    });
    bench.append(&lines(0, 500));
    let running = bench.start();
    until_metric(&running, "readback_missing", 1);
    let (code, body) = running.get("/readyz");
    assert!(code == 503 && body.contains(WORDS), "{code} {body}");
    assert!(running.log().contains("ERROR"), "{}", running.log());
    // It keeps what comes now: the next sample reads back.
    influx.on_write(|_| Fault::None);
    bench.append(&lines(500, 600));
    until_metric(&running, "readback_found", 1);
    eventually("it is ready", || match running.get("/readyz") {
        (200, _) => Ok(()),
        (code, body) => Err(format!("{code} {body}")),
    });
    assert_eq!(running.stop(), 0);
    // Just what was lost is named.
    let output = bench.expect(&["verify"], 1);
    assert!(String::from_utf8_lossy(&output.stdout).contains("(500 missing)"));
}

#[test]
fn b10_a_value_that_reads_back_otherwise_is_found_out() {
    let influx = FakeInflux::start().expect("a free port");
    let bench = Bench::on(&influx);
    // The answer is late, and somebody else was quicker.
    influx.on_write(|seen| {
        if seen.body.starts_with("api_requests") { Fault::Withhold { store: true } } else { Fault::None }
    });
    bench.append(&lines(7, 8));
    let running = bench.start();
    eventually(
        "it is stored",
        || if influx.count("api_requests") == 1 { Ok(()) } else { Err(String::new()) },
    );
    let time = influx.points("api_requests")[0].time_nanos;
    let body = format!("api_requests,customer_id=cust_0,success=1 duration=7.5 {time}");
    influx.write_by_hand(&body).expect("line protocol");
    influx.on_write(|_| Fault::None);
    influx.release();
    until_metric(&running, "readback_missing", 1);
    assert!(running.get("/readyz").1.contains(WORDS));
}
