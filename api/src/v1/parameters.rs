//! The query's parameters of the api's first version, from texts to values (A3). What they mean is the grammar's matter.

use axum::http::HeaderMap;
use logline::RequestPath;
use stats::Percentile;
use store::RequestFilter;

use super::raw::read_place;
use super::tables::{Behind, CustomersAsked, Order};
use crate::error::ApiError;
use crate::format::Format;
use crate::grammar::{self, Fault, Fill, Granularity, Moment, Period, RangeTexts, shortened};
use crate::query::Parameters;
use crate::questions::TableKey;

/// Rows on a page, unless `limit` says otherwise.
pub(crate) const PAGE_DEFAULT: usize = 100;
/// The most rows on a page.
pub(crate) const PAGE_MAX: usize = 1000;
/// Rows of a ranking, unless `limit` says otherwise.
pub(crate) const TOP_DEFAULT: usize = 20;
/// The longest text that is searched for: no id is longer.
const SEARCH_MAX_BYTES: usize = 256;

/// What every path takes. `share` is the guard's.
const COMMON: [&str; 5] = ["from", "to", "tz", "format", "share"];

impl Parameters {
    /// Every parameter must be a common one or one of these.
    pub(crate) fn v1(&self, own: &[&str]) -> Result<(), ApiError> {
        let known: Vec<&str> = COMMON.iter().chain(own).copied().collect();
        self.only(&known)
    }

    pub(crate) fn format(&self, headers: &HeaderMap) -> Result<Format, ApiError> {
        Format::choose(self.one(&["format"])?, headers)
    }

    /// The range, and if `compare` says so the one before it.
    pub(crate) fn period(&self, moment: Moment) -> Result<Period, ApiError> {
        let compare = self.one(&["compare"])?.map_or(Ok(false), grammar::compare)?;
        Ok(moment.period(self.range_texts(compare)?)?)
    }

    /// The range and the one before it.
    pub(crate) fn compared_period(&self, moment: Moment) -> Result<Period, ApiError> {
        Ok(moment.period(self.range_texts(true)?)?)
    }

    fn range_texts(&self, compare: bool) -> Result<RangeTexts<'_>, ApiError> {
        Ok(RangeTexts { from: self.one(&["from"])?, to: self.one(&["to"])?, tz: self.one(&["tz"])?, compare })
    }

    /// What makes a table the same one at another moment.
    pub(crate) fn table_key(&self, percentiles: &[Percentile], compare: bool) -> Result<TableKey, ApiError> {
        Ok(TableKey::new(self.range_texts(compare)?, percentiles))
    }

    pub(crate) fn percentiles(&self) -> Result<Vec<Percentile>, ApiError> {
        Ok(grammar::percentiles(self.one(&["percentiles"])?.unwrap_or(grammar::PERCENTILES_DEFAULT))?)
    }

    /// The granularity; None is `auto`.
    pub(crate) fn granularity(&self) -> Result<Option<Granularity>, ApiError> {
        Ok(self.one(&["granularity"])?.map_or(Ok(None), Granularity::parse)?)
    }

    /// The granularity of an answer that has none unless it is asked for: None is one stretch, Some(None) is `auto`.
    pub(crate) fn granularity_if_any(&self) -> Result<Option<Option<Granularity>>, ApiError> {
        Ok(self.one(&["granularity"])?.map(Granularity::parse).transpose()?)
    }

    pub(crate) fn fill(&self) -> Result<Fill, ApiError> {
        Ok(self.one(&["fill"])?.map_or(Ok(Fill::default()), Fill::parse)?)
    }

    /// How many rows.
    pub(crate) fn limit(&self, default: usize) -> Result<usize, ApiError> {
        self.limit_to(default, PAGE_MAX)
    }

    /// How many rows, of a path that has another bound than pages.
    pub(crate) fn limit_to(&self, default: usize, most: usize) -> Result<usize, ApiError> {
        let Some(text) = self.one(&["limit"])? else { return Ok(default) };
        let limit = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        limit.filter(|limit| (1..=most).contains(limit)).ok_or_else(|| {
            let detail = format!("`{}` is not a whole number from 1 to {most}", shortened(text));
            ApiError::parameter("limit", detail)
        })
    }

    /// `sort` and `order` of rows with names of that column.
    pub(crate) fn order(&self, name: &str, percentiles: &[Percentile]) -> Result<Order, ApiError> {
        Ok(Order::parse(self.one(&["sort"])?, self.one(&["order"])?, name, percentiles)?)
    }

    /// Which page of which customers.
    pub(crate) fn customers(&self, percentiles: Vec<Percentile>) -> Result<CustomersAsked, ApiError> {
        let search = self.one(&["q"])?.filter(|text| !text.is_empty());
        if search.is_some_and(|text| text.len() > SEARCH_MAX_BYTES) {
            return Err(ApiError::parameter(
                "q",
                format!("longer than {SEARCH_MAX_BYTES} bytes, as no id is"),
            ));
        }
        Ok(CustomersAsked {
            order: self.order("customer_id", &percentiles)?,
            search: search.map(str::to_lowercase),
            behind: self.cursor(Behind::read)?,
            limit: self.limit(PAGE_DEFAULT)?,
            percentiles,
        })
    }

    /// A cursor of ours.
    pub(crate) fn cursor<T>(&self, read: impl Fn(&str) -> Option<T>) -> Result<Option<T>, ApiError> {
        let Some(text) = self.one(&["cursor"])? else { return Ok(None) };
        read(text).map(Some).ok_or_else(|| {
            let detail = "not a cursor of this path; take `next_cursor` from the page before, unchanged";
            ApiError::parameter("cursor", detail)
        })
    }

    /// Where a page of raw requests begins.
    pub(crate) fn place(&self) -> Result<Option<store::RequestPlace>, ApiError> {
        self.cursor(read_place)
    }

    /// Which raw requests are wanted.
    pub(crate) fn filter(&self) -> Result<RequestFilter, ApiError> {
        let class = self.one(&["status"])?.map(status_class).transpose()?;
        let path = self.one(&["path"])?.map(|path| match RequestPath::new(path) {
            Ok(_) => Ok(path.to_owned()),
            Err(_) => Err(Fault::new("path", "no request can have this path")),
        });
        let min_latency_micros = self.one(&["min_latency"])?.map(latency_micros).transpose()?;
        Ok(RequestFilter { class, path: path.transpose()?, min_latency_micros })
    }
}

/// `5xx` as 5.
fn status_class(text: &str) -> Result<u8, Fault> {
    let class = text
        .strip_suffix("xx")
        .and_then(|class| class.parse().ok())
        .filter(|class| (1..=5).contains(class) && text.len() == 3);
    class.ok_or_else(|| {
        Fault::new("status", format!("`{}` is none of 1xx, 2xx, 3xx, 4xx, 5xx", shortened(text)))
    })
}

/// Seconds, with at most six decimals, as microseconds.
fn latency_micros(text: &str) -> Result<u64, Fault> {
    let fault = || {
        Fault::new(
            "min_latency",
            format!("`{}` is not a number of seconds from 0 to 86400, such as 0.5", shortened(text)),
        )
    };
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str, most: usize| {
        (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    if !digits(whole, 5) || !digits(decimals, 6) {
        return Err(fault());
    }
    let micros = format!("{whole}{decimals:0<6}").parse().map_err(|_| fault())?;
    if micros > logline::LATENCY_MAX_MICROS { Err(fault()) } else { Ok(micros) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_and_latencies_are_read_exactly() {
        assert_eq!(["1xx", "5xx"].map(status_class), [Ok(1), Ok(5)]);
        for text in ["", "0xx", "6xx", "5XX", "5x", "55xx", "+1xx", "500", "xx"] {
            assert!(status_class(text).is_err(), "{text}");
        }
        for (text, micros) in [("0", 0), ("0.5", 500_000), ("1.000001", 1_000_001), ("86400", 86_400_000_000)]
        {
            assert_eq!(latency_micros(text), Ok(micros), "{text}");
        }
        for text in ["", ".5", "5.", "-1", "1e3", "86400.000001", "0.0000001", "99999", " 1"] {
            assert!(latency_micros(text).is_err(), "{text}");
        }
    }
}
