//! The whole system in containers, as a compose project of its own: its names, volumes, networks and image are told apart from any other's, and
//! nothing of it is left behind. Nothing else of the engine is touched.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::program::binary;
use crate::wait::eventually;
use crate::{tell, workspace};

/// The programs of the image.
const PROGRAMS: [&str; 3] = ["log-generator", "log-processor", "api"];
/// The containers, by their names in docker-compose.yml.
pub const SERVICES: [&str; 4] = ["log_generator", "log_processor", "influx_db", "api"];

/// A compose project; taken down with its volumes when dropped.
#[derive(Debug)]
pub struct Project {
    name: String,
    environment: BTreeMap<String, String>,
    down: bool,
}

impl Project {
    /// Builds the image around this machine's release binaries and brings everything up, in the order of the health checks.
    pub fn up() -> Project {
        let name = format!("tailgauge-test-{}", std::process::id());
        let mut environment = engine();
        for (variable, value) in [
            ("COMPOSE_PROJECT_NAME", name.clone()),
            ("CONTAINER_PREFIX", format!("{name}-")),
            ("TAILGAUGE_IMAGE", format!("{name}:local")),
            ("BINARIES", "host".to_owned()),
            ("API_PORT", "0".to_owned()),
            ("INFLUXDB_PORT", "0".to_owned()),
            ("HEALTH_INTERVAL", "1s".to_owned()),
        ] {
            environment.insert(variable.to_owned(), value);
        }
        let project = Project { name, environment, down: false };
        project.part("images.sh", &["debian", "influxdb"]);
        // Where the Dockerfile looks for them; see BINARIES there.
        let folder = workspace().join(".host-binaries");
        std::fs::create_dir_all(&folder).expect("a folder for the binaries");
        for program in PROGRAMS {
            std::fs::copy(binary(program), folder.join(program)).expect("copied");
        }
        let built = project.try_compose(&["up", "-d", "--build", "--wait", "--wait-timeout", "180"]);
        if !built.status.success() {
            project.tell_logs();
            panic!("docker compose up failed:\n{}", String::from_utf8_lossy(&built.stderr));
        }
        project
    }

    /// A container's name.
    pub fn container(&self, service: &str) -> String {
        format!("{}-{service}", self.name)
    }

    /// A program inside a container; its output.
    pub fn exec(&self, service: &str, command: &[&str]) -> String {
        self.exec_with_input(service, command, b"")
    }

    /// The same with something on its standard input.
    pub fn exec_with_input(&self, service: &str, command: &[&str], input: &[u8]) -> String {
        let container = self.container(service);
        let mut args = vec!["exec", "-i", &container];
        args.extend(command);
        text(self.docker(&args, input))
    }

    /// Starts a program inside a container, which goes on by itself.
    pub fn exec_detached(&self, service: &str, settings: &[(&str, &str)], command: &[&str]) {
        let container = self.container(service);
        let settings: Vec<String> =
            settings.iter().map(|(name, value)| format!("--env={name}={value}")).collect();
        let mut args = vec!["exec", "--detach"];
        args.extend(settings.iter().map(String::as_str));
        args.push(&container);
        args.extend(command);
        text(self.docker(&args, b""));
    }

    /// `log-processor status --json` inside its container. An error is told when there is none to be had, since it may be down.
    pub fn status(&self) -> Result<Value, String> {
        let container = self.container("log_processor");
        let output = self.docker(&["exec", &container, "log-processor", "status", "--json"], b"");
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
    }

    /// Waits until the status is as wished.
    pub fn until(&self, deadline: Duration, what: &str, wish: impl Fn(&Value) -> bool) -> Value {
        eventually(deadline, what, || {
            let status = self.status()?;
            if wish(&status) { Ok(status) } else { Err(format!("{status:#}")) }
        })
    }

    /// Kills a container's program as a crash would, and waits for its end.
    pub fn kill(&self, service: &str) {
        let container = self.container(service);
        text(self.docker(&["kill", "--signal=KILL", &container], b""));
        text(self.docker(&["wait", &container], b""));
    }

    /// Starts a container again.
    pub fn start(&self, service: &str) {
        text(self.docker(&["start", &self.container(service)], b""));
    }

    /// The address on this machine of a port inside a container.
    pub fn address(&self, service: &str, port: &str) -> String {
        text(self.try_compose(&["port", service, port])).trim().to_owned()
    }

    /// Everything that a container has logged.
    pub fn logs(&self, service: &str) -> String {
        let output = self.docker(&["logs", &self.container(service)], b"");
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    }

    /// Takes everything down and asserts that nothing of it is left: no container, volume, network or image.
    pub fn down(mut self) {
        self.take_down();
        let label = format!("label=com.docker.compose.project={}", self.name);
        for (kind, args) in [
            ("containers", ["ps", "--all"].as_slice()),
            ("volumes", &["volume", "ls"]),
            ("networks", &["network", "ls"]),
            ("images", &["image", "ls"]),
        ] {
            let args = [args, &["--quiet", "--filter", label.as_str()]].concat();
            let left = text(self.docker(&args, b""));
            assert!(left.trim().is_empty(), "{kind} of {} are left: {left}", self.name);
        }
    }

    fn take_down(&mut self) {
        self.down = true;
        let output = self.try_compose(&["down", "--volumes", "--remove-orphans", "--timeout", "40"]);
        let image = format!("{}:local", self.name);
        let removed = self.docker(&["image", "rm", &image], b"");
        for output in [output, removed].iter().filter(|output| !output.status.success()) {
            tell(&format!("taking {} down: {}", self.name, String::from_utf8_lossy(&output.stderr)));
        }
        drop(std::fs::remove_dir_all(workspace().join(".host-binaries")));
    }

    fn tell_logs(&self) {
        for service in SERVICES {
            let log = self.logs(service);
            let lines: Vec<&str> = log.lines().collect();
            tell(&format!(
                "--- end of the log of {service}\n{}",
                lines[lines.len().saturating_sub(40)..].join("\n")
            ));
        }
    }

    fn part(&self, script: &str, args: &[&str]) {
        let script = workspace().join("tests/parts").join(script);
        let status = Command::new(&script).args(args).envs(&self.environment).stdin(Stdio::null()).status();
        assert!(status.is_ok_and(|status| status.success()), "{} failed; see above", script.display());
    }

    fn try_compose(&self, args: &[&str]) -> Output {
        let files = ["compose", "-f", "docker-compose.yml", "-f", "tests/parts/compose.test.yml"];
        self.docker(&[&files, args].concat(), b"")
    }

    fn docker(&self, args: &[&str], input: &[u8]) -> Output {
        let mut command = Command::new("docker");
        command.args(args).current_dir(workspace()).envs(&self.environment);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the docker client starts");
        let mut stdin = child.stdin.take().expect("it is piped");
        // Inputs of the tests fit into what the client reads at once; one that has ended early says so by its exit code.
        drop(stdin.write_all(input));
        drop(stdin);
        child.wait_with_output().expect("its output")
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        if self.down {
            return;
        }
        if std::thread::panicking() {
            self.tell_logs();
        }
        self.take_down();
    }
}

/// What the docker client needs in its environment to reach an engine, one of our own if there is no other.
fn engine() -> BTreeMap<String, String> {
    let script = workspace().join("tests/parts/docker.sh");
    let output = shell(&script);
    assert!(
        output.status.success(),
        "no Docker engine is to be had; see above what {} says",
        script.display()
    );
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split('\0')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// What the script prints is for a shell, so a shell reads it.
fn shell(script: &Path) -> Output {
    let read = r#"variables="$("$0" up)" && eval "$variables" && printf 'DOCKER_HOST=%s\0DOCKER_CONFIG=%s' "${DOCKER_HOST:-}" "${DOCKER_CONFIG:-}""#;
    let mut command = Command::new("bash");
    command.args(["-c", read]).arg(script).stdin(Stdio::null()).stderr(Stdio::inherit());
    command.output().expect("bash starts")
}

/// What a command printed, which must have gone well.
fn text(output: Output) -> String {
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {told}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}
