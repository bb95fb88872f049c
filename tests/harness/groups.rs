//! Which whole-system tests were asked for. One that was asked for and cannot run fails; one that was not asked for says so.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::tell;

/// The variable that chooses.
const CHOICE: &str = "SYSTEM_TESTS";
/// The variable that asks for the long forms.
const LONG: &str = "SYSTEM_TESTS_LONG";

/// What a test needs beside the programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Nothing: the embedded store.
    Native,
    /// A real InfluxDB 2.
    InfluxDb,
    /// A Docker engine.
    Containers,
    /// A browser, and Node.js to drive it.
    Browser,
    /// The right to mount: root.
    Mounts,
    /// Debian's `logrotate`.
    Logrotate,
}

impl Group {
    const ALL: [Group; 6] =
        [Group::Native, Group::InfluxDb, Group::Containers, Group::Browser, Group::Mounts, Group::Logrotate];

    fn name(self) -> &'static str {
        match self {
            Group::Native => "native",
            Group::InfluxDb => "influxdb",
            Group::Containers => "containers",
            Group::Browser => "browser",
            Group::Mounts => "mounts",
            Group::Logrotate => "logrotate",
        }
    }
}

/// Is this group left out? Without a choice, none is. Says so for each test, so that what passed by being left out is seen.
pub fn left_out(group: Group) -> bool {
    let Some(choice) = variable(CHOICE) else { return false };
    let names: Vec<&str> = choice.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    let unknown: Vec<&&str> =
        names.iter().filter(|name| Group::ALL.iter().all(|group| group.name() != **name)).collect();
    assert!(
        unknown.is_empty() && !names.is_empty(),
        "{CHOICE}={choice}: expected some of native, influxdb, containers, browser, mounts, logrotate, with commas between them"
    );
    let left_out = !names.contains(&group.name());
    if left_out {
        let test = std::thread::current().name().unwrap_or("a test").to_owned();
        tell(&format!("LEFT OUT: {test} ({CHOICE}={choice} does not name `{}`)", group.name()));
    }
    left_out
}

/// Are the long forms asked for? They are what the product is judged by; the normal ones are the same tests with fewer rounds.
pub fn long() -> bool {
    variable(LONG).is_some_and(|value| value != "0")
}

/// One number for the normal run, another for the long one, or what a variable says.
pub fn scaled(name: &str, normal: u64, in_long: u64) -> u64 {
    match variable(name) {
        Some(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text}: expected a whole number")),
        None if long() => in_long,
        None => normal,
    }
}

/// For a test that loads the machine: no other of them runs meanwhile.
pub fn heavy() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    // A test that failed in its turn leaves nothing behind that could disturb the next.
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A variable of the environment; empty is as good as unset.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
