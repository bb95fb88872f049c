//! Rows sorted, searched and paged.

use proptest::prelude::*;

use super::*;

fn row(id: &str, requests: u64, latency: Option<u64>) -> TableRow {
    let measures =
        Measures { requests, successes: requests, usual_nanos: [latency; 2], ..Measures::default() };
    TableRow { id: id.to_owned(), last_seen_second: 5, measures }
}

fn asked(sort: &str, order: Option<&str>, limit: usize, behind: Option<Behind>) -> CustomersAsked {
    let order = Order::parse(Some(sort), order, "customer_id", &[]).expect(sort);
    CustomersAsked { order, search: None, behind, limit, percentiles: Vec::new() }
}

fn about() -> About {
    let period =
        crate::grammar::Moment::new(1_727_687_736, None).period(Default::default()).expect("the default");
    About::new(None, &period, store::Method::Cells)
}

fn ids(page: &CustomersV1) -> Vec<&str> {
    page.data.iter().map(|row| row.customer_id.as_str()).collect()
}

#[test]
fn rows_are_sorted_by_any_column_and_those_without_a_value_come_last() {
    let rows = [row("a", 3, None), row("b", 1, Some(5)), row("B", 3, Some(7)), row("é", 2, Some(6))];
    for (sort, order, expected) in [
        ("customer_id", None, ["B", "a", "b", "é"]),
        ("customer_id", Some("desc"), ["é", "b", "a", "B"]),
        ("total_requests", None, ["B", "a", "é", "b"]),
        ("total_requests", Some("asc"), ["b", "é", "B", "a"]),
        ("p99_latency", None, ["B", "é", "b", "a"]),
        ("p99_latency", Some("asc"), ["b", "é", "B", "a"]),
        ("last_seen", None, ["B", "a", "b", "é"]),
    ] {
        assert_eq!(
            ids(&CustomersV1::new(&rows, &asked(sort, order, 10, None), about())),
            expected,
            "{sort} {order:?}"
        );
    }
}

#[test]
fn columns_that_are_not_there_are_refused() {
    let percentiles = [Percentile::P95];
    for (sort, name, fits) in [
        ("latency.p95", "customer_id", true),
        ("latency.p99", "customer_id", false),
        ("status.5xx", "path", true),
        ("last_seen", "path", false),
        ("path", "customer_id", false),
        ("Uptime", "path", false),
        ("", "path", false),
    ] {
        assert_eq!(Order::parse(Some(sort), None, name, &percentiles).is_ok(), fits, "{sort} {name}");
    }
    assert!(Order::parse(None, Some("down"), "path", &[]).is_err());
}

#[test]
fn a_search_finds_parts_of_ids_in_any_case() {
    let rows = [row("Alpha", 1, None), row("beta", 1, None), row("ÉTA", 1, None)];
    let found = |text: &str| {
        let asked =
            CustomersAsked { search: Some(text.to_lowercase()), ..asked("customer_id", None, 10, None) };
        let page = CustomersV1::new(&rows, &asked, about());
        (ids(&page).join(" "), page.total_customers)
    };
    assert_eq!(found("ETA"), ("beta".to_owned(), 1));
    assert_eq!(found("é"), ("ÉTA".to_owned(), 1));
    assert_eq!(found("a"), ("Alpha beta ÉTA".to_owned(), 3));
    assert_eq!(found("%"), (String::new(), 0));
}

proptest! {
    #[test]
    fn pages_hold_every_row_once_in_order(
        values in prop::collection::btree_map("[^\\p{Cc}\\\\]{1,4}", (0_u64..4, prop::option::of(0_u64..4)), 0..40),
        limit in 1_usize..9, sort in prop::sample::select(vec!["total_requests", "p99_latency", "customer_id", "uptime"]), order in prop::sample::select(vec!["asc", "desc"]),
    ) {
        let rows: Vec<TableRow> = values.iter().map(|(id, (requests, latency))| row(id, *requests, *latency)).collect();
        let whole = CustomersV1::new(&rows, &asked(sort, Some(order), 1000, None), about());
        let (mut found, mut behind) = (Vec::new(), None);
        loop {
            let page = CustomersV1::new(&rows, &asked(sort, Some(order), limit, behind), about());
            prop_assert_eq!(page.total_customers, rows.len() as u64);
            found.extend(page.data.clone());
            match page.next_cursor() {
                Some(cursor) => behind = Some(Behind::read(cursor).expect("a cursor of ours")),
                None => break,
            }
        }
        prop_assert_eq!(found, whole.data);
    }

    #[test]
    fn no_cursor_makes_the_parser_panic(text in ".*") {
        Behind::read(&text);
    }
}
