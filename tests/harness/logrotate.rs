//! Debian's own `logrotate`, for one log, with a configuration and a state file of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::stack::size;

/// logrotate with what it is told about one log.
#[derive(Debug)]
pub struct Logrotate {
    configuration: PathBuf,
    state: PathBuf,
    log: PathBuf,
}

impl Logrotate {
    /// For this log; `directives` as in `/etc/logrotate.d`. Its own files lie in `folder`, which is not the log's.
    pub fn new(folder: &Path, log: &Path, directives: &[&str]) -> Logrotate {
        let name = log.file_name().expect("a log has a name").to_string_lossy().into_owned();
        let configuration = folder.join(format!("{name}.conf"));
        let text = format!("{} {{\n  {}\n}}\n", log.display(), directives.join("\n  "));
        std::fs::write(&configuration, text).expect("the configuration is written");
        Logrotate { configuration, state: folder.join(format!("{name}.state")), log: log.to_owned() }
    }

    /// Rotates, whatever the log's age and size. An empty log is rotated too, unless the directives say `notifempty`.
    pub fn rotate(&self) {
        let run = || {
            let mut command = Command::new("logrotate");
            command.arg("--force").arg("--state").arg(&self.state).arg(&self.configuration);
            // It lives in a folder that not every PATH has.
            let path = std::env::var_os("PATH").unwrap_or_default();
            let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
            command.env("PATH", std::env::join_paths(folders).expect("folders of a PATH")).output()
        };
        let output = run()
            .unwrap_or_else(|error| panic!("logrotate does not run ({error}): apt-get install logrotate"));
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let (bytes, conf) = (size(&self.log), self.configuration.display());
        // Two rotations within one second have one name: logrotate leaves the second one out and says so.
        let one_name = told.contains("already exists, skipping rotation");
        assert!(output.status.success() || one_name, "logrotate on {bytes} bytes with {conf}:\n{told}");
    }
}
