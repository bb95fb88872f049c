//! Reaching the store before the first write, through influxdb2, the client library: is it alive, was it ever set up, is our bucket there? One look each, no waiting (I4).
//!
//! Where influxdb2 cannot help, nothing is looked up: it throws away the path of an address (so a server behind a prefix would be asked at the wrong place),
//! and a store that can only be written has none of these endpoints. There the first write tells.

use std::sync::Once;
use std::time::Duration;

use influxdb2::RequestError;
use influxdb2::api::buckets::ListBucketsRequest;
use influxdb2::api::organization::ListOrganizationRequest;
use influxdb2::models::health::Status;
use influxdb2::models::retention_rule::{self, RetentionRule};
use influxdb2::models::{Bucket, PostBucketRequest};
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, StatusCode};
use serde_json::json;

use super::config::{InfluxConfig, Onboarding};
use super::http::{Http, Refusal, chain, trusted_certificates};
use super::trouble::trouble;
use crate::Trouble;

/// Reaches the store and makes what is missing and permitted.
pub(super) async fn prepare(http: &Http, config: &InfluxConfig) -> Result<(), Trouble> {
    if config.write_only {
        return look_for_anybody(http).await;
    }
    if config.url.has_base_path() {
        return look_behind_a_prefix(http).await;
    }
    let client = client(config)?;
    look(&client, http).await?;
    if let Some(onboarding) = &config.onboarding {
        set_up(&client, http, config, onboarding).await?;
    }
    make_bucket(&client, http, config).await
}

/// The owner's client. Its builder panics on an address that is none, which [`super::InfluxUrl`] rules out.
fn client(config: &InfluxConfig) -> Result<influxdb2::Client, Trouble> {
    let fix = "check INFLUXDB_URL and SSL_CERT_FILE";
    let misconfigured = |why: String| Trouble::Misconfigured { why, fix: fix.to_owned() };
    let certificates = trusted_certificates(config).map_err(|error| misconfigured(error.to_string()))?;
    let mut builder = reqwest_011::Client::builder()
        .connect_timeout(config.connect_timeout)
        .timeout(config.request_timeout)
        .redirect(reqwest_011::redirect::Policy::none())
        .tls_built_in_root_certs(false);
    if config.url.is_loopback() {
        builder = builder.no_proxy();
    }
    for certificate in certificates {
        if let Ok(certificate) = reqwest_011::Certificate::from_der(&certificate) {
            builder = builder.add_root_certificate(certificate);
        }
    }
    influxdb2::ClientBuilder::with_builder(
        builder,
        config.url.to_string(),
        &config.org,
        config.token.reveal(),
    )
    .build()
    .map_err(|error| misconfigured(chain(&error)))
}

/// Is it alive?
async fn look(client: &influxdb2::Client, http: &Http) -> Result<(), Trouble> {
    let health = client.health().await.map_err(|error| not_answered(error, http))?;
    if health.status != Status::Pass {
        let why = format!(
            "InfluxDB is not healthy: {}",
            http.say(health.message.as_deref().unwrap_or("without a word"))
        );
        return Err(Trouble::TryLater { why, after: None });
    }
    match client.ready().await {
        // InfluxDB 3 has no such endpoint, and is ready when it is healthy.
        Ok(_) => Ok(()),
        Err(RequestError::Http { status, .. }) if status.as_u16() == 404 => Ok(()),
        Err(error) => Err(not_answered(error, http)),
    }
}

/// Sets up a server that never was. influxdb2 asks whether it may; the setting up itself is ours, since influxdb2 cannot name the token of the first account.
async fn set_up(
    client: &influxdb2::Client,
    http: &Http,
    config: &InfluxConfig,
    onboarding: &Onboarding,
) -> Result<(), Trouble> {
    if !client.is_onboarding_allowed().await.map_err(|error| not_answered(error, http))? {
        return Ok(());
    }
    let body = json!({
        "username": onboarding.username,
        "password": onboarding.password,
        "org": config.org,
        "bucket": config.bucket,
        "token": config.token.reveal(),
        "retentionPeriodSeconds": bucket_retention_seconds(config.retention).unwrap_or(0),
    });
    let response = http
        .request(Method::POST, "api/v2/setup", &[])
        .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
        .body(body.to_string())
        .send()
        .await
        .map_err(|error| Trouble::TryLater { why: http.say_error(error), after: None })?;
    if response.status().is_success() {
        tracing::info!(org = config.org, bucket = config.bucket, "set up a fresh InfluxDB");
        return Ok(());
    }
    let refusal = http.refusal(response).await;
    if refusal.status.is_server_error() {
        return Err(trouble(refusal));
    }
    Err(Trouble::Misconfigured {
        why: format!("InfluxDB could not be set up ({}): {}", refusal.status, refusal.words),
        fix: "check DOCKER_INFLUXDB_INIT_USERNAME, _PASSWORD (8 to 72 characters), _ORG and _BUCKET"
            .to_owned(),
    })
}

/// Looks our bucket up, and creates it where it is missing and the token may. A token that may only write sees no bucket and creates none: whether the bucket
/// is really missing, the first write will tell.
async fn make_bucket(client: &influxdb2::Client, http: &Http, config: &InfluxConfig) -> Result<(), Trouble> {
    let request = ListBucketsRequest {
        name: Some(config.bucket.clone()),
        org: Some(config.org.clone()),
        limit: Some(1),
        ..ListBucketsRequest::default()
    };
    match client.list_buckets(Some(request)).await {
        Ok(found) => {
            if let Some(bucket) = found.buckets.iter().find(|bucket| bucket.name == config.bucket) {
                warn_of_a_short_bucket(bucket, config);
                return Ok(());
            }
        }
        // Some versions say that a bucket is not there by 404, as for an organization.
        Err(RequestError::Http { status, .. }) if status.as_u16() == 404 => {}
        Err(error) => return undecided_or(error, http),
    }
    let Some(org_id) = organization_id(client, http, config).await? else {
        return Ok(());
    };
    let mut request = PostBucketRequest::new(org_id, config.bucket.clone());
    if let Some(seconds) = bucket_retention_seconds(config.retention) {
        request.retention_rules.push(RetentionRule::new(retention_rule::Type::Expire, seconds));
    }
    match client.create_bucket(Some(request)).await {
        Ok(()) => {
            tracing::info!(bucket = config.bucket, retention = ?config.retention, "created the bucket");
            Ok(())
        }
        // Not permitted, or another program was quicker.
        Err(RequestError::Http { status, .. }) if matches!(status.as_u16(), 401 | 403 | 422) => Ok(()),
        Err(error) => Err(not_answered(error, http)),
    }
}

/// What a bucket keeps beyond RETENTION. InfluxDB refuses points that are older than the bucket's retention by a second; we keep whole days, which is up to one day
/// more, and a batch may wait for its store. Answers begin where RETENTION says, whatever the bucket still has.
const BUCKET_SPARE: Duration = Duration::from_secs(2 * 86_400);

/// A bucket that keeps less than the whole days of RETENTION refuses lines that we would keep. Said once: it is looked at again whenever the store is.
fn warn_of_a_short_bucket(bucket: &Bucket, config: &InfluxConfig) {
    static SAID: Once = Once::new();
    let kept =
        bucket.retention_rules.iter().map(|rule| rule.every_seconds).filter(|seconds| *seconds > 0).min();
    let wanted = bucket_retention_seconds(config.retention).unwrap_or(i32::MAX);
    if let Some(kept) = kept.filter(|kept| *kept < wanted) {
        SAID.call_once(|| {
            tracing::warn!(
                bucket = config.bucket,
                bucket_keeps_days = kept / 86_400,
                RETENTION = ?config.retention,
                "the bucket drops requests before RETENTION does, and refuses lines that old: give it two days more than RETENTION"
            );
        });
    }
}

/// The retention of a bucket that we make; None = for ever.
fn bucket_retention_seconds(retention: Option<Duration>) -> Option<i32> {
    let kept = retention.filter(|retention| *retention > Duration::ZERO)?.saturating_add(BUCKET_SPARE);
    Some(i32::try_from(kept.as_secs()).unwrap_or(i32::MAX))
}

/// The organization's id; None when this token cannot see it.
async fn organization_id(
    client: &influxdb2::Client,
    http: &Http,
    config: &InfluxConfig,
) -> Result<Option<String>, Trouble> {
    let request =
        ListOrganizationRequest { org: Some(config.org.clone()), ..ListOrganizationRequest::default() };
    match client.list_organizations(request).await {
        Ok(found) => Ok(found.orgs.into_iter().find(|org| org.name == config.org).and_then(|org| org.id)),
        Err(RequestError::Http { status, text })
            if status.as_u16() == 404 && text.contains("organization") =>
        {
            Err(Trouble::Misconfigured {
                why: format!(
                    "InfluxDB has no organization {:?} that this token can see: {}",
                    config.org,
                    http.say(&text)
                ),
                fix: "check DOCKER_INFLUXDB_INIT_ORG and the token".to_owned(),
            })
        }
        Err(error) => undecided_or(error, http).map(|()| None),
    }
}

/// A question of ours that got no good answer, as what is to be done about it.
fn not_answered(error: RequestError, http: &Http) -> Trouble {
    match error {
        RequestError::Http { status, text } => {
            let status =
                StatusCode::from_u16(status.as_u16()).expect("a status of the other client is a status");
            match trouble(Refusal::from_text(http, status, &text)) {
                Trouble::Refused { why } | Trouble::TooLarge { why } => {
                    Trouble::Misconfigured { why, fix: NO_INFLUXDB.to_owned() }
                }
                trouble => trouble.of_our_own(),
            }
        }
        RequestError::ReqwestProcessing { source } if !source.is_decode() => Trouble::TryLater {
            why: http.say(&format!("no answer ({})", chain(&source.without_url()))),
            after: None,
        },
        RequestError::ReqwestProcessing { .. }
        | RequestError::Deserializing { .. }
        | RequestError::Serializing { .. } => Trouble::Misconfigured {
            why: "what answers does not answer as an InfluxDB 2".to_owned(),
            fix: NO_INFLUXDB.to_owned(),
        },
    }
}

const NO_INFLUXDB: &str = "check that INFLUXDB_URL is the address of an InfluxDB 2 (a store that only takes line protocol wants INFLUXDB_WRITE_ONLY=true)";

/// A look-up that this token or version does not allow decides nothing: the first write will. Any other fault is one.
fn undecided_or(error: RequestError, http: &Http) -> Result<(), Trouble> {
    let undecided = match &error {
        RequestError::Http { status, .. } => matches!(status.as_u16(), 403 | 404 | 405 | 501),
        RequestError::ReqwestProcessing { source } => source.is_decode(),
        RequestError::Serializing { .. } | RequestError::Deserializing { .. } => true,
    };
    if undecided {
        tracing::debug!(%error, "the bucket cannot be looked up; the first write will tell");
        return Ok(());
    }
    Err(not_answered(error, http))
}

/// A store that can only be written has been reached when anybody answers at all: what it says to a question is its own affair.
async fn look_for_anybody(http: &Http) -> Result<(), Trouble> {
    match http.request(Method::GET, "health", &[]).send().await {
        Ok(_) => Ok(()),
        Err(error) => Err(Trouble::TryLater { why: http.say_error(error), after: None }),
    }
}

/// A server behind a prefix has been reached when it answers anything at all below that prefix.
async fn look_behind_a_prefix(http: &Http) -> Result<(), Trouble> {
    let response = http
        .request(Method::GET, "health", &[])
        .send()
        .await
        .map_err(|error| Trouble::TryLater { why: http.say_error(error), after: None })?;
    if response.status().is_server_error() || response.status() == StatusCode::TOO_MANY_REQUESTS {
        return Err(trouble(http.refusal(response).await));
    }
    Ok(())
}
