//! The names of all settings of all programs: what may stand in a file that they share, and what looks like a slip.

/// Every setting that a program of ours knows. A name in a shared file that is not here is warned about.
pub const KNOWN: &[&str] = &[
    "API_ALLOW_ANONYMOUS",
    "API_BIND",
    "API_CORS_ORIGINS",
    "API_KEYS",
    "API_RATE_LIMIT",
    "API_SHARE_SECRET",
    "DOCKER_INFLUXDB_INIT_ADMIN_TOKEN",
    "DOCKER_INFLUXDB_INIT_BUCKET",
    "DOCKER_INFLUXDB_INIT_ORG",
    "DOCKER_INFLUXDB_INIT_RETENTION",
    "INFLUXDB_URL",
    "INFLUXDB_WRITE_ONLY",
    "LOGGING_LEVEL",
    "LOG_BACKFILL_DAYS",
    "LOG_BATCH_SIZE",
    "LOG_FILE_PATH",
    "LOG_FORMAT_JSON",
    "LOG_INTERVAL_SECONDS",
    "LOG_PROFILE",
    "LOG_ROTATE_BYTES",
    "LOG_SALT",
    "LOG_SEED",
    "LOG_START_TIME",
    "LOG_TIMEZONE",
    "MAX_LOGS_TO_GENERATE",
    "METRICS_BIND",
    "RAW_REQUESTS_AGE",
    "RAW_REQUESTS_MAX",
    "RETENTION",
    "START_AT",
    "STATE_DIR",
    "STORE",
    "STREAM_MAX_SIZE",
    "STREAM_MAX_WAIT_TIME_IN_SECONDS",
    "WORKERS",
];

/// Names with this start belong to the InfluxDB container that reads the same file.
pub const CONTAINER_PREFIX: &str = "DOCKER_INFLUXDB_INIT_";

/// Whether a name is one of ours, or the container's, or compose's own.
pub(super) fn is_known(name: &str) -> bool {
    let plain = name.strip_suffix("_FILE").unwrap_or(name);
    KNOWN.contains(&name)
        || KNOWN.contains(&plain)
        || name.starts_with(CONTAINER_PREFIX)
        || name.starts_with("COMPOSE_")
}

/// The known name that this one was probably meant to be.
pub(super) fn near_miss(name: &str) -> Option<&'static str> {
    let upper = name.to_ascii_uppercase();
    KNOWN
        .iter()
        .copied()
        .map(|known| (edits(&upper, known), known))
        // Short names have many neighbours: one slip is all that is believed there.
        .filter(|(edits, known)| *edits <= if known.len() <= 8 { 1 } else { 2 })
        .min()
        .map(|(_, known)| known)
}

/// How many single-character slips lie between two names (insert, delete, replace, swap of neighbours).
fn edits(left: &str, right: &str) -> usize {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    if left.len().abs_diff(right.len()) > 2 {
        return usize::MAX;
    }
    let width = right.len() + 1;
    let mut table = vec![0; (left.len() + 1) * width];
    for row in 0..=left.len() {
        for column in 0..width {
            let at = row * width + column;
            table[at] = match (row, column) {
                (0, n) | (n, 0) => n,
                _ => {
                    let differs = usize::from(left[row - 1] != right[column - 1]);
                    let mut best = (table[at - 1] + 1).min(table[at - width] + 1);
                    best = best.min(table[at - width - 1] + differs);
                    let swapped = row > 1
                        && column > 1
                        && left[row - 1] == right[column - 2]
                        && left[row - 2] == right[column - 1];
                    if swapped { best.min(table[at - 2 * width - 2] + 1) } else { best }
                }
            };
        }
    }
    table[table.len() - 1]
}
