//! Builds the dashboard into OUT_DIR, from where `src/dashboard.rs` embeds it. With Node 18 or newer and npm that is the page of `dashboard/`; without them, or
//! where its packages cannot be had, a small page that says how to get it, so that the api always builds. Nothing here knows what the page shows.
//!
//! `TAILGAUGE_DASHBOARD=require` makes a page that cannot be built a failure (for images and CI), `skip` does not try.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the page is made of.
const SOURCES: [&str; 6] =
    ["index.html", "package.json", "package-lock.json", "tsconfig.json", "vite.config.js", "src"];
/// What comes out, and is embedded under these names.
const FILES: [&str; 3] = ["index.html", "app.js", "app.css"];
/// Which lock file the installed packages are of.
const STAMP: &str = "node_modules/.tailgauge-lock";
const NODE_MAJOR_MIN: u32 = 18;
/// Lines of a failed program that are repeated.
const SAID_LINES: usize = 4;

const NO_PAGE: &str = include_str!("src/no_dashboard.html");

fn main() {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    println!("cargo::rerun-if-env-changed=TAILGAUGE_DASHBOARD");
    for source in SOURCES {
        println!("cargo::rerun-if-changed=dashboard/{source}");
    }
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/no_dashboard.html");
    let page = PathBuf::from(variable("CARGO_MANIFEST_DIR")).join("dashboard");
    let out = PathBuf::from(variable("OUT_DIR")).join("dashboard");
    fs::create_dir_all(&out).expect("OUT_DIR can be written");
    let wish = variable("TAILGAUGE_DASHBOARD");
    let built = match wish.as_str() {
        "skip" => Err("TAILGAUGE_DASHBOARD=skip".to_owned()),
        _ => build(&page, &out),
    };
    if let Err(why) = built {
        assert!(wish != "require", "the dashboard cannot be built: {why}");
        if wish != "skip" {
            println!(
                "cargo::warning=the api is built without its dashboard: {} (then `touch api/build.rs` and build again)",
                why.replace('\n', " ")
            );
        }
        for file in FILES {
            let content = if file == "index.html" { NO_PAGE } else { "" };
            fs::write(out.join(file), content).expect("OUT_DIR can be written");
        }
    }
}

fn build(page: &Path, out: &Path) -> Result<(), String> {
    let version = run(page, "node", &["--version"]).map_err(|_| "Node.js is not there".to_owned())?;
    let major: u32 =
        version.trim().trim_start_matches('v').split('.').next().unwrap_or_default().parse().unwrap_or(0);
    if major < NODE_MAJOR_MIN {
        return Err(format!(
            "Node.js {} is too old, {NODE_MAJOR_MIN} is the oldest that will do",
            version.trim()
        ));
    }
    // Two builds at once (another profile, another target folder) share the packages.
    let lock_file = page.join("package-lock.json");
    let lock = File::open(&lock_file).map_err(|error| format!("package-lock.json: {error}"))?;
    lock.lock().map_err(|error| format!("package-lock.json: {error}"))?;
    install(page, &lock_file)?;
    let out = out.to_str().ok_or("OUT_DIR is not UTF-8")?;
    run(
        page,
        "node",
        &["node_modules/vite/bin/vite.js", "build", "--outDir", out, "--emptyOutDir", "--logLevel", "warn"],
    )?;
    for file in FILES {
        if !Path::new(out).join(file).is_file() {
            return Err(format!("vite wrote no {file}"));
        }
    }
    Ok(())
}

/// The packages of the lock file, unless they are there.
fn install(page: &Path, lock_file: &Path) -> Result<(), String> {
    let wanted = fs::read(lock_file).map_err(|error| format!("package-lock.json: {error}"))?;
    if fs::read(page.join(STAMP)).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    // No package's scripts run; a machine without a network is told so within seconds.
    let quick = ["--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=30000"];
    let quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"];
    run(page, "npm", &[&["ci"][..], &quiet, &quick].concat())?;
    fs::write(page.join(STAMP), wanted).map_err(|error| format!("{STAMP}: {error}"))
}

/// Runs a program; what it printed, or why it failed.
fn run(folder: &Path, program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    let wrong = String::from_utf8_lossy(&output.stderr);
    // npm says what is wrong first, and then how it is used.
    let lines = wrong.lines().chain(text.lines()).map(str::trim);
    let said: Vec<&str> =
        lines.filter(|line| !line.is_empty() && *line != "npm error").take(SAID_LINES).collect();
    Err(format!("{program} {}: {}: {}", arguments.join(" "), output.status, said.join("; ")))
}
