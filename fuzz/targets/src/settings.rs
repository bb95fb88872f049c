//! Settings: the env file, all sources together as a program reads them, and the list of logs. Any bytes are taken or refused in words; a secret is in no word.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

use log_processor::settings::{PROGRAM, Settings};
use log_processor::sources::Sources;
use service::settings::{Inputs, env_file};

/// Pieces of env files and command lines.
pub const TOKENS: &[&[u8]] = &[
    b"\n",
    b"=",
    b"'",
    b"\"",
    b" #",
    b"\\n",
    b"\\",
    b"export ",
    b"--",
    b"\0--",
    b"\0",
    b"--workers=",
    b"--log-file-path=",
    b"--print-config",
    b"--log-format-json",
    b"LOG_FILE_PATH=",
    b"WORKERS=",
    b"RETENTION=45d",
    b"RAW_REQUESTS_AGE=",
    b"STREAM_MAX_WAIT_TIME_IN_SECONDS=0.5",
    b"INFLUXDB_URL=http://u:p@localhost:8086/base?x=y",
    b"STORE=influxdb",
    b"LOG_TIMEZONE=Europe/Berlin",
    b"METRICS_BIND=off",
    b"DOCKER_INFLUXDB_INIT_RETENTION=",
    b"DOCKER_INFLUXDB_INIT_ADMIN_TOKEN_FILE=",
    b"18446744073709551616",
    b"99999999999d",
    b"-1",
    b"1e999",
    b"\xef\xbb\xbf",
    b"\xff",
];

/// Pieces of LOG_FILE_PATH.
pub const PATH_TOKENS: &[&[u8]] = &[
    b",",
    b"=",
    b" , ",
    b"main=",
    b"api.log",
    b"/var/log/api.log",
    b"*",
    b"?",
    b"[",
    b"[!a]",
    b"**",
    b"../",
    b"/",
    b".gz",
    b".1",
    b"\xc3\xb6",
];

/// The form of `.env.local`: every entry comes back when it is written with quotes.
pub fn env_file(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (entries, faults) = env_file::parse(&text);
    let telling = text
        .trim_start_matches('\u{feff}')
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.trim().starts_with('#'));
    assert_eq!(entries.len() + faults.len(), telling.count(), "a line without an outcome");
    for entry in entries {
        let value = entry.value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        // A carriage return and other line ends can stand in no value that is read back from a line.
        if entry.value.contains('\r') {
            continue;
        }
        let (again, none) = env_file::parse(&format!("{}=\"{value}\"", entry.key));
        assert_eq!(none, Vec::<String>::new(), "{:?}", entry.value);
        let [again] = &again[..] else { panic!("{} entries of one", again.len()) };
        assert_eq!(
            (&again.key, &again.value),
            (&entry.key, &entry.value),
            "an entry that is written reads otherwise"
        );
    }
}

/// Marks the secret.
const SECRET: &str = "s3cr3t-t0k3n";

/// All that log-processor reads: arguments (behind the last newline, NUL between them) and an environment (the lines before it). The token is told by nothing.
pub fn settings(bytes: &[u8]) {
    if bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()) {
        return; // It stands where it is no secret.
    }
    let (environment, args) = match bytes.iter().rposition(|byte| *byte == b'\n') {
        Some(newline) => (&bytes[..newline], &bytes[newline + 1..]),
        None => (&bytes[..0], bytes),
    };
    let (entries, _) = env_file::parse(&String::from_utf8_lossy(environment));
    let mut environment: BTreeMap<String, String> = entries
        .into_iter()
        .filter(|entry| entry.key != "ENV_FILE" && !entry.key.ends_with("_FILE"))
        .map(|entry| (entry.key, entry.value))
        .collect();
    environment.insert("DOCKER_INFLUXDB_INIT_ADMIN_TOKEN".to_owned(), SECRET.to_owned());
    let args = std::iter::once(b"log-processor".as_slice())
        .chain(args.split(|byte| *byte == 0).filter(|arg| !arg.is_empty()));
    let args: Vec<OsString> = args.map(|arg| OsString::from_vec(arg.to_vec())).collect();
    // No file is read: there is no such folder, and no flag that names one.
    if args.iter().any(|arg| {
        arg.to_string_lossy().contains("-file") && !arg.to_string_lossy().contains("log-file-path")
    }) {
        return;
    }
    let inputs =
        Inputs { args, environment, folder: PathBuf::from("/nonexistent"), stderr_is_terminal: false };
    let words = match PROGRAM.load_with(inputs, |command| command) {
        Err(exit) => exit.out + &exit.err,
        Ok(loaded) => {
            let mut words = loaded.print_config();
            words.extend(loaded.warnings().iter().cloned());
            match Settings::read(&loaded) {
                Ok(read) => words += &format!("{read:?}"),
                Err(exit) => {
                    assert!(exit.code == 2 || exit.code == 0 && !exit.out.is_empty(), "{exit:?}");
                    words += &exit.out;
                    words += &exit.err;
                }
            }
            words
        }
    };
    assert!(!words.contains(SECRET), "the secret is told: {words}");
}

/// LOG_FILE_PATH: what is accepted gives every path a source of its own.
pub fn log_file_path(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Ok(sources) = Sources::parse(&text) else { return };
    assert_eq!(Sources::parse(&text).as_ref(), Ok(&sources));
    if text.contains(['*', '?', '[']) {
        return; // Paths would be looked for on the disk.
    }
    let found = sources.paths();
    assert!(found.refused.is_empty() && found.unmatched.is_empty(), "{found:?}");
    let entries = text.split(',').filter(|entry| !entry.trim().is_empty()).count();
    assert_eq!(found.logs.len(), entries, "a path without an outcome");
    let mut names: Vec<&str> = found.logs.iter().map(|(source, _)| source.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), found.logs.len(), "two paths with one source");
    let written: Vec<String> =
        found.logs.iter().map(|(source, path)| format!("{source}={}", path.display())).collect();
    let again = Sources::parse(&written.join(",")).map(|sources| sources.paths());
    assert_eq!(again.as_ref(), Ok(&found), "a list that is written reads otherwise");
}
