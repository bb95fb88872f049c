//! Tests of the settings as a program sees them: sources, precedence, faults, what people are shown.

use super::*;
use std::time::Duration;

static PROGRAM: Program = Program {
    name: "demo",
    about: "Shows how settings behave",
    version: "1.2.3",
    settings: &[
        Setting::new("LOG_FILE_PATH", Kind::List, "the log").default("data/api_requests.log"),
        Setting::new("WORKERS", Kind::Whole { min: 1, max: 64 }, "worker tasks").default("4"),
        Setting::new("LOG_INTERVAL_SECONDS", Kind::Seconds { max: 3600 }, "time between batches")
            .default("1"),
        Setting::new("RETENTION", Kind::Age, "keep no longer than that")
            .default("0")
            .aliases(&["DOCKER_INFLUXDB_INIT_RETENTION"]),
        Setting::new("STORE", Kind::OneOf(&["embedded", "influxdb"]), "where requests are kept"),
        Setting::new("STATE_DIR", Kind::Path, "the ledger's folder").default("data"),
        Setting::new("API_BIND", Kind::Address, "where the api listens").default("127.0.0.1:8000"),
        Setting::new("DOCKER_INFLUXDB_INIT_ADMIN_TOKEN", Kind::Text("a token"), "the store's token").secret(),
        crate::LOGGING_LEVEL,
        crate::LOG_FORMAT_JSON,
    ],
    examples: &[("demo --workers 8", "eight workers"), ("demo status --json", "the state, as JSON")],
    exit_codes: &[(0, "done"), (2, "a setting is wrong")],
};

struct World {
    folder: tempfile::TempDir,
    inputs: Inputs,
}

fn world(args: &str, environment: &[(&str, &str)]) -> World {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let inputs = Inputs {
        args: std::iter::once("demo").chain(args.split_whitespace()).map(Into::into).collect(),
        environment: environment.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        folder: folder.path().to_owned(),
        ..Inputs::default()
    };
    World { folder, inputs }
}

impl World {
    fn file(self, name: &str, text: &str) -> Self {
        std::fs::write(self.folder.path().join(name), text).expect("a file in the temporary folder");
        self
    }
    fn load(&self) -> Result<Loaded, Exit> {
        PROGRAM.load_with(self.inputs.clone(), |command| {
            let json = clap::Arg::new("json").long("json").action(clap::ArgAction::SetTrue);
            command.subcommand(clap::Command::new("status").about("Prints the state").arg(json))
        })
    }
    fn config(&self) -> String {
        self.load().expect("settings load").print_config()
    }
    /// What a start that reads nothing by itself ends with; the folder's changing name is taken out.
    fn exit(&self) -> Exit {
        let exit = match self.load() {
            Ok(loaded) => loaded.reader().finish().expect_err("the start was to end here"),
            Err(exit) => exit,
        };
        let folder = self.folder.path().display().to_string();
        Exit { err: exit.err.replace(&folder, "FOLDER"), ..exit }
    }
}

fn value(config: &str, name: &str) -> String {
    let start = format!("{name}=");
    config.lines().find_map(|line| line.strip_prefix(&start)).expect("every setting is printed").to_owned()
}

#[test]
fn the_declaration_is_sound() {
    assert_eq!(PROGRAM.audit(), Vec::<String>::new());
}

#[test]
fn the_first_source_that_gives_a_value_wins() {
    let toml = "workers = 5\n";
    let env = "WORKERS=6\n";
    let none = world("", &[]);
    assert_eq!(value(&none.config(), "WORKERS"), "4  # default");
    let file = world("", &[]).file("tailgauge.toml", toml);
    assert_eq!(value(&file.config(), "WORKERS"), "5  # tailgauge.toml");
    let both = world("", &[]).file("tailgauge.toml", toml).file(".env.local", env);
    assert_eq!(value(&both.config(), "WORKERS"), "6  # .env.local");
    let variable = world("", &[("WORKERS", "7")]).file("tailgauge.toml", toml).file(".env.local", env);
    assert_eq!(value(&variable.config(), "WORKERS"), "7  # environment");
    let flag = world("--workers 8", &[("WORKERS", "7")]).file("tailgauge.toml", toml).file(".env.local", env);
    assert_eq!(value(&flag.config(), "WORKERS"), "8  # command line");
}

#[test]
fn an_empty_value_means_the_default_whatever_stands_below() {
    let emptied =
        world("", &[("WORKERS", ""), ("STORE", "")]).file(".env.local", "WORKERS=6\nSTORE=influxdb\n");
    assert_eq!(value(&emptied.config(), "WORKERS"), "4  # default");
    assert_eq!(value(&emptied.config(), "STORE"), "  # not set");
}

#[test]
fn flags_stand_before_or_after_a_subcommand() {
    for args in ["--workers 8 status --json", "status --workers 8 --json", "status --json --workers=8"] {
        let loaded = world(args, &[]).load().expect("settings load");
        assert_eq!(loaded.reader().whole("WORKERS"), 8, "{args}");
        let (name, matches) = loaded.matches().subcommand().expect("a subcommand");
        assert_eq!((name, matches.get_flag("json")), ("status", true), "{args}");
    }
}

#[test]
fn a_true_false_flag_may_stand_alone() {
    for (args, expected) in [
        ("", false),
        ("--log-format-json", true),
        ("--log-format-json status", true),
        ("--log-format-json true", true),
        ("--log-format-json no status", false),
        ("status --log-format-json=false", false),
    ] {
        let loaded = world(args, &[]).load().expect("settings load");
        assert_eq!(loaded.reader().flag("LOG_FORMAT_JSON"), expected, "{args}");
    }
}

#[test]
fn a_list_flag_adds_up_and_any_other_is_replaced() {
    let loaded =
        world("--log-file-path a --workers 2 --log-file-path b,c --workers 3", &[]).load().expect("loads");
    assert_eq!(loaded.reader().list("LOG_FILE_PATH"), ["a", "b", "c"]);
    assert_eq!(loaded.reader().whole("WORKERS"), 3);
}

#[test]
fn toml_keys_are_taken_in_any_case_and_any_type() {
    let toml = "Log_File_Path = [\"a\", \"b\"]\nLOG_INTERVAL_SECONDS = 0.5\nlog_format_json = true\n[api]\nbind = \"[::1]:9\"\n";
    let loaded = world("", &[]).file("tailgauge.toml", toml).load().expect("settings load");
    let mut reader = loaded.reader();
    assert_eq!(reader.list("LOG_FILE_PATH"), ["a", "b"]);
    assert_eq!(reader.seconds("LOG_INTERVAL_SECONDS"), Duration::from_millis(500));
    assert!(reader.flag("LOG_FORMAT_JSON"));
    assert_eq!(reader.address("API_BIND").to_string(), "[::1]:9");
    assert_eq!(loaded.warnings(), Vec::<String>::new());
    reader.finish().expect("no faults");
}

#[test]
fn the_env_file_may_be_named_and_must_then_exist() {
    let named = world("", &[("ENV_FILE", "other.env")])
        .file("other.env", "WORKERS=9")
        .file(".env.local", "WORKERS=6");
    assert_eq!(value(&named.config(), "WORKERS"), "9  # other.env");
    let none = world("", &[("ENV_FILE", "")]).file(".env.local", "WORKERS=6");
    assert_eq!(value(&none.config(), "WORKERS"), "4  # default");
    insta::assert_snapshot!(world("", &[("ENV_FILE", "gone.env")]).exit().err, @r"
    demo: a setting is wrong:
      gone.env (named by ENV_FILE): expected a readable text file: No such file or directory (os error 2)
    See demo --help
    ");
}

#[test]
fn an_alias_gives_way_to_the_name_within_one_source_only() {
    let alias = "DOCKER_INFLUXDB_INIT_RETENTION";
    let read = |world: World| world.load().expect("settings load").reader().age("RETENTION");
    let days = |days: u64| Some(Duration::from_secs(days * 86_400));
    assert_eq!(read(world("", &[(alias, "45d")])), days(45));
    assert_eq!(read(world("", &[(alias, "45d"), ("RETENTION", "1w")])), days(7));
    assert_eq!(read(world("", &[(alias, "45d")]).file(".env.local", "RETENTION=1w")), days(45));
    assert_eq!(read(world("--docker-influxdb-init-retention 2d", &[])), days(2));
    assert_eq!(read(world("", &[])), None);
}

#[test]
fn a_secret_comes_from_a_file_and_is_never_shown() {
    let name = "DOCKER_INFLUXDB_INIT_ADMIN_TOKEN";
    let world = world("", &[("DOCKER_INFLUXDB_INIT_ADMIN_TOKEN_FILE", "token")]).file("token", "s3cret=\r\n");
    let loaded = world.load().expect("settings load");
    assert_eq!(loaded.reader().text(name).as_deref(), Some("s3cret="));
    assert_eq!(
        value(&loaded.print_config(), name),
        "***  # environment, DOCKER_INFLUXDB_INIT_ADMIN_TOKEN_FILE"
    );
    assert!(!format!("{loaded:?} {:?} {:?}", loaded.inputs(), loaded.reader()).contains("s3cret"));
    let mut reader = loaded.reader();
    reader.fault(name, "a token that the store knows");
    let exit = reader.finish().expect_err("one fault");
    assert!(!exit.err.contains("s3cret"), "{}", exit.err);
    insta::assert_snapshot!(exit.err, @r"
    demo: a setting is wrong:
      DOCKER_INFLUXDB_INIT_ADMIN_TOKEN=*** (from environment, DOCKER_INFLUXDB_INIT_ADMIN_TOKEN_FILE): expected a token that the store knows
    See demo --help
    ");
}

#[test]
fn all_faults_are_reported_at_once() {
    let world = world(
        "--workers 0",
        &[
            ("LOG_INTERVAL_SECONDS", "-1"),
            ("API_BIND", "8000"),
            ("DOCKER_INFLUXDB_INIT_RETENTION", "45 days"),
            ("DOCKER_INFLUXDB_INIT_ADMIN_TOKEN_FILE", "gone"),
        ],
    )
    .file(".env.local", "STORE=mysql\nnonsense\nLOG_FORMAT_JSON=maybe\n")
    .file("tailgauge.toml", "workers = maybe\n");
    let exit = world.exit();
    assert_eq!((exit.code, exit.out.as_str()), (2, ""));
    insta::assert_snapshot!(exit.err, @r"
    demo: 9 settings are wrong:
      tailgauge.toml: expected valid TOML: TOML parse error at line 1, column 11
          |
        1 | workers = maybe
          |           ^^^^^
        string values must be quoted, expected literal string
      .env.local line 2: expected KEY=VALUE, a comment or nothing
      DOCKER_INFLUXDB_INIT_ADMIN_TOKEN_FILE=FOLDER/gone (from environment): expected a readable file that holds the value: No such file or directory (os error 2)
      WORKERS=0 (from command line): expected a whole number from 1 to 64
      LOG_INTERVAL_SECONDS=-1 (from environment): expected seconds from 0 to 3600, such as 1 or 0.25
      DOCKER_INFLUXDB_INIT_RETENTION=45 days (from environment): expected a time span such as 45d, 12h or 1d12h (s, m, h, d, w), or 0 for none
      STORE=mysql (from .env.local): expected embedded or influxdb
      API_BIND=8000 (from environment): expected an address with a port, such as 127.0.0.1:8000
      LOG_FORMAT_JSON=maybe (from .env.local): expected true or false
    See demo --help
    ");
}

#[test]
fn print_config_shows_values_and_sources_and_also_the_faults() {
    let world = world("--print-config --workers 65", &[("DOCKER_INFLUXDB_INIT_ADMIN_TOKEN", "s3cret")])
        .file(".env.local", "LOG_FILE_PATH='my log.txt'\nSTATE_DIRR=x\n");
    let exit = world.exit();
    assert_eq!(exit.code, 2);
    insta::assert_snapshot!(exit.out + "--\n" + &exit.err, @r#"
    LOG_FILE_PATH="my log.txt"  # .env.local
    WORKERS=65  # command line
    LOG_INTERVAL_SECONDS=1  # default
    RETENTION=0  # default
    STORE=  # not set
    STATE_DIR=data  # default
    API_BIND=127.0.0.1:8000  # default
    DOCKER_INFLUXDB_INIT_ADMIN_TOKEN=***  # environment
    LOGGING_LEVEL=info  # default
    LOG_FORMAT_JSON=false  # default
    --
    warning: .env.local line 2: STATE_DIRR is not a setting of any program here: did you mean STATE_DIR?
    demo: a setting is wrong:
      WORKERS=65 (from command line): expected a whole number from 1 to 64
    See demo --help
    "#);
}

#[test]
fn printed_settings_are_read_back_as_they_were() {
    for path in ["plain", "with space", "a#b", "it's", "say \"x\"", "back\\slash", "$HOME", "ünï"] {
        let first = world("", &[("STATE_DIR", path)]);
        let again = world("", &[]).file(".env.local", &first.config());
        let read = again.load().expect("settings load").reader().text("STATE_DIR");
        assert_eq!(read.as_deref(), Some(path));
    }
}

#[test]
fn help_is_made_from_the_list() {
    let exit = world("--help", &[]).exit();
    assert_eq!(exit.code, 0);
    insta::assert_snapshot!(exit.out, @r"
    Shows how settings behave

    Usage: demo [OPTIONS] [COMMAND]

    Commands:
      status  Prints the state
      help    Print this message or the help of the given subcommand(s)

    Options:
          --print-config  Print every setting with its value and its source, then exit
      -h, --help          Print help
      -V, --version       Print version

    Settings:
          --log-file-path <LIST>
              the log [values separated by commas; default: data/api_requests.log]
          --workers <NUMBER>
              worker tasks [a whole number from 1 to 64; default: 4]
          --log-interval-seconds <SECONDS>
              time between batches [seconds from 0 to 3600, such as 1 or 0.25; default: 1]
          --retention <SPAN>
              keep no longer than that [a time span such as 45d, 12h or 1d12h (s, m, h, d, w), or 0
              for none; default: 0]
          --store <WORD>
              where requests are kept [embedded or influxdb]
          --state-dir <PATH>
              the ledger's folder [a path; default: data]
          --api-bind <ADDRESS>
              where the api listens [an address with a port, such as 127.0.0.1:8000; default:
              127.0.0.1:8000]
          --docker-influxdb-init-admin-token <TEXT>
              the store's token [a token]
          --docker-influxdb-init-admin-token-file <PATH>
              a file that holds it
          --logging-level <TEXT>
              how much is logged to stderr; RUST_LOG wins over it [error, warn, info, debug, trace,
              off or a filter such as info,store=debug; default: info]
          --log-format-json <BOOL>
              log one JSON object a line instead of text [true or false; default: false]

    Each setting can be given as a flag, as a variable of the environment (--log-seed is LOG_SEED), as a line
    NAME=value of .env.local (or of the file that ENV_FILE names), or as a key of tailgauge.toml: the first that
    gives it wins. An empty value means the default.

    Examples:
      demo --workers 8
          eight workers
      demo status --json
          the state, as JSON

    Exit codes:
      0  done
      2  a setting is wrong
    ");
}

#[test]
fn a_wrong_command_line_ends_with_usage() {
    let exit = world("--wrokers 3", &[]).exit();
    assert_eq!(exit.code, 2);
    insta::assert_snapshot!(exit.err, @r"
    error: unexpected argument '--wrokers' found

      tip: a similar argument exists: '--workers'

    Usage: demo --workers <NUMBER>

    For more information, try '--help'.
    ");
    assert_eq!(world("--version", &[]).exit(), Exit { out: "demo 1.2.3\n".into(), ..Exit::default() });
}

#[test]
fn the_table_for_the_readme() {
    insta::assert_snapshot!(world("--print-settings-table", &[]).exit().out, @r"
    | setting | default | meaning |
    |---|---|---|
    | `LOG_FILE_PATH` | `data/api_requests.log` | the log (values separated by commas) |
    | `WORKERS` | `4` | worker tasks (a whole number from 1 to 64) |
    | `LOG_INTERVAL_SECONDS` | `1` | time between batches (seconds from 0 to 3600, such as 1 or 0.25) |
    | `RETENTION`, `DOCKER_INFLUXDB_INIT_RETENTION` | `0` | keep no longer than that (a time span such as 45d, 12h or 1d12h (s, m, h, d, w), or 0 for none) |
    | `STORE` |  | where requests are kept (embedded or influxdb) |
    | `STATE_DIR` | `data` | the ledger's folder (a path) |
    | `API_BIND` | `127.0.0.1:8000` | where the api listens (an address with a port, such as 127.0.0.1:8000) |
    | `DOCKER_INFLUXDB_INIT_ADMIN_TOKEN`, `DOCKER_INFLUXDB_INIT_ADMIN_TOKEN_FILE` |  | the store's token (a token) |
    | `LOGGING_LEVEL` | `info` | how much is logged to stderr; RUST_LOG wins over it (error, warn, info, debug, trace, off or a filter such as info,store=debug) |
    | `LOG_FORMAT_JSON` | `false` | log one JSON object a line instead of text (true or false) |
    ");
}

#[test]
fn unknown_names_of_ours_are_warned_about() {
    let environment = [("PATH", "/bin"), ("WORKER", "3"), ("log_seed", "1"), ("STORED", ""), ("HOME", "/")];
    let world = world("", &environment)
        .file(
            ".env.local",
            "LOG_FLUSH_INTERVAL_MS=5\nLOG_FILE_PAHT=x\nDOCKER_INFLUXDB_INIT_MODE=setup\nMETRICS_BIND=x\n",
        )
        .file("tailgauge.toml", "colour = 'red'\n");
    insta::assert_snapshot!(world.load().expect("settings load").warnings().join("\n"), @r"
    tailgauge.toml: COLOUR is not a setting of any program here
    .env.local line 1: LOG_FLUSH_INTERVAL_MS is not a setting of any program here
    .env.local line 2: LOG_FILE_PAHT is not a setting of any program here: did you mean LOG_FILE_PATH?
    STORED (in the environment) is not a setting: did you mean STORE?
    WORKER (in the environment) is not a setting: did you mean WORKERS?
    log_seed (in the environment) is not a setting: did you mean LOG_SEED?
    ");
}

#[test]
fn settings_that_are_declared_and_never_read_are_known() {
    let loaded = world("", &[]).load().expect("settings load");
    let mut reader = loaded.reader();
    assert_eq!(reader.unread().len(), PROGRAM.settings.len());
    crate::Telemetry::read(&mut reader);
    reader.whole("WORKERS");
    assert!(!reader.unread().contains(&"WORKERS") && !reader.unread().contains(&"LOGGING_LEVEL"));
}

#[test]
fn a_value_that_is_not_utf8_is_a_fault_of_our_names_only() {
    let world = world("", &[("STATE_DIR", "a\u{fffd}b"), ("LS_COLORS", "\u{fffd}")]);
    insta::assert_snapshot!(world.exit().err, @r"
    demo: a setting is wrong:
      STATE_DIR (from environment): expected UTF-8
    See demo --help
    ");
}

#[test]
fn a_required_setting_says_why() {
    let loaded = world("", &[]).load().expect("settings load");
    let mut reader = loaded.reader();
    assert_eq!(reader.required("STORE", "because this test wants one"), "");
    insta::assert_snapshot!(reader.finish().expect_err("one fault").err, @r"
    demo: a setting is wrong:
      STORE is not set: expected a value, because this test wants one
    See demo --help
    ");
}

#[test]
fn forms_take_what_they_should() {
    let second = Duration::from_secs;
    assert_eq!(form::whole("0", 0, 9), Some(0));
    for text in ["", "+1", "-1", "1.0", "1e3", " 1", "10", "99999999999999999999"] {
        assert_eq!(form::whole(text, 0, 9), None, "{text:?}");
    }
    for (text, expected) in [
        ("0", second(0)),
        ("1", second(1)),
        ("0.25", Duration::from_millis(250)),
        (".5", Duration::from_millis(500)),
        ("0.0000000019", Duration::from_nanos(1)),
        ("60.0", second(60)),
    ] {
        assert_eq!(form::seconds(text, 60), Some(expected), "{text:?}");
    }
    for text in ["", ".", "1.", "-1", "nan", "inf", "1e1", "60.1", "1,5"] {
        assert_eq!(form::seconds(text, 60), None, "{text:?}");
    }
    for (text, expected) in [
        ("0", Some(None)),
        ("0d", Some(None)),
        ("45d", Some(Some(second(45 * 86_400)))),
        ("1d12h", Some(Some(second(129_600)))),
        ("2w", Some(Some(second(1_209_600)))),
        ("90s", Some(Some(second(90)))),
        ("", None),
        ("45", None),
        ("d", None),
        ("45 d", None),
        ("1.5h", None),
        ("-1d", None),
        ("5y", None),
        ("99999999999999999999d", None),
        ("9999999999999999999w", None),
        ("5ü", None),
    ] {
        assert_eq!(form::age(text), expected, "{text:?}");
    }
    assert_eq!(form::list(" a, b ,,c"), ["a", "b", "c"]);
    assert_eq!(
        form::address("localhost:80").map(|address| address.to_string()).as_deref(),
        Some("127.0.0.1:80")
    );
    assert_eq!(form::address("example.org:80"), None);
}

#[test]
fn env_file_lines() {
    let text = "\u{feff}# c\r\nA=1\r\n\n  export B = two words  # comment\nC='a # b' # c\nD=\"x\\n\\\"y\\\"\"\nE=\nF=# c\nG=a#b\nA=2\n\
                =x\n9 9=x\nH='open\nI=\"a\" b\nnothing";
    let (entries, faults) = env_file::parse(text);
    let pairs: Vec<(&str, &str)> =
        entries.iter().map(|entry| (entry.key.as_str(), entry.value.as_str())).collect();
    let expected = [
        ("A", "1"),
        ("B", "two words"),
        ("C", "a # b"),
        ("D", "x\n\"y\""),
        ("E", ""),
        ("F", ""),
        ("G", "a#b"),
        ("A", "2"),
    ];
    assert_eq!(pairs, expected);
    assert_eq!(faults.len(), 5, "{faults:?}");
    assert!(faults[0].starts_with("line 11:"), "{faults:?}");
}

proptest::proptest! {
    #[test]
    fn no_text_makes_a_form_panic(text in ".{0,40}") {
        env_file::parse(&text);
        for kind in [Kind::Whole { min: 0, max: 9 }, Kind::Seconds { max: 9 }, Kind::Flag, Kind::Address, Kind::Age, Kind::List] {
            kind.fits(&text);
        }
        known::near_miss(&text);
    }
}
