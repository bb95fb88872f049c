//! What the stand-in answers to each request of a connection.

use std::io::{self, BufReader};
use std::net::{Shutdown, TcpStream};
use std::sync::PoisonError;

use serde_json::{Value, json};

use super::http::{Answer, Request};
use super::line::{FieldValue, Point};
use super::{Fault, SeenWrite, Shared, State};
use crate::influx::flux::{
    GENERATIONS_MARK, HAS_REQUESTS_MARK, OWNER_MARK, STATEMENTS_MARK, STORED_REQUESTS_MARK,
};
use crate::influx::schema::{generations, processors, requests};

/// Answers the requests of a connection until either side closes it.
pub(super) fn serve(connection: TcpStream, shared: &Shared) {
    let Ok(reader) = connection.try_clone() else { return };
    let mut reader = BufReader::new(reader);
    while let Ok(Some(request)) = Request::read(&mut reader) {
        if !answer(&request, &connection, shared).unwrap_or(false) {
            break;
        }
    }
    // The other side may have closed it already.
    let _closed = connection.shutdown(Shutdown::Both);
}

/// Answers one request; false = the connection is to be closed.
fn answer(request: &Request, connection: &TcpStream, shared: &Shared) -> io::Result<bool> {
    let mut state = shared.lock();
    if state.stopped {
        return Ok(false);
    }
    state.counts.requests += 1;
    if let Some(token) = &state.rules.token
        && !matches!(request.path(), "/health" | "/ready")
        && request.header("authorization") != Some(format!("Token {token}").as_str())
    {
        drop(state);
        return Answer::error(401, "unauthorized", "unauthorized access").write(connection).map(|()| true);
    }
    // A prefix before the path is as good: base paths are kept by our client.
    let path = request.path();
    let answer = if path.ends_with("/api/v2/write") {
        drop(state);
        return write(request, connection, shared);
    } else if let Some((_, answer)) = state.rules.instead.iter().find(|(instead, _)| instead == path) {
        answer.clone()
    } else if path.ends_with("/api/v2/query") {
        query(request, &state)
    } else if path.ends_with("/api/v2/buckets") {
        buckets(request, &mut state)
    } else if path.ends_with("/api/v2/orgs") {
        json_answer(
            &json!({ "orgs": [{ "id": "0000000000000001", "name": request.query("org").unwrap_or_default() }] }),
        )
    } else if path.ends_with("/api/v2/setup") {
        json_answer(&json!({ "allowed": false }))
    } else if path.ends_with("/health") {
        json_answer(
            &json!({ "name": "influxdb", "message": "ready for queries and writes", "status": "pass", "checks": [] }),
        )
    } else if path.ends_with("/ready") {
        json_answer(&json!({ "status": "ready" }))
    } else {
        Answer::error(404, "not found", "path not found")
    };
    drop(state);
    shared.changed.notify_all();
    answer.write(connection).map(|()| true)
}

fn json_answer(value: &Value) -> Answer {
    Answer::new(200, value.to_string()).with("Content-Type", "application/json")
}

fn buckets(request: &Request, state: &mut State) -> Answer {
    if request.method == "POST" {
        state.rules.bucket_missing = false;
        return Answer::new(201, String::from_utf8_lossy(&request.body));
    }
    let buckets = if state.rules.bucket_missing {
        json!([])
    } else {
        json!([{ "id": "0000000000000002", "name": request.query("name").unwrap_or_default(), "retentionRules": [] }])
    };
    json_answer(&json!({ "buckets": buckets }))
}

fn write(request: &Request, connection: &TcpStream, shared: &Shared) -> io::Result<bool> {
    let body = String::from_utf8_lossy(&request.body);
    let mut state = shared.lock();
    state.counts.writes += 1;
    let seen = SeenWrite {
        number: state.counts.writes,
        body: &body,
        gzip: request.header("content-encoding").is_some(),
    };
    let fault = match state.queue.pop_front() {
        Some(fault) => fault,
        None => state.script.as_mut().map_or(Fault::None, |script| script(&seen)),
    };
    let refusal = refusal(&state, &body);
    // A standing rule says no before anything scripted happens after storing.
    let fault = match (fault, refusal) {
        (Fault::None | Fault::Slow(_) | Fault::StoreAndAnswer(_), Some(answer)) => Fault::Answer(answer),
        (fault, _) => fault,
    };
    let stores = matches!(
        fault,
        Fault::None
            | Fault::StoreAndAnswer(_)
            | Fault::Slow(_)
            | Fault::Cut { store: true }
            | Fault::Withhold { store: true }
    );
    if stores {
        if let Err((line, why)) = state.points.store(&body) {
            drop(state);
            shared.changed.notify_all();
            let answer = Answer::error(400, "invalid", &format!("unable to parse '{line}': {why}"));
            return answer.write(connection).map(|()| true);
        }
        state.counts.stored_writes += 1;
    }
    if matches!(fault, Fault::None) {
        state.counts.acknowledged_writes += 1;
    }
    let releases = state.releases;
    drop(state);
    shared.changed.notify_all();
    let stored = Answer::new(204, "");
    match fault {
        Fault::None => stored.write(connection).map(|()| true),
        Fault::Answer(answer) | Fault::StoreAndAnswer(answer) => answer.write(connection).map(|()| true),
        Fault::Cut { .. } => Ok(false),
        Fault::Slow(delay) => {
            wait(shared, Some(delay), |state| state.stopped);
            acknowledge(shared, connection)
        }
        Fault::Withhold { store } => {
            wait(shared, None, |state| state.stopped || state.releases > releases);
            if store { acknowledge(shared, connection) } else { Ok(false) }
        }
    }
}

fn acknowledge(shared: &Shared, connection: &TcpStream) -> io::Result<bool> {
    let mut state = shared.lock();
    if state.stopped {
        return Ok(false);
    }
    state.counts.acknowledged_writes += 1;
    drop(state);
    shared.changed.notify_all();
    Answer::new(204, "").write(connection).map(|()| true)
}

/// What the standing rules say against a body.
fn refusal(state: &State, body: &str) -> Option<Answer> {
    let rules = &state.rules;
    if rules.bucket_missing {
        return Some(Answer::error(404, "not found", "bucket not found"));
    }
    if rules.body_max_bytes.is_some_and(|limit| body.len() > limit) {
        return Some(Answer::too_large());
    }
    if rules.field_type_conflict && body.lines().any(|line| line.starts_with(requests::MEASUREMENT)) {
        return Some(Answer::field_type_conflict());
    }
    let marker = rules.refuse_lines_with.as_deref()?;
    let line = body.lines().find(|line| line.contains(marker))?;
    Some(Answer::error(400, "invalid", &format!("unable to parse '{line}': refused on demand")))
}

/// Waits until something has happened, or a time has passed.
fn wait(shared: &Shared, patience: Option<std::time::Duration>, happened: impl Fn(&State) -> bool) {
    let guard = shared.lock();
    match patience {
        Some(patience) => {
            let _waited = shared
                .changed
                .wait_timeout_while(guard, patience, |state| !happened(state))
                .unwrap_or_else(PoisonError::into_inner);
        }
        None => {
            let _waited = shared
                .changed
                .wait_while(guard, |state| !happened(state))
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// The questions that the processor asks.
fn query(request: &Request, state: &State) -> Answer {
    let question: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let script = question["query"].as_str().unwrap_or_default();
    let source = param(&question, "source");
    if state.rules.bucket_missing {
        return Answer::error(404, "not found", "failed to initialize execute state: could not find bucket");
    }
    let mut rows = String::from(
        "#datatype,string,dateTime:RFC3339,string,string,string\r\n#group,false,false,false,false,false\r\n#default,_result,,,,\r\n",
    );
    if script.starts_with(GENERATIONS_MARK) {
        rows.push_str(&format!(",result,_time,_field,_value,{}\r\n", generations::HEAD));
        for point in state
            .points
            .of(generations::MEASUREMENT)
            .filter(|point| point.tags[generations::SOURCE] == source)
        {
            let time = chrono::DateTime::from_timestamp_nanos(point.time_nanos).to_rfc3339();
            let start = cell(&point.fields[generations::START]);
            rows.push_str(&format!(
                ",,{time},{},{start},{}\r\n",
                generations::START,
                point.tags[generations::HEAD]
            ));
        }
    } else if script.starts_with(OWNER_MARK) {
        rows.push_str(",result,_time,_field,_value,\r\n");
        let points =
            state.points.of(processors::MEASUREMENT).filter(|point| point.tags[processors::SOURCE] == source);
        if let Some(point) = points.max_by_key(|point| point.time_nanos) {
            statement(&point, &mut rows);
        }
    } else if script.starts_with(STATEMENTS_MARK) {
        rows.push_str(",result,_time,_field,_value,\r\n");
        let range = instant(&question, "start")..instant(&question, "stop");
        let points =
            state.points.of(processors::MEASUREMENT).filter(|point| point.tags[processors::SOURCE] == source);
        points
            .filter(|point| range.contains(&point.time_nanos))
            .for_each(|point| statement(&point, &mut rows));
    } else if script.starts_with(HAS_REQUESTS_MARK) {
        rows.push_str(",result,_time,,,\r\n");
        let is_of = |point: &Point| {
            *point.tags.get(requests::SOURCE).map_or(requests::MAIN_SOURCE, String::as_str) == *source
        };
        if state.points.of(requests::MEASUREMENT).any(|point| is_of(&point)) {
            rows.push_str(",,1970-01-01T00:00:00Z,,,\r\n");
        }
    } else if script.starts_with(STORED_REQUESTS_MARK) {
        stored_requests(&question, state, &mut rows);
    } else {
        return Answer::error(400, "invalid", "the stand-in answers no statistics: ask a real InfluxDB");
    }
    Answer::new(200, rows).with("Content-Type", "text/csv; charset=utf-8")
}

/// The fields of one point of a processor.
fn statement(point: &Point, rows: &mut String) {
    let time = chrono::DateTime::from_timestamp_nanos(point.time_nanos).to_rfc3339();
    for (name, value) in &point.fields {
        rows.push_str(&format!(",,{time},{name},{},\r\n", cell(value)));
    }
}

/// The fields of the requests of a source in a range of time.
fn stored_requests(question: &Value, state: &State, rows: &mut String) {
    let (source, from, to) =
        (param(question, "source"), instant(question, "start"), instant(question, "stop"));
    let (customer_id, success) = (requests::CUSTOMER_ID, requests::SUCCESS);
    rows.push_str(&format!(",result,_time,_field,_value,{customer_id},{success}\r\n"));
    for point in state.points.of(requests::MEASUREMENT).filter(|point| (from..to).contains(&point.time_nanos))
    {
        let tag = |name: &str| point.tags.get(name).map_or("", String::as_str);
        let of = point.tags.get(requests::SOURCE).map_or(requests::MAIN_SOURCE, String::as_str);
        if of != source {
            continue;
        }
        let time = chrono::DateTime::from_timestamp_nanos(point.time_nanos).to_rfc3339();
        for (name, value) in &point.fields {
            let (customer, success) = (quoted(tag(customer_id)), tag(success));
            rows.push_str(&format!(",,{time},{name},{},{customer},{success}\r\n", cell(value)));
        }
    }
}

/// A value of the question that is an instant, in nanoseconds since 1970.
fn instant(question: &Value, name: &str) -> i64 {
    let time = chrono::DateTime::parse_from_rfc3339(&param(question, name)).ok();
    time.and_then(|time| time.timestamp_nanos_opt()).unwrap_or_default()
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

fn param(question: &Value, name: &str) -> String {
    let properties = &question["extern"]["body"][0]["assignment"]["init"]["properties"];
    let found = properties.as_array().into_iter().flatten().find(|property| property["key"]["name"] == name);
    found.and_then(|property| property["value"]["value"].as_str()).unwrap_or_default().to_owned()
}

/// A value as a cell of CSV.
fn cell(value: &FieldValue) -> String {
    match value {
        FieldValue::Float(value) => value.to_string(),
        FieldValue::Integer(value) => value.to_string(),
        FieldValue::Boolean(value) => value.to_string(),
        FieldValue::Text(value) => quoted(value),
    }
}
