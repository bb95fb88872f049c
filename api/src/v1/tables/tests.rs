//! Rows sorted, searched and paged.

use proptest::prelude::*;

use super::*;

fn row(id: &str, requests: u64, latency: Option<u64>) -> TableRow {
    let measures =
        Measures { requests, successes: requests, usual_nanos: [latency; 2], ..Measures::default() };
    TableRow { id: id.to_owned(), last_seen_second: 5, measures }
}

fn table(rows: &[TableRow]) -> Table {
    let freshness = store::Freshness::default();
    Table { rows: rows.to_vec(), newcomers: None, method: store::Method::Cells, freshness }
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
            ids(&CustomersV1::new(&table(&rows), &asked(sort, order, 10, None), about())),
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
        let page = CustomersV1::new(&table(&rows), &asked, about());
        (ids(&page).join(" "), page.total_customers)
    };
    assert_eq!(found("ETA"), ("beta".to_owned(), 1));
    assert_eq!(found("é"), ("ÉTA".to_owned(), 1));
    assert_eq!(found("a"), ("Alpha beta ÉTA".to_owned(), 3));
    assert_eq!(found("%"), (String::new(), 0));
}

#[test]
fn others_are_what_the_search_and_the_page_leave_out_and_have_no_percentiles() {
    let measured = |id: &str, requests, failed, micros| {
        let mut row = row(id, requests, Some(micros * 1000));
        row.measures.successes -= failed;
        row.measures.classes = [0, requests - failed, 0, 0, failed];
        (row.measures.latencies, row.measures.latency_sum_micros) = (requests, requests * micros);
        row.measures.latency_max_micros = micros;
        row.last_seen_second = i64::try_from(requests).expect("few");
        row
    };
    let rows = [measured("a_1", 8, 0, 100), measured("a_2", 6, 3, 200), measured("b", 2, 1, 800_000)];
    let asked = CustomersAsked { search: Some("a_".to_owned()), ..asked("total_requests", None, 1, None) };
    let page = CustomersV1::new(&table(&rows), &asked, about());
    assert_eq!((ids(&page), page.total_customers), (vec!["a_1"], 2));
    insta::assert_snapshot!(serde_json::to_string_pretty(&page.others).expect("plain data"), @r#"
    {
      "customers": 2,
      "last_seen": "1970-01-01T00:00:06Z",
      "total_requests": 8,
      "successful_requests": 4,
      "failed_requests": 4,
      "uptime": 50.0,
      "availability": 50.0,
      "average_latency": 0.20015,
      "median_latency": null,
      "p99_latency": null,
      "max_latency": 0.8,
      "status": {
        "1xx": 0,
        "2xx": 4,
        "3xx": 0,
        "4xx": 0,
        "5xx": 4
      },
      "latency": {}
    }
    "#);
    let whole = CustomersAsked { search: None, limit: 3, ..asked };
    let none =
        serde_json::to_value(CustomersV1::new(&table(&rows), &whole, about()).others).expect("plain data");
    assert_eq!((&none["customers"], &none["total_requests"]), (&0.into(), &0.into()));
    assert!(none["availability"].is_null() && none["last_seen"].is_null(), "{none}");
}

proptest! {
    #[test]
    fn pages_hold_every_row_once_in_order(
        values in prop::collection::btree_map("[^\\p{Cc}\\\\]{1,4}", (0_u64..4, prop::option::of(0_u64..4)), 0..40),
        limit in 1_usize..9, sort in prop::sample::select(vec!["total_requests", "p99_latency", "customer_id", "uptime"]), order in prop::sample::select(vec!["asc", "desc"]),
    ) {
        let rows: Vec<TableRow> = values.iter().map(|(id, (requests, latency))| row(id, *requests, *latency)).collect();
        let whole = CustomersV1::new(&table(&rows), &asked(sort, Some(order), 1000, None), about());
        let (mut found, mut behind) = (Vec::new(), None);
        loop {
            let page = CustomersV1::new(&table(&rows), &asked(sort, Some(order), limit, behind), about());
            // What was told so far and the others are all.
            let mut others = Others::default();
            let told: Vec<&str> = found.iter().chain(&page.data).map(|row: &CustomerRowV1| row.customer_id.as_str()).collect();
            rows.iter().filter(|row| !told.contains(&row.id.as_str())).for_each(|row| others.add(row));
            prop_assert_eq!(&page.others, &others.told(&[]));
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
