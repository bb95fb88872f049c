//! https: the hot paths and the client library trust the same certificates, named by SSL_CERT_FILE or by the settings.

use std::path::Path;
use std::process::Command;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use store::influx::testing::{Options, RealInflux, TlsFiles};
use store::influx::{InfluxConfig, InfluxRequests, InfluxStats};
use store::{ReadError, RequestStore, StatsQuery, StatsStore, Trouble};
use tempfile::TempDir;

use crate::cases::{ALL_TIME, ask};
use crate::log::{DAY_0, Log, request};
use crate::subject::encode;

/// A CA of our own, and a certificate of it for localhost.
fn certificates(folder: &Path) -> TlsFiles {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca =
        CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate");
    let server_key = KeyPair::generate().expect("a key");
    let server = CertificateParams::new(vec!["localhost".to_owned()])
        .expect("a name")
        .signed_by(&server_key, &ca)
        .expect("a certificate");
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).expect("written");
        path
    };
    TlsFiles {
        certificate: write("server.pem", server.pem()),
        key: write("server.key", server_key.serialize_pem()),
        ca: write("ca.pem", ca.pem()),
    }
}

async fn https_server() -> (RealInflux, TlsFiles, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let files = certificates(folder.path());
    let influx = RealInflux::start(Options { tls: Some(files.clone()) }).await;
    (influx, files, folder)
}

/// Prepares a new bucket, writes, reads.
async fn round_trip(config: &InfluxConfig) -> Result<u64, Trouble> {
    let store = InfluxRequests::new(config.clone()).expect("settings and certificates that can be read");
    store.prepare().await?;
    store.write(encode(&store, &Log::of(vec![request(DAY_0, "a", 200, 1); 10])).into()).await?;
    assert_eq!(store.owner("main").await?, None);
    Ok(ask(&InfluxStats::new(config).expect("good settings"), Some("a"), ALL_TIME).await.total.requests)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn https_works_with_a_private_ca_and_nobody_else_is_trusted() {
    let (influx, _files, folder) = https_server().await;
    assert!(influx.url().starts_with("https://"));
    assert_eq!(round_trip(&influx.config("a-bucket-over-https")).await, Ok(10));

    // Another CA vouches for nobody here: no connection, on the hot paths as with the client library.
    let others = folder.path().join("others");
    std::fs::create_dir(&others).expect("a folder");
    let mut config = influx.config("a-bucket-over-https");
    config.ca_file = Some(certificates(&others).ca);
    let store = InfluxRequests::new(config.clone()).expect("certificates that can be read");
    let written = store.write("x y=1 1\n".into()).await;
    assert!(
        matches!(&written, Err(Trouble::TryLater { why, .. }) if why.contains("certificate")),
        "{written:?}"
    );
    let prepared = store.prepare().await;
    assert!(matches!(prepared, Err(Trouble::TryLater { .. })), "{prepared:?}");
    let answered = InfluxStats::new(&config)
        .expect("good settings")
        .stats(&StatsQuery { customer: None, range: ALL_TIME })
        .await;
    assert!(matches!(answered, Err(ReadError::Away { .. })), "{answered:?}");
}

/// The environment is a process's own: this test runs itself once more with SSL_CERT_FILE set, and once with one that vouches for nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ssl_cert_file_is_honoured() {
    const URL: &str = "TAILGAUGE_TEST_HTTPS_URL";
    if let Ok(url) = std::env::var(URL) {
        let config = InfluxConfig::new(&url, "test-org", "a-bucket-by-ssl-cert-file", "test-token")
            .expect("good settings");
        assert_eq!(round_trip(&config).await, Ok(10));
        return;
    }
    let (influx, files, folder) = https_server().await;
    let others = folder.path().join("others");
    std::fs::create_dir(&others).expect("a folder");
    let run = |ca: &Path| {
        Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "influxdb::tls::ssl_cert_file_is_honoured"])
            .env(URL, influx.url())
            .env("SSL_CERT_FILE", ca)
            .env_remove("SSL_CERT_DIR")
            .output()
            .expect("run")
    };
    let good = run(&files.ca);
    assert!(good.status.success(), "{}", String::from_utf8_lossy(&good.stdout));
    let bad = run(&certificates(&others).ca);
    assert!(!bad.status.success(), "a server that nobody vouches for was trusted");
}
