//! `api key`: makes keys and share links. What it prints is shown once and kept nowhere.

use clap::{Arg, ArgMatches, Command};
use service::{Exit, Loaded};

use crate::keys::{Keys, NewKey, SHARE_MAX_SECONDS, encoded_id};

/// How long a link opens, unless `--for` says otherwise.
const SHARE_DEFAULT: &str = "7d";

/// The subcommand's description.
pub(crate) fn command() -> Command {
    let customer = || {
        Arg::new("customer").long("customer").value_name("ID").help("The customer, exactly as the log has it")
    };
    Command::new("key")
        .about("Make a key, or a link that opens one customer's data for a while")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("new")
                .about("Make a key: prints it once on stdout, and the entry for API_KEYS on stderr")
                .arg(customer().long_help("The customer whose data the key opens, and nothing else; without it, it opens everything")),
        )
        .subcommand(
            Command::new("share")
                .about("Make a share link, signed with API_SHARE_SECRET: prints the part of an address behind the host")
                .arg(customer().required(true))
                .arg(
                    Arg::new("for")
                        .long("for")
                        .value_name("TIME")
                        .default_value(SHARE_DEFAULT)
                        .help("How long it opens, such as 12h or 30d"),
                ),
        )
}

/// Does what was asked for; the exit holds what to print.
pub(crate) fn run(loaded: &Loaded, matches: &ArgMatches, now_second: i64) -> Exit {
    let done = match matches.subcommand() {
        Some(("share", matches)) => share(loaded, matches, now_second),
        Some((_, matches)) => new(matches.get_one("customer").map(String::as_str)),
        None => Err("expected new or share".to_owned()),
    };
    done.unwrap_or_else(|wrong| Exit::usage(format!("api key: {wrong}\n")))
}

fn new(customer: Option<&str>) -> Result<Exit, String> {
    let NewKey { key, entry } = NewKey::generate(customer)?;
    let note = format!(
        "Shown once; the api keeps only its hash. The entry for API_KEYS, or a line of the file that API_KEYS_FILE names:\n{entry}\n"
    );
    Ok(Exit { out: format!("{key}\n"), err: note, ..Exit::default() })
}

fn share(loaded: &Loaded, matches: &ArgMatches, now_second: i64) -> Result<Exit, String> {
    let customer = matches.get_one::<String>("customer").expect("required");
    if logline::CustomerId::new(customer).is_err() {
        return Err("no customer can have this id".to_owned());
    }
    let mut reader = loaded.reader();
    let secret = reader.required("API_SHARE_SECRET", "the secret that the api verifies links with");
    let keys = Keys::default().sharing(&secret);
    if let (Err(wrong), false) = (&keys, secret.is_empty()) {
        reader.fault("API_SHARE_SECRET", wrong);
    }
    if let Err(exit) = reader.finish() {
        return Ok(exit);
    }
    let span = matches.get_one::<String>("for").expect("it has a default");
    let seconds = seconds(span)
        .ok_or_else(|| format!("--for {span}: expected a time such as 12h or 30d, at most ten years"))?;
    let token = keys.ok().and_then(|keys| keys.share(customer, now_second + seconds)).ok_or("no secret")?;
    let id = encoded_id(customer);
    Ok(Exit {
        out: format!("/v1/customers/{id}/stats?share={token}\n"),
        err: format!("The customer's page, behind the api's host:\n{}\n", share_page(customer, &token)),
        ..Exit::default()
    })
}

/// The address of a customer's page behind the host, opened by a link's token.
pub(crate) fn share_page(customer: &str, token: &str) -> String {
    format!("/?customer={}&share={token}", encoded_id(customer))
}

/// `30d` in seconds.
pub(crate) fn seconds(text: &str) -> Option<i64> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return None,
    };
    let digits = (digits.len() <= 9 && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(digits)?;
    let seconds = digits.parse::<i64>().ok()? * unit;
    (1..=SHARE_MAX_SECONDS).contains(&seconds).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_links() {
        for (text, expected) in [
            ("1s", Some(1)),
            ("12h", Some(43_200)),
            ("30d", Some(2_592_000)),
            ("0d", None),
            ("d", None),
            ("", None),
            ("-1d", None),
            ("1y", None),
            ("99999d", None),
            ("é", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }
}
