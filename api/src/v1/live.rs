//! Routes: live streams of server-sent events. HTTP only; the ticks are `crate::live`'s.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;
use service::Stop;
use store::Freshness;
use utoipa::ToSchema;

use super::answers::{Point, points};
use super::{Answer, Asked, Of, V1Failures};
use crate::answers::FreshnessFields;
use crate::error::{ApiError, Kind};
use crate::grammar::{Fill, PERCENTILES_DEFAULT, Zone, percentiles};
use crate::guard::Until;
use crate::live::{Listener, Moment, since};
use crate::query::{Parameters, PathCustomer};
use crate::scope::Scope;
use crate::{AppState, Clock};

/// The minutes that a new stream begins with.
const BEGIN_MINUTES: i64 = 15;
/// The minutes that a stream that goes on can catch up with.
const RESUME_MINUTES: i64 = 24 * 60;
/// How long a client is told to wait before it connects again.
const RETRY: &str = "retry: 2000\n";
/// When to try again, if all places are taken.
const RETRY_AFTER_FULL: Duration = Duration::from_secs(10);
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// What an event of a live stream says.
#[derive(Debug, Serialize, ToSchema)]
struct Tick {
    #[serde(flatten)]
    freshness: FreshnessFields,
    /// Requests a second since the event before; null in the first one.
    requests_per_second: Option<f64>,
    /// Minutes, each as it stands now: it takes the place of what was told of it before.
    data: Vec<Point>,
}

/// All customers, live.
///
/// Server-sent events, one a second: `tick` with `as_of`, `lag_seconds`, `requests_per_second` and the last minutes as `data`, in the form of `/v1/series` with `granularity=1m`; `trouble` when the store
/// cannot be asked. A stream begins with the last 15 minutes, or, with `Last-Event-ID`, with all minutes since that event. Who is 16 events behind is cut off.
#[utoipa::path(
    get,
    path = "/v1/live",
    tag = "live v1",
    responses((status = 200, description = "The events", content_type = "text/event-stream", body = String), V1Failures)
)]
pub(super) async fn live(
    State(state): State<AppState>,
    scope: Scope,
    until: Until,
    parameters: Parameters,
    headers: HeaderMap,
) -> Answer {
    stream(&state, Of::everybody(&scope)?, until, &parameters, &headers).await
}

/// One customer, live.
///
/// As for all customers.
#[utoipa::path(
    get,
    path = "/v1/customers/{id}/live",
    tag = "live v1",
    params(("id" = String, Path, description = "The customer's id, percent-encoded", example = "cust_1")),
    responses((status = 200, description = "The events", content_type = "text/event-stream", body = String), V1Failures)
)]
pub(super) async fn customer_live(
    State(state): State<AppState>,
    scope: Scope,
    until: Until,
    customer: PathCustomer,
    parameters: Parameters,
    headers: HeaderMap,
) -> Answer {
    stream(&state, Of::one(&scope, customer), until, &parameters, &headers).await
}

async fn stream(
    state: &AppState,
    of: Of,
    until: Until,
    parameters: &Parameters,
    headers: &HeaderMap,
) -> Answer {
    parameters.only(&["share"])?;
    let asked =
        Asked { state, headers, parameters, moment: state.moment(), format: crate::format::Format::Json };
    // Before the first look, so that no tick lies between the two.
    let listener = state.listen(&of.subject, event).ok_or_else(|| {
        ApiError::new(Kind::StoreUnavailable, "all places for live streams are taken; ask again later")
            .with_retry_after(RETRY_AFTER_FULL)
    })?;
    let now_micros = state.now_micros();
    let (first, known) =
        since(state.backend(), &of.subject, beginning(headers, now_micros), now_micros).await?;
    let as_of_micros = first.found.as_ref().and_then(|seen| seen.as_of_micros);
    let fresh = Freshness { as_of_micros };
    of.check(&asked, known, fresh, fresh)?;
    let first = Bytes::from([RETRY.as_bytes(), &event(&first)].concat());
    let events = Events { first: Some(first), listener, stop: state.stop(), until, clock: state.clock() };
    let body = Body::from_stream(futures::stream::unfold(events, Events::next));
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // nginx would keep events back until its buffer is full.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Ok(response.into_response())
}

/// The first minute of a stream: where the client's last event stood, as far back as minutes are told.
fn beginning(headers: &HeaderMap, now_micros: i64) -> i64 {
    let now = now_micros.div_euclid(1_000_000);
    let last = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()?.parse::<i64>().ok());
    // The minute before may have got late requests since.
    let from = last.map_or(now - BEGIN_MINUTES * 60, |last| last.saturating_sub(60));
    stats::WindowKind::Minute.floor(from.clamp(now - RESUME_MINUTES * 60, now))
}

struct Events {
    first: Option<Bytes>,
    listener: Listener,
    stop: Stop,
    until: Until,
    clock: Clock,
}

impl Events {
    /// The next event. The stream ends with the program, with the share link that opened it, and for who does not keep up.
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        if let Some(first) = self.first.take() {
            return Some((Ok(first), self));
        }
        let event = self.stop.or(self.listener.events.recv()).await?.ok()?;
        if self.until.is_over((self.clock)()) {
            return None;
        }
        Some((Ok(event), self))
    }
}

/// A moment as an event. Its id is the second of the clock, from which a stream can go on.
fn event(moment: &Moment) -> Bytes {
    let id = moment.now_micros.div_euclid(1_000_000);
    let Some(seen) = &moment.found else {
        let data = r#"{"detail":"the statistics cannot be read at the moment; the stream goes on"}"#;
        return Bytes::from(format!("event: trouble\ndata: {data}\n\n"));
    };
    let percentiles = percentiles(PERCENTILES_DEFAULT).expect("a default that is right");
    let tick = Tick {
        freshness: FreshnessFields::new(Freshness { as_of_micros: seen.as_of_micros }, moment.now_micros),
        requests_per_second: seen.requests_per_second,
        data: points(&moment.starts, &seen.measures, &percentiles, Fill::Null, Zone::UTC),
    };
    let data = serde_json::to_string(&tick).expect("plain data");
    Bytes::from(format!("event: tick\nid: {id}\ndata: {data}\n\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_begins_where_the_last_one_ended() {
        let now = 1_727_687_736;
        let begin = |id: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(id) = id {
                headers.insert(LAST_EVENT_ID, id.parse().expect("a header"));
            }
            now - beginning(&headers, now * 1_000_000)
        };
        assert_eq!(begin(None), 15 * 60 + 36);
        assert_eq!(begin(Some("1727687730")), 60 + 36);
        assert_eq!(begin(Some("1727680000")), 7736 + 60 + 40);
        for far in ["0", "-9223372036854775808", "1727000000"] {
            assert_eq!(begin(Some(far)), RESUME_MINUTES * 60 + 36, "{far}");
        }
        // from the future: an id of another clock
        assert_eq!(begin(Some("9223372036854775807")), 36);
        for none in ["", "x", "1e3", "99999999999999999999"] {
            assert_eq!(begin(Some(none)), 15 * 60 + 36, "{none}");
        }
    }
}
