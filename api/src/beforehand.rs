//! Tables of all customers for the ranges that people look at, made before anybody asks: so the first page does not wait for the reading of a month. Made where the store renews
//! a table from the windows that changed: often enough to be given as they are while somebody looks at customers, rarely while nobody does; then what changed since is read when
//! somebody asks. Nothing is made while nothing changes, and nobody is told of a fault who did not ask.

use std::time::{Duration, Instant};

use store::{DataVersion, ReadError};

use crate::AppState;
use crate::grammar::{PERCENTILES_DEFAULT, RangeTexts, percentiles};
use crate::questions::TableKey;

/// The ranges that the dashboard offers, in its words.
const RANGES: [&str; 4] = ["-1h", "-24h", "-7d", "-30d"];
/// Somebody looks at customers, or did within this time; so may whoever has just started us.
const ASKED_LATELY: Duration = Duration::from_secs(600);
/// Then they are made again after that long: with the time that this takes, before they are too old to be given.
const REST_ASKED: Duration = Duration::from_secs(2);
/// Else whether anything has changed is looked at so often; a window is as long as some of them, so a look falls behind the end of each.
const LOOK_SECONDS: i64 = 30;
/// So long behind: until then most requests of a quarter-hour that is over have come, and what is kept of it will not change.
const BEHIND_SECONDS: i64 = 5;
/// At least so many times as long as the making of each took is rested: all of it takes a tenth of a core at most.
const REST_TIMES: u32 = 9;
/// While somebody looks at customers, no longer than that for tables that are made quickly enough: at the end of a quarter-hour each takes many times as long as else, and all of them
/// must be there before those of the last one are too old to be given.
const REST_BETWEEN_MAX: Duration = Duration::from_millis(300);
/// That quickly.
const QUICK: Duration = Duration::from_millis(600);
/// After a fault.
const REST_AFTER_FAULT: Duration = Duration::from_secs(300);
/// A table of more customers is made when somebody asks: four of so many take about 100 MB.
const CUSTOMERS_MAX: usize = 50_000;

/// Makes them until the stop.
pub(crate) async fn keep(state: AppState) {
    let stop = state.stop();
    let making = async {
        let mut ranges = RANGES.to_vec();
        let mut made_of = None;
        while !ranges.is_empty() {
            let rest = match look(&state, &mut ranges, made_of).await {
                Ok(version) => {
                    made_of = Some(version);
                    Duration::ZERO
                }
                // There may be something soon.
                Err(ReadError::NoDataYet { .. }) => Duration::ZERO,
                Err(_) => REST_AFTER_FAULT,
            };
            let pause = if is_asked(&state) { REST_ASKED } else { until_next_look(state.now_micros()) };
            tokio::time::sleep(rest.max(pause)).await;
        }
    };
    stop.or(making).await;
}

/// Makes the tables if the data is another than they were made of.
async fn look(
    state: &AppState,
    ranges: &mut Vec<&'static str>,
    made_of: Option<DataVersion>,
) -> Result<DataVersion, ReadError> {
    let backend = state.backend();
    let (version, _) = backend.store.version_with_freshness().await?;
    if made_of == Some(version) {
        return Ok(version);
    }
    let percentiles = percentiles(PERCENTILES_DEFAULT).expect("a default that is right");
    let mut too_many = Vec::new();
    for range in ranges.iter().copied() {
        let texts = RangeTexts { from: Some(range), ..RangeTexts::default() };
        let period = state.moment().period(texts).expect("a range up to now can always be told");
        let key = TableKey::new(texts, &percentiles);
        let began = Instant::now();
        let customers = backend.table_beforehand(key.clone(), period, version).await?;
        if customers > CUSTOMERS_MAX {
            backend.forget_table(&key);
            too_many.push(range);
        }
        tokio::time::sleep(rest_after(began.elapsed(), is_asked(state))).await;
    }
    ranges.retain(|range| !too_many.contains(range));
    Ok(version)
}

/// Whether somebody looks at customers.
fn is_asked(state: &AppState) -> bool {
    state.backend().tables_unasked() < ASKED_LATELY
}

/// How long to rest after a table that took so long to make.
fn rest_after(took: Duration, is_asked: bool) -> Duration {
    let rest = took * REST_TIMES;
    if is_asked && took <= QUICK { rest.min(REST_BETWEEN_MAX) } else { rest }
}

fn until_next_look(now_micros: i64) -> Duration {
    let look_micros = LOOK_SECONDS * 1_000_000;
    let past = (now_micros - BEHIND_SECONDS * 1_000_000).rem_euclid(look_micros);
    Duration::from_micros((look_micros - past).unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_tables_are_made_before_the_last_ones_are_too_old() {
        let ms = Duration::from_millis;
        assert_eq!(rest_after(ms(20), true), ms(180));
        assert_eq!(rest_after(ms(500), true), REST_BETWEEN_MAX);
        assert_eq!(rest_after(ms(500), false), ms(4500), "nobody waits for it");
        assert_eq!(rest_after(ms(700), true), ms(6300), "too dear to be always there");
        let round = REST_ASKED + (ms(400) + rest_after(ms(400), true)) * 4;
        assert!(round + ms(150) < crate::tables::AGE_MAX, "{round:?}");
    }

    #[test]
    fn a_look_falls_behind_the_end_of_each_window() {
        for (now, wait) in
            [(0, 5_000), (4_999, 1), (5_000, 30_000), (34_000, 1_000), (899_000, 6_000), (900_000, 5_000)]
        {
            assert_eq!(until_next_look(now * 1000), Duration::from_millis(wait), "at {now} ms");
        }
    }
}
