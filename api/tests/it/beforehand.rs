//! Tables that are made before anybody asks: once for each change, and never where nothing changes.

use std::time::Duration;

use api::{AppState, Options, app};
use service::Stop;
use store::ReadError;

use crate::ask::{clock, example, get};
use crate::fake::{Asked, Fake};

fn tables(fake: &Fake) -> usize {
    fake.asked().iter().filter(|asked| matches!(asked, Asked::Table(_))).count()
}

/// An hour of the paused clock.
async fn an_hour() {
    tokio::time::sleep(Duration::from_secs(3600)).await;
}

fn start(fake: &Fake, stop: Stop) -> AppState {
    let state = AppState::new(fake.clone(), clock(), Options::default(), stop);
    state.make_tables_beforehand();
    state
}

#[tokio::test(start_paused = true)]
async fn the_first_page_of_each_range_is_there_before_anybody_asks() {
    let fake = example();
    let state = start(&fake, Stop::never());
    an_hour().await;
    assert_eq!(tables(&fake), 4, "nothing changes, nothing is made again");
    let router = app(state);
    for range in ["-1h", "-24h", "-7d", "-30d"] {
        let answer = get(&router, &format!("/v1/customers?from={range}&sort=p99_latency&limit=1")).await;
        assert_eq!(answer.status.as_u16(), 200, "{}", answer.text());
    }
    assert_eq!(tables(&fake), 4);
    fake.add("cust_3", "2024-09-30T09:15:35Z", 200, 7);
    an_hour().await;
    assert_eq!(tables(&fake), 8, "once for a change");
}

#[tokio::test(start_paused = true)]
async fn they_are_renewed_soon_while_somebody_asks_and_rarely_while_nobody_does() {
    let fake = example();
    let router = app(start(&fake, Stop::never()));
    // Twenty changes, one each four seconds.
    let changes = async || {
        let before = tables(&fake);
        for _ in 0..20 {
            fake.add("cust_3", "2024-09-30T09:15:35Z", 200, 7);
            tokio::time::sleep(Duration::from_secs(4)).await;
        }
        tables(&fake) - before
    };
    an_hour().await;
    let unasked = changes().await;
    assert!((4..=6 * 4).contains(&unasked), "{unasked} in 80 s");
    let answer = get(&router, "/v1/customers?from=-24h&limit=1").await;
    assert_eq!(answer.status.as_u16(), 200);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(changes().await, 20 * 4);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_is_let_alone_and_tried_again() {
    let fake = example();
    fake.fails(ReadError::Damaged("a row".to_owned()));
    drop(start(&fake, Stop::never()));
    an_hour().await;
    assert_eq!(tables(&fake), 0);
    fake.fails(None);
    an_hour().await;
    assert_eq!(tables(&fake), 4);
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_it() {
    let (fake, stop) = (example(), Stop::manual());
    drop(start(&fake, stop.clone()));
    an_hour().await;
    stop.stop();
    an_hour().await;
    fake.add("cust_3", "2024-09-30T09:15:35Z", 200, 7);
    an_hour().await;
    assert_eq!(tables(&fake), 4);
}
