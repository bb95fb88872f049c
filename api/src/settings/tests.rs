//! The rules about settings, on inputs of the test's own.

use std::path::Path;

use super::*;

fn inputs(args: &[&str], environment: &[(&str, &str)]) -> Inputs {
    let args = std::iter::once("api").chain(args.iter().copied()).map(Into::into).collect();
    let environment =
        environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    // An empty folder name would be the working folder, with whatever files it has.
    Inputs { args, environment, folder: PathBuf::from("/nonexistent"), stderr_is_terminal: false }
}

fn settings(environment: &[(&str, &str)]) -> Result<Settings, String> {
    match read(inputs(&[], environment)) {
        Ok(Task::Serve(settings)) => Ok(*settings),
        Ok(task) => panic!("{task:?}"),
        Err(exit) => {
            assert_eq!(exit.code, 2, "{exit:?}");
            Err(exit.err)
        }
    }
}

#[test]
fn the_declaration_is_sound() {
    assert_eq!(PROGRAM.audit(), Vec::<String>::new());
}

#[test]
fn without_settings_it_serves_the_ledger_on_loopback() {
    let settings = settings(&[]).expect("every setting has a default");
    assert_eq!(settings.bind.to_string(), "127.0.0.1:8000");
    assert_eq!(settings.retention, None);
    assert!(matches!(settings.store, StoreChoice::Embedded { state_dir } if state_dir == Path::new("data")));
}

#[test]
fn only_loopback_is_open_to_everyone() {
    for (bind, open) in [
        ("127.0.0.1:8000", true),
        ("127.9.9.9:8000", true),
        ("localhost:8000", true),
        ("[::1]:8000", true),
        ("[::ffff:127.0.0.1]:8000", true),
        ("0.0.0.0:8000", false),
        ("[::]:8000", false),
        ("[::ffff:10.0.0.1]:8000", false),
        ("10.0.0.1:8000", false),
    ] {
        let refused = settings(&[("API_BIND", bind)]);
        assert_eq!(refused.is_ok(), open, "{bind}");
        if let Err(text) = refused {
            assert!(text.contains(bind) && text.contains("API_ALLOW_ANONYMOUS=true"), "{text}");
        }
        settings(&[("API_BIND", bind), ("API_ALLOW_ANONYMOUS", "true")]).expect(bind);
    }
}

#[test]
fn the_store_follows_the_url_unless_it_is_named() {
    let influx = [
        ("INFLUXDB_URL", "http://127.0.0.1:8086"),
        ("DOCKER_INFLUXDB_INIT_ORG", "o"),
        ("DOCKER_INFLUXDB_INIT_BUCKET", "b"),
        ("DOCKER_INFLUXDB_INIT_ADMIN_TOKEN", "t"),
    ];
    let named = |store| [&influx[..], &[("STORE", store)]].concat();
    for (environment, expected) in [
        (vec![], false),
        (influx.to_vec(), true),
        (named("embedded"), false),
        (named("influxdb"), true),
        (named("InfluxDB"), true),
        (named(""), true),
    ] {
        let store = settings(&environment).expect("complete").store;
        assert_eq!(matches!(store, StoreChoice::Influx { .. }), expected, "{environment:?}");
    }
}

#[test]
fn every_fault_is_told_at_once_and_no_secret_with_it() {
    let told = settings(&[
        ("STORE", "influxdb"),
        ("API_BIND", "here"),
        ("RETENTION", "soon"),
        ("DOCKER_INFLUXDB_INIT_ADMIN_TOKEN", "very-secret"),
        ("INFLUXDB_WRITE_ONLY", "true"),
    ])
    .expect_err("five faults");
    for name in [
        "API_BIND=here",
        "RETENTION=soon",
        "INFLUXDB_URL is not set",
        "_ORG is not set",
        "_BUCKET is not set",
        "INFLUXDB_WRITE_ONLY=true",
    ] {
        assert!(told.contains(name), "{name} is missing in: {told}");
    }
    assert!(!told.contains("very-secret"), "{told}");
}

#[test]
fn the_retention_of_the_database_is_the_retention() {
    let settings = settings(&[("DOCKER_INFLUXDB_INIT_RETENTION", "45d")]).expect("one good setting");
    assert_eq!(settings.retention, Some(Duration::from_secs(45 * 86_400)));
}

#[test]
fn health_asks_the_address_of_the_server() {
    let target = |args: &[&str], bind: &str| match read(inputs(args, &[("API_BIND", bind)])) {
        Ok(Task::Health(probe)) => probe.to_string(),
        other => format!("{other:?}"),
    };
    assert_eq!(target(&["health"], "127.0.0.1:9000"), "http://127.0.0.1:9000/livez");
    assert_eq!(target(&["health", "--ready"], "0.0.0.0:9000"), "http://127.0.0.1:9000/readyz");
    assert_eq!(target(&["health"], "[::]:9000"), "http://[::1]:9000/livez");
    assert_eq!(target(&["health", "http://api:8000"], ""), "http://api:8000/livez");
    assert_eq!(target(&["health", "--ready", "http://api:8000/"], ""), "http://api:8000/readyz");
    assert_eq!(target(&["health", "http://[::1]:8000/x/readyz"], ""), "http://[::1]:8000/x/readyz");
    assert_eq!(target(&["health", "http://api"], ""), "http://api:80/livez");
    for (args, bind) in
        [(vec!["health"], "127.0.0.1:0"), (vec!["health", "https://api"], ""), (vec!["health", "api:x"], "")]
    {
        assert!(target(&args, bind).contains("code: 2"), "{args:?}");
    }
}
