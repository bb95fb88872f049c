//! The side that takes requests: one attempt to write, and what came of it (I4). The bytes are made in `line_protocol`, the answer is read in `trouble`.

use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, StatusCode};

use super::config::{ConfigError, InfluxConfig};
use super::http::Http;
use super::{line_protocol, prepare, registry, stored, trouble};
use crate::{
    AcknowledgedRequest, Owner, PlacedRequest, RequestStore, StatisticsCell, StoredGeneration, Trouble,
};

/// InfluxDB 2 as the processor sees it.
#[derive(Debug)]
pub struct InfluxRequests {
    http: Http,
    config: InfluxConfig,
    compresses: bool,
}

impl InfluxRequests {
    /// A store at the address in `config`. Asks nothing yet. Errors name the setting that cannot work.
    pub fn new(config: InfluxConfig) -> Result<InfluxRequests, ConfigError> {
        Ok(InfluxRequests { http: Http::new(&config)?, compresses: config.compresses(), config })
    }

    /// How it is reached.
    pub fn config(&self) -> &InfluxConfig {
        &self.config
    }

    pub(super) fn http(&self) -> &Http {
        &self.http
    }

    async fn post(&self, body: Bytes) -> Result<(), Trouble> {
        let query =
            [("org", self.config.org.as_str()), ("bucket", self.config.bucket.as_str()), ("precision", "ns")];
        let request = self
            .http
            .request(Method::POST, "api/v2/write", &query)
            .header(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        let request = if self.compresses {
            request.header(CONTENT_ENCODING, HeaderValue::from_static("gzip")).body(compressed(&body))
        } else {
            request.body(body)
        };
        let response = request
            .send()
            .await
            .map_err(|error| Trouble::TryLater { why: self.http.say_error(error), after: None })?;
        if trouble::is_stored(response.status()) {
            return Ok(());
        }
        Err(trouble::trouble(self.http.refusal(response).await))
    }

    /// Points of our own, which no line of a log is to blame for.
    async fn post_own(&self, body: Vec<u8>) -> Result<(), Trouble> {
        self.post(Bytes::from(body)).await.map_err(|trouble| match trouble {
            Trouble::Refused { why } | Trouble::TooLarge { why } => own_refused(why),
            other => other.of_our_own(),
        })
    }
}

impl RequestStore for InfluxRequests {
    async fn prepare(&self) -> Result<(), Trouble> {
        prepare::prepare(&self.http, &self.config).await
    }

    fn encode(&self, request: &PlacedRequest<'_>, body: &mut Vec<u8>) {
        line_protocol::push_request(request, body);
    }

    async fn write(&self, body: Bytes) -> Result<(), Trouble> {
        self.post(body).await
    }

    async fn reads_back(&self, request: &AcknowledgedRequest) -> Result<bool, Trouble> {
        if self.config.write_only {
            return Ok(true);
        }
        stored::reads_back(self, request).await
    }

    async fn generations(&self, source: &str) -> Result<Vec<StoredGeneration>, Trouble> {
        if self.config.write_only {
            return Ok(Vec::new());
        }
        Ok(registry::read_generations(&self.http, &self.config.org, &self.config.bucket, source).await?)
    }

    async fn register_generation(&self, generation: &StoredGeneration) -> Result<(), Trouble> {
        if self.config.write_only {
            return Ok(());
        }
        let mut body = Vec::new();
        line_protocol::push_generation(generation, &mut body);
        self.post_own(body).await
    }

    async fn owner(&self, source: &str) -> Result<Option<Owner>, Trouble> {
        if self.config.write_only {
            return Ok(None);
        }
        Ok(registry::read_owner(&self.http, &self.config.org, &self.config.bucket, source).await?)
    }

    async fn statements(&self, source: &str, from_nanos: i64, to_nanos: i64) -> Result<Vec<Owner>, Trouble> {
        if self.config.write_only {
            return Ok(Vec::new());
        }
        let config = &self.config;
        let range = from_nanos..to_nanos;
        Ok(registry::read_statements(&self.http, &config.org, &config.bucket, source, range).await?)
    }

    fn remembers(&self) -> bool {
        !self.config.write_only
    }

    async fn keeps_for(&self) -> Result<Option<Duration>, Trouble> {
        let query = [("org", self.config.org.as_str()), ("name", self.config.bucket.as_str())];
        let request = self.http.request(Method::GET, "api/v2/buckets", &query);
        let away = |error| Trouble::TryLater { why: self.http.say_error(error), after: None };
        let response = request.send().await.map_err(away)?;
        if response.status() != StatusCode::OK {
            return match trouble::trouble(self.http.refusal(response).await) {
                later @ Trouble::TryLater { .. } => Err(later),
                _ => Ok(None), // This token may not look, or this version has no such endpoint.
            };
        }
        let body: serde_json::Value =
            serde_json::from_slice(&response.bytes().await.map_err(away)?).unwrap_or_default();
        let seconds = body["buckets"][0]["retentionRules"][0]["everySeconds"].as_u64();
        Ok(seconds.filter(|seconds| *seconds > 0).map(Duration::from_secs))
    }

    async fn publish_owners(&self, owners: &[Owner]) -> Result<(), Trouble> {
        if self.config.write_only || owners.is_empty() {
            return Ok(());
        }
        let mut body = Vec::new();
        for owner in owners {
            line_protocol::push_owner(owner, &mut body);
        }
        self.post_own(body).await
    }

    async fn has_requests(&self, source: &str) -> Result<bool, Trouble> {
        if self.config.write_only {
            return Ok(false);
        }
        Ok(registry::has_requests(&self.http, &self.config.org, &self.config.bucket, source).await?)
    }

    async fn publish_statistics(&self, cells: &[StatisticsCell]) -> Result<(), Trouble> {
        if self.config.write_only || cells.is_empty() {
            return Ok(());
        }
        let mut body = Vec::new();
        cells.iter().for_each(|cell| line_protocol::push_statistics(cell, &mut body));
        match self.post(Bytes::from(body)).await {
            Err(Trouble::Refused { why }) => Err(own_refused(why)),
            answer => answer.map_err(Trouble::of_our_own),
        }
    }

    fn describe(&self) -> String {
        format!("influxdb {}", self.config.url)
    }
}

/// Nobody's line is to blame.
fn own_refused(why: String) -> Trouble {
    let fix = "the store does not take our own points (api_log_generations, api_processors, api_stats, api_stats_all); use another bucket, or INFLUXDB_WRITE_ONLY=true for a store that only takes requests";
    Trouble::Misconfigured { why, fix: fix.to_owned() }
}

/// gzip, level 1: our lines shrink to an eighth for about a tenth of the time that the server needs to take them.
fn compressed(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 6), Compression::new(1));
    encoder.write_all(body).and_then(|()| encoder.finish()).expect("writing to memory cannot fail")
}

#[cfg(test)]
mod tests;
