//! What a store refuses because of what is in a body, however often it comes: one bad line, or too many bytes. As InfluxDB 2 answers it. Pure.

use crate::http::Answer;
use crate::traffic::POISON;

/// How a bad line is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poison {
    /// 400: nothing of the body is stored.
    NothingIsStored,
    /// 422: everything else of the body is stored.
    TheRestIsStored,
}

/// What is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refusals {
    /// Lines of customers that begin with [`POISON`], and how.
    pub poison: Option<Poison>,
    /// Bodies of more bytes, with 413.
    pub body_max_bytes: Option<usize>,
}

/// What becomes of a body.
#[derive(Clone, Debug)]
pub struct Refused {
    /// What is stored of it.
    pub stored: Vec<u8>,
    /// What is answered.
    pub answer: Answer,
}

impl Refusals {
    /// Looks at a body; none when nothing in it is refused.
    pub fn judge(&self, body: &[u8]) -> Option<Refused> {
        if let Some(max) = self.body_max_bytes.filter(|max| body.len() > *max && count(body) > 1) {
            let words = format!("request body is larger than {max} bytes");
            return Some(Refused { stored: vec![], answer: refusal(413, "request too large", &words) });
        }
        let poison = self.poison?;
        let marker = format!(",customer_id={POISON}");
        let is_poison = |line: &&[u8]| line.windows(marker.len()).any(|window| window == marker.as_bytes());
        let lines = || body.split_inclusive(|byte| *byte == b'\n');
        let first = lines().find(is_poison)?;
        let dropped = lines().filter(is_poison).count();
        Some(match poison {
            Poison::NothingIsStored => {
                let words = format!(
                    "unable to parse '{}': refused by the test",
                    String::from_utf8_lossy(first).trim_end()
                );
                Refused { stored: vec![], answer: refusal(400, "invalid", &words) }
            }
            Poison::TheRestIsStored => {
                let words = format!(
                    "failure writing points to database: partial write: refused by the test dropped={dropped}"
                );
                let stored = lines().filter(|line| !is_poison(line)).collect::<Vec<_>>().concat();
                Refused { stored, answer: refusal(422, "unprocessable entity", &words) }
            }
        })
    }
}

/// An answer in InfluxDB's form.
pub fn refusal(status: u16, code: &str, words: &str) -> Answer {
    let body = serde_json::json!({ "code": code, "message": words }).to_string().into_bytes();
    let headers = vec![("content-type".to_owned(), "application/json; charset=utf-8".to_owned())];
    Answer { status, headers, body }
}

fn count(body: &[u8]) -> usize {
    body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_line_and_a_large_body_are_refused() {
        let good = "api_requests,customer_id=a,success=1 duration=1 1\n";
        let bad = "api_requests,customer_id=poison_1,success=1 duration=1 2\n";
        let body = format!("{good}{bad}{good}");
        let judge = |refusals: Refusals, body: &str| {
            refusals.judge(body.as_bytes()).map(|refused| (refused.answer.status, refused.stored.len()))
        };
        let poison = |how| Refusals { poison: Some(how), body_max_bytes: None };
        assert_eq!(judge(poison(Poison::NothingIsStored), &body), Some((400, 0)));
        assert_eq!(judge(poison(Poison::TheRestIsStored), &body), Some((422, 2 * good.len())));
        assert_eq!(judge(poison(Poison::NothingIsStored), good), None);
        let small = Refusals { poison: None, body_max_bytes: Some(60) };
        assert_eq!(judge(small, &body), Some((413, 0)));
        assert_eq!(judge(small, good), None);
    }
}
