//! docs/API.md: every curl of it is asked, and its answer is the one that stands under it. `GUIDE_UPDATE=1` writes the answers there.

use std::path::PathBuf;

use api::keys::{Keys, NewKey};
use api::{Access, AppState, Options, app};
use axum::Router;
use service::Stop;

use crate::ask::{clock, example, get_with, router};
use crate::rejects;

/// A fenced block: where its text begins and ends, and its language.
#[derive(Clone, Debug)]
struct Block {
    language: String,
    text: std::ops::Range<usize>,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut at = 0;
    let mut open: Option<(String, usize)> = None;
    for line in page.split_inclusive('\n') {
        if let Some(language) = line.trim_end().strip_prefix("```") {
            match open.take() {
                Some((language, start)) => blocks.push(Block { language, text: start..at }),
                None => open = Some((language.to_owned(), at + line.len())),
            }
        }
        at += line.len();
    }
    blocks
}

/// The words of a shell line without quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (number, part) in line.split('\'').enumerate() {
        if number % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

/// JSON with the members of the answer, and of its rows, on lines of their own; in the order in which they are sent.
fn laid_out(json: &str) -> String {
    const LINES_TO_DEPTH: usize = 1;
    let (mut text, mut depth, mut quoted, mut escaped) = (String::new(), 0_usize, false, false);
    for character in json.chars() {
        let structural = !quoted;
        match character {
            '"' if !escaped => quoted = !quoted,
            '}' | ']' if structural => depth -= 1,
            _ => {}
        }
        escaped = character == '\\' && !escaped;
        if structural && character == '}' && depth == 0 {
            text.push('\n');
        }
        text.push(character);
        if structural && ['{', '['].contains(&character) {
            depth += 1;
        }
        let breaks = structural && [',', '{'].contains(&character) && depth <= LINES_TO_DEPTH;
        if breaks {
            text.push_str("\n  ");
        } else if structural && [',', ':'].contains(&character) {
            text.push(' ');
        }
    }
    text + "\n"
}

/// With a key, so that a wrong one is refused; the others are asked without any.
fn guarded() -> Router {
    let key = NewKey::generate(None).expect("bytes");
    let access = Access { keys: Keys::parse(&key.entry).expect("an entry"), ..Access::default() };
    app(AppState::guarded(example(), clock(), Options::default(), Stop::never(), access))
}

/// The answer to a curl line as the page shows it; None for what it does not show (a stream).
async fn answer(line: &str, shown_as: &str) -> Option<String> {
    let words = words(line);
    let address = words.iter().find_map(|word| word.strip_prefix("http://127.0.0.1:8000")).expect(line);
    let headers: Vec<(String, String)> = words
        .windows(2)
        .filter(|pair| pair[0] == "-H")
        .map(|pair| {
            pair[1].split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned())).expect(line)
        })
        .collect();
    if address.ends_with("/live") {
        let request =
            axum::http::Request::builder().uri(address).body(axum::body::Body::empty()).expect(line);
        let response = tower::ServiceExt::oneshot(router(&example()), request).await.expect("an answer");
        assert_eq!(
            (response.status().as_u16(), &response.headers()["content-type"]),
            (200, &"text/event-stream".parse().expect("a header")),
            "{line}"
        );
        return None;
    }
    let shown: Vec<(&str, &str)> =
        headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let with_key = headers.iter().any(|(name, _)| name == "authorization");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let house = match address {
        _ if with_key => guarded(),
        // Which needs a ledger with a rejected line.
        address if address.starts_with("/v1/rejects") => rejects::router(folder.path()),
        _ => router(&example()),
    };
    let answer = get_with(&house, address, &shown).await;
    let expected = if with_key { vec![401] } else { vec![200, 404, 422] };
    assert!(expected.contains(&answer.status.as_u16()), "{line}: {}", answer.text());
    Some(match shown_as {
        "json" => {
            answer.json();
            laid_out(answer.text())
        }
        _ => answer.text().replace("\r\n", "\n"),
    })
}

#[tokio::test]
async fn every_curl_of_the_guide_gives_the_answer_that_stands_under_it() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/API.md");
    let mut page = std::fs::read_to_string(&path).expect("docs/API.md");
    let update = std::env::var_os("GUIDE_UPDATE").is_some();
    let mut asked = 0;
    let mut number = 0;
    while let Some(block) = blocks(&page).get(number).cloned() {
        number += 1;
        let text = page[block.text.clone()].to_owned();
        let Some(line) = text.lines().find(|line| line.starts_with("curl ")) else { continue };
        asked += 1;
        let next = blocks(&page)
            .get(number)
            .cloned()
            .filter(|next| ["json", "csv"].contains(&next.language.as_str()));
        let answer = answer(line, next.as_ref().map_or("", |next| &next.language)).await;
        let Some(next) = next else { continue };
        let answer = answer.expect("a stream has no answer to show");
        if update {
            page.replace_range(next.text.clone(), &answer);
        } else {
            assert_eq!(
                page[next.text.clone()],
                answer,
                "docs/API.md does not show what `{line}` answers: run this test with GUIDE_UPDATE=1"
            );
        }
    }
    assert!(asked >= 10, "only {asked} curls were found");
    if update {
        std::fs::write(&path, page).expect("docs/API.md can be written");
    }
}
