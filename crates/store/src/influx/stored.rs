//! The requests as InfluxDB holds them, read back one field at a time: for `verify`, and for the sampled read-back of what was acknowledged. Judges nothing.

use super::csv::{AnswerError, Row};
use super::flux::{self, Params};
use super::query::ask;
use super::schema::{requests, source_value};
use super::write::InfluxRequests;
use crate::{AcknowledgedRequest, Trouble};

/// Which field of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RequestField {
    /// Latency in seconds.
    Duration,
    /// Path.
    RequestPath,
    /// HTTP status.
    StatusCode,
}

/// One field of one stored request: what a row of the answer tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredField<'a> {
    /// The point's time, nanoseconds since 1970.
    pub time_nanos: i64,
    /// Its tag `customer_id`; empty when it has none.
    pub customer: &'a str,
    /// Its tag `success`, whatever somebody has written there.
    pub success: &'a str,
    /// Which field.
    pub field: RequestField,
    /// Its value, as text.
    pub value: &'a str,
}

/// Whether a request reads back as it was written: its own three fields and no others of them.
pub(super) async fn reads_back(
    store: &InfluxRequests,
    request: &AcknowledgedRequest,
) -> Result<bool, Trouble> {
    let success = if (200..400).contains(&request.status) { requests::SUCCEEDED } else { requests::FAILED };
    #[expect(clippy::cast_precision_loss, reason = "a day in microseconds is below 2^53")]
    let seconds = request.latency_micros.map(|micros| micros as f64 / 1e6);
    let mut wanted = 1 + usize::from(seconds.is_some()) + usize::from(request.path.is_some());
    let mut others = 0;
    let time = request.time_nanos;
    let read = store.read_stored(&request.source, time, time + 1, |field| {
        if field.customer != request.customer || field.success != success {
            return;
        }
        let equal = match field.field {
            RequestField::Duration => seconds.is_some_and(|seconds| field.value.parse() == Ok(seconds)),
            RequestField::StatusCode => field.value.parse() == Ok(request.status),
            RequestField::RequestPath => request.path.as_deref() == Some(field.value),
        };
        wanted = wanted.saturating_sub(usize::from(equal));
        others += usize::from(!equal);
    });
    read.await?;
    Ok(wanted == 0 && others == 0)
}

impl InfluxRequests {
    /// Reads all fields of a source's requests with a time in `[from_nanos, to_nanos)`, in any order. The answer is handed on as it arrives; nothing of it is kept here.
    pub async fn read_stored(
        &self,
        source: &str,
        from_nanos: i64,
        to_nanos: i64,
        mut on_field: impl FnMut(StoredField<'_>),
    ) -> Result<(), Trouble> {
        let config = self.config();
        let params = Params::default()
            .text("bucket", &config.bucket)
            .text("source", &source_value(source))
            .nanos("start", from_nanos)
            .nanos("stop", to_nanos);
        let script = flux::stored_requests_script(source == requests::MAIN_SOURCE);
        let on_row = |row: &Row<'_>| -> Result<(), AnswerError> {
            let field = match row.require("_field")? {
                requests::DURATION => RequestField::Duration,
                requests::REQUEST_PATH => RequestField::RequestPath,
                requests::STATUS_CODE => RequestField::StatusCode,
                _ => return Ok(()),
            };
            let (second, nanos) = row.time("_time")?;
            on_field(StoredField {
                time_nanos: second.saturating_mul(1_000_000_000).saturating_add(i64::from(nanos)),
                customer: row.get(requests::CUSTOMER_ID).unwrap_or_default(),
                success: row.get(requests::SUCCESS).unwrap_or_default(),
                field,
                value: row.get("_value").unwrap_or_default(),
            });
            Ok(())
        };
        Ok(ask(self.http(), &config.org, &script, params, on_row).await?)
    }
}
