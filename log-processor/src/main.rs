//! log-processor: follows log files and stores every request exactly once. The work is in `pipeline`.

use std::process::ExitCode;

use clap::{Arg, ArgAction, Command};
use log_processor::again::{Again, again};
use log_processor::settings::{PROGRAM, Settings};
use log_processor::tail::Mode;
use log_processor::{commands, running};
use service::settings::Inputs;

fn main() -> ExitCode {
    let loaded = match PROGRAM.load_with(Inputs::of_process(), commands_and_flags) {
        Ok(loaded) => loaded,
        Err(exit) => return exit.print(),
    };
    let settings = match Settings::read(&loaded) {
        Ok(settings) => settings,
        Err(exit) => return exit.print(), // Every bad setting, with its value, at once.
    };
    settings.telemetry.init();
    let matches = loaded.matches();
    match matches.subcommand() {
        Some(("status", flags)) => commands::status(&settings, flags.get_flag("json")),
        Some(("rejects", flags)) => commands::rejects(&settings, flags.get_flag("json")),
        Some(("verify", flags)) => commands::verify(&settings, flags.get_flag("json")),
        Some(("replay", _)) => again(settings, Again::Replay),
        Some(("rebuild", _)) => again(settings, Again::Rebuild),
        Some(("health", _)) => commands::health(&settings),
        _ => {
            loaded.log_warnings();
            let settings = Settings { accept_store: matches.get_flag("accept-store"), ..settings };
            let mode = match (matches.get_flag("once"), matches.get_flag("final")) {
                (false, false) => Mode::Follow,
                (_, take_last) => Mode::Drain { take_last },
            };
            running::run(settings, mode, settings_again)
        }
    }
}

/// The settings as they are now, for a run that SIGHUP renews; `None` when they cannot be used, which was said then.
fn settings_again() -> Option<Settings> {
    let settings = PROGRAM
        .load_with(Inputs::of_process(), commands_and_flags)
        .and_then(|loaded| Settings::read(&loaded).inspect(|_| loaded.log_warnings()));
    match settings {
        Ok(settings) => Some(settings),
        Err(exit) => {
            exit.print(); // The exit code is for a start.
            None
        }
    }
}

fn commands_and_flags(command: Command) -> Command {
    let flag = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
    };
    command
        .arg(flag(
            "once",
            "drain the files to their ends, settle everything, exit; an unfinished last line stays",
        ))
        .arg(flag("final", "as --once, and take an unfinished last line too"))
        .arg(flag(
            "accept-store",
            "go on with a store that has lost what it had confirmed (wiped, restored), without what is missing",
        ))
        .subcommand(
            Command::new("status").about("Where every line is").arg(flag("json", "as one JSON object")),
        )
        .subcommand(
            Command::new("rejects")
                .about("The rejected lines that are kept")
                .arg(flag("json", "one JSON object a line")),
        )
        .subcommand(
            Command::new("verify")
                .about("Compares every request that the log makes with the store, and every statistics cell; exit 1 on a difference")
                .arg(flag("json", "one JSON object for each difference")),
        )
        .subcommand(
            Command::new("replay")
                .about("Sends every settled line of the log's files to the store again and counts nothing twice; no processor may run"),
        )
        .subcommand(
            Command::new("rebuild")
                .about("Makes the statistics again from the requests that InfluxDB holds, for a log that another ledger has counted in part; no processor may run"),
        )
        .subcommand(
            Command::new("health").about("Asks the running processor's /readyz; exit 0 when it is ready"),
        )
}
