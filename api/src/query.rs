//! Path and query values become types here, before any other code sees them (A3). No I/O, no clock: today comes in.

use std::time::Duration;

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path, RawQuery};
use axum::http::request::Parts;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::NaiveDate;
use logline::CustomerId;
use stats::{SECONDS_PER_DAY, TimeRange, day_of, first_kept_second};
use store::CustomersQuery;

use crate::answers::date;
use crate::error::ApiError;
use crate::grammar::shortened;

/// Customers on a page, unless `limit` says otherwise.
pub(crate) const PAGE_DEFAULT: usize = 100;
/// The most customers on a page.
pub(crate) const PAGE_MAX: usize = 1000;
/// First byte of every cursor, so that a later form can be told apart.
const CURSOR_FORM: u8 = b'1';

/// The customer of a path: the segment, percent-decoded exactly once.
#[derive(Debug)]
pub(crate) enum PathCustomer {
    /// An id that a customer can have.
    Possible(String),
    /// No customer can have this id (not UTF-8, too long, control characters), so none has data.
    Impossible,
}

impl PathCustomer {
    /// The id, if it can be one.
    pub(crate) fn id(&self) -> Option<&str> {
        match self {
            PathCustomer::Possible(id) => Some(id),
            PathCustomer::Impossible => None,
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PathCustomer {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let segment: Result<Path<String>, PathRejection> = Path::from_request_parts(parts, state).await;
        Ok(match segment {
            Ok(Path(id)) if CustomerId::new(&id).is_ok() => PathCustomer::Possible(id),
            _ => PathCustomer::Impossible,
        })
    }
}

/// The days that can be asked for: their first seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Calendar {
    first: i64,
    today: i64,
}

impl Calendar {
    /// From the first day of which nothing has been dropped yet to today. No log line is older than 1970.
    pub(crate) fn new(now_second: i64, retention: Option<Duration>) -> Self {
        Self { first: first_kept_second(now_second, retention).max(0), today: day_of(now_second) }
    }
}

/// The query's parameters in the order in which they came, decoded.
#[derive(Debug)]
pub(crate) struct Parameters(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Parameters {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let RawQuery(query) = RawQuery::from_request_parts(parts, state).await?;
        Ok(Parameters::parse(query.as_deref().unwrap_or("")))
    }
}

impl Parameters {
    /// Those of an address.
    pub(crate) fn of(address: &axum::http::Uri) -> Self {
        Self::parse(address.query().unwrap_or_default())
    }

    fn parse(query: &str) -> Self {
        Parameters(form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    /// The address of the next page: the parameters as they were, with another cursor.
    pub(crate) fn with_cursor(&self, path: &str, cursor: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        // A link's token is whoever's who has the link: it is not repeated.
        let kept = self.0.iter().filter(|(name, _)| name != "cursor" && name != "share");
        query.extend_pairs(kept).append_pair("cursor", cursor);
        format!("{path}?{}", query.finish())
    }

    /// Every parameter must be one of these. A misspelt or unsupported one that is silently ignored would give a wrong number.
    pub(crate) fn only(&self, known: &[&str]) -> Result<(), ApiError> {
        match self.0.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some((name, _)) => Err(ApiError::parameter(
                shortened(name),
                format!("not a parameter of this path, which takes {}", known.join(", ")),
            )),
        }
    }

    /// The one value of a parameter that goes by any of these names.
    pub(crate) fn one(&self, names: &[&str]) -> Result<Option<&str>, ApiError> {
        let mut values = self.0.iter().filter(|(name, _)| names.contains(&name.as_str()));
        let first = values.next();
        if values.next().is_some() {
            return Err(ApiError::parameter(names[0], "given more than once"));
        }
        Ok(first.map(|(_, value)| value.as_str()))
    }

    /// The range `[from_date 00:00 UTC, tomorrow 00:00 UTC)`, as far as it is kept. `from` is an alias of `from_date`.
    pub(crate) fn range(&self, calendar: Calendar) -> Result<TimeRange, ApiError> {
        self.only(&["from_date", "from"])?;
        let text = self.one(&["from_date", "from"])?.ok_or_else(|| {
            ApiError::parameter("from_date", "missing; expected YYYY-MM-DD, the first day (UTC) to count")
        })?;
        let day = parse_day(text).map_err(|wrong| ApiError::parameter("from_date", wrong))?;
        let Calendar { first, today } = calendar;
        if day > today {
            let today = date(today);
            let wrong = format!("`{text}` is in the future; today is {today} (UTC)");
            return Err(ApiError::parameter("from_date", wrong));
        }
        // An earlier day than the first means "everything", and the answer's `from` says so.
        Ok(TimeRange { from_second: day.max(first), to_second: today + SECONDS_PER_DAY })
    }

    /// The page that `limit` and `cursor` ask for.
    pub(crate) fn page(&self) -> Result<CustomersQuery, ApiError> {
        self.only(&["limit", "cursor"])?;
        let limit = match self.one(&["limit"])? {
            None => PAGE_DEFAULT,
            Some(text) => parse_limit(text).ok_or_else(|| {
                ApiError::parameter(
                    "limit",
                    format!("`{}` is not a whole number from 1 to {PAGE_MAX}", shortened(text)),
                )
            })?,
        };
        let after = match self.one(&["cursor"])? {
            None => None,
            Some(text) => Some(read_cursor(text).ok_or_else(|| {
                ApiError::parameter(
                    "cursor",
                    "not a cursor of this api; take `next_cursor` from the page before, unchanged",
                )
            })?),
        };
        Ok(CustomersQuery { after, limit })
    }
}

/// The cursor of the page after this customer.
pub(crate) fn write_cursor(last_id: &str) -> String {
    let mut bytes = vec![CURSOR_FORM];
    bytes.extend_from_slice(last_id.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn read_cursor(text: &str) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (form, id) = bytes.split_first()?;
    let id = std::str::from_utf8(id).ok()?;
    (*form == CURSOR_FORM && CustomerId::new(id).is_ok()).then(|| id.to_owned())
}

fn parse_limit(text: &str) -> Option<usize> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().filter(|limit| (1..=PAGE_MAX).contains(limit))
}

/// The first second of a day written `YYYY-MM-DD`, and nothing else.
fn parse_day(text: &str) -> Result<i64, String> {
    let form = || format!("`{}` is not of the form YYYY-MM-DD", shortened(text));
    let bytes: &[u8; 10] = text.as_bytes().try_into().map_err(|_| form())?;
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0_u32, |number, digit| {
            digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0'))
        })
    };
    if bytes[4] != b'-' || bytes[7] != b'-' {
        return Err(form());
    }
    let (Some(year), Some(month), Some(day)) =
        (number(&bytes[..4]), number(&bytes[5..7]), number(&bytes[8..]))
    else {
        return Err(form());
    };
    let year = i32::try_from(year).expect("four digits");
    NaiveDate::from_ymd_opt(year, month, day)
        .map(|date| date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp())
        .ok_or_else(|| format!("`{text}` is not a date of the calendar"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 2024-09-30T12:34:56Z.
    const NOW: i64 = 1_727_699_696;
    const TODAY: i64 = 1_727_654_400;

    fn range(query: &str) -> Result<(i64, i64), String> {
        match Parameters::parse(query).range(Calendar::new(NOW, None)) {
            Ok(range) => Ok((range.from_second, range.to_second)),
            Err(error) => Err(format!("{error:?}")),
        }
    }

    #[test]
    fn a_range_starts_at_midnight_and_ends_with_today() {
        let tomorrow = TODAY + SECONDS_PER_DAY;
        for (query, from) in [
            ("from_date=2024-09-30", TODAY),
            ("from=2024-09-29", TODAY - SECONDS_PER_DAY),
            ("from_date=1970-01-01", 0),
            ("from_date=1970-01-02", SECONDS_PER_DAY),
            ("from_date=2024-02-29", 1_709_164_800),
            ("from_date=%32024-09-30", TODAY),
            ("from%5Fdate=2024-09-30", TODAY),
            // Before any log line: everything.
            ("from_date=1969-12-31", 0),
            ("from_date=0000-01-01", 0),
            ("from_date=0001-01-01", 0),
        ] {
            assert_eq!(range(query), Ok((from, tomorrow)), "{query}");
        }
    }

    #[test]
    fn a_range_does_not_start_before_the_retention() {
        let from = |query: &str, retention_seconds| {
            let calendar = Calendar::new(NOW, Some(Duration::from_secs(retention_seconds)));
            Parameters::parse(query).range(calendar).expect(query).from_second
        };
        let day = SECONDS_PER_DAY as u64;
        assert_eq!(from("from_date=1970-01-01", 45 * day), TODAY - 45 * SECONDS_PER_DAY);
        assert_eq!(from("from_date=2024-09-29", 45 * day), TODAY - SECONDS_PER_DAY);
        assert_eq!(from("from_date=1970-01-01", 1), TODAY, "the day in which it ends is whole");
        assert_eq!(from("from_date=1970-01-01", u64::MAX), 0);
    }

    #[test]
    fn what_is_not_one_real_past_date_is_refused_by_name() {
        for (query, expected) in [
            ("", "missing"),
            ("from_date=", "not of the form"),
            ("from_date", "not of the form"),
            ("from_date=2024-10-01", "future"),
            ("from_date=9999-12-31", "future"),
            ("from_date=2023-02-29", "calendar"),
            ("from_date=2024-13-01", "calendar"),
            ("from_date=2024-00-10", "calendar"),
            ("from_date=2024-09-31", "calendar"),
            ("from_date=2024-9-30", "not of the form"),
            ("from_date=20240930", "not of the form"),
            ("from_date=2024/09/30", "not of the form"),
            ("from_date=%202024-09-30", "not of the form"),
            ("from_date=2024-09-30+", "not of the form"),
            ("from_date=2024-09-30%00", "not of the form"),
            ("from_date=2024-09-30T00:00:00Z", "not of the form"),
            ("from_date=%2B024-09-30", "not of the form"),
            ("from_date=-024-09-30", "not of the form"),
            ("from_date=02024-09-3", "not of the form"),
            ("from_date=%D9%A1970-01-0", "not of the form"),
            ("from_date=%FF024-09-30", "not of the form"),
            ("from_date=yesterday", "not of the form"),
            ("from_date=2024-09-30&from_date=2024-09-30", "more than once"),
            ("from_date=2024-09-30&from=2024-09-30", "more than once"),
            ("from_date=2024-09-30&to=2024-09-30", "not a parameter of this path"),
            ("From_Date=2024-09-30", "not a parameter of this path"),
        ] {
            let error = range(query).expect_err(query);
            assert!(error.contains(expected), "{query}: {error}");
        }
    }

    #[test]
    fn a_page_is_limited() {
        for (query, limit) in [("", 100), ("limit=1", 1), ("limit=1000", 1000), ("limit=007", 7)] {
            assert_eq!(Parameters::parse(query).page().expect(query).limit, limit, "{query}");
        }
        for query in
            ["limit=0", "limit=1001", "limit=", "limit=-1", "limit=%2B5", "limit=1e2", "limit=1&limit=1"]
        {
            Parameters::parse(query).page().expect_err(query);
        }
        for query in [
            "limit=99999999999999999999999999",
            "cursor=",
            "cursor=%20",
            "cursor=MQ",
            "cursor=MmE",
            "cursor=MWE=",
            "cursor=MWF",
            "offset=3",
        ] {
            Parameters::parse(query).page().expect_err(query);
        }
    }

    #[test]
    fn a_long_value_is_not_repeated_whole() {
        assert_eq!(shortened(&"é".repeat(41)), format!("{}…", "é".repeat(40)));
        assert_eq!(shortened("short"), "short");
    }

    proptest! {
        #[test]
        fn a_cursor_brings_back_its_customer(id in "[^\\p{Cc}\\\\]{1,60}") {
            let query = format!("cursor={}", write_cursor(&id));
            prop_assert_eq!(Parameters::parse(&query).page().expect("a cursor of ours").after, Some(id));
        }

        #[test]
        fn no_query_makes_the_parser_panic(query in ".*") {
            let parameters = Parameters::parse(&query);
            drop((parameters.range(Calendar::new(NOW, None)), parameters.page()));
        }

        #[test]
        fn every_day_until_today_is_understood(day in -719_162_i64..20_000) {
            let second = (day * SECONDS_PER_DAY).min(TODAY);
            let text = chrono::DateTime::from_timestamp(second, 0).expect("in range").format("%Y-%m-%d").to_string();
            prop_assert_eq!(parse_day(&text), Ok(second));
        }
    }
}
