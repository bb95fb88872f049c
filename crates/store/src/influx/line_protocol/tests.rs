//! The encoder against lines written by hand, and against the stand-in's own reader of lines.

use logline::{CustomerId, Latency, LogTime, Record, RequestPath, Status};
use proptest::prelude::*;

use super::short::{SHORT_TEXTS, eight_digits};
use super::*;
use crate::KeyStart;
use crate::influx::fake::{FieldValue, parse_line};

fn line(
    source: &str,
    customer: &str,
    path: Option<&str>,
    status: u16,
    micros: Option<u64>,
    time_nanos: i64,
) -> String {
    let record = Record {
        time: LogTime { second: time_nanos / 1_000_000_000, nanos: 0, ambiguous: false },
        customer: CustomerId::new(customer).expect("a customer"),
        path: path.map(|path| RequestPath::new(path).expect("a path")),
        status: Status::new(status).expect("a status"),
        latency: micros.map(|micros| Latency::from_micros(micros).expect("a latency")),
    };
    let mut body = b"before\n".to_vec();
    push_request(&PlacedRequest { source, record, time_nanos }, &mut body);
    String::from_utf8(body).expect("UTF-8").strip_prefix("before\n").expect("only appended to").to_owned()
}

#[test]
fn the_default_line_is_the_originals_point() {
    let text =
        line("main", "cust_5", Some("/api/v1/resource4"), 200, Some(772_000), 1_726_330_535_000_000_042);
    insta::assert_snapshot!(text, @r#"api_requests,customer_id=cust_5,success=1 duration=0.772,request_path="/api/v1/resource4",status_code=200i 1726330535000000042"#);
}

#[test]
fn other_sources_are_a_tag_and_what_is_absent_is_left_out() {
    insta::assert_snapshot!(line("eu 1", "a", None, 404, None, 7), @"api_requests,customer_id=a,source=eu\\ 1,success=0 status_code=404i 7");
    insta::assert_snapshot!(line("main", "a", None, 399, Some(1), -1), @"api_requests,customer_id=a,success=1 duration=0.000001,status_code=399i -1");
}

#[test]
fn escapes() {
    let text = line("main", r#"a,b=c d\e"f"#, Some(r#"/x y,z="q"\w"#), 100, Some(0), 0);
    insta::assert_snapshot!(text, @r#"api_requests,customer_id=a\,b\=c\ d\e"f,success=0 duration=0,request_path="/x y,z=\"q\"\\w",status_code=100i 0"#);
}

#[test]
fn durations_are_the_microseconds_as_decimals() {
    for (micros, expected) in [
        (0, "0"),
        (1, "0.000001"),
        (10, "0.00001"),
        (772_000, "0.772"),
        (1_000_000, "1"),
        (1_000_001, "1.000001"),
        (1_500_000, "1.5"),
        (60_000_000, "60"),
        (86_400_000_000, "86400"),
        (86_399_999_999, "86399.999999"),
    ] {
        let mut body = Vec::new();
        push_seconds(&mut body, Latency::from_micros(micros).expect("a latency"));
        assert_eq!(String::from_utf8(body).expect("ASCII"), expected);
    }
}

#[test]
fn generations_and_owners_keep_all_their_bits() {
    let mut body = Vec::new();
    let start = KeyStart(u64::MAX - 1);
    let generation = StoredGeneration {
        source: "main".to_owned(),
        head: "00ff".to_owned(),
        start,
        first_seen_second: 1_726_330_535,
    };
    push_generation(&generation, &mut body);
    let mut owner = Owner {
        source: "main".to_owned(),
        ledger: "led\"ger\\1".to_owned(),
        commit: 7,
        heartbeat_micros: 1_726_330_535_000_001,
        as_of_micros: None,
        released: false,
        statistics: Statistics::Incomplete,
        mark_nanos: 1_726_330_500_000_000_001,
    };
    push_owner(&owner, &mut body);
    owner.as_of_micros = Some(1_726_330_534_000_000);
    owner.released = true;
    owner.statistics = Statistics::Published {
        as_of_micros: Some(1_726_330_533_000_000),
        quarters_from_second: 1_718_550_000,
        days_from_second: 0,
    };
    push_owner(&owner, &mut body);
    insta::assert_snapshot!(String::from_utf8(body).expect("UTF-8"), @r#"
    api_log_generations,head=00ff,source=main start=-2i 1726330535709551614
    api_processors,source=main as_of_us=-1i,commit=7i,days_from_s=0i,heartbeat_us=1726330535000001i,ledger="led\"ger\\1",quarters_from_s=0i,released=false,statistics="incomplete",statistics_as_of_us=-1i 1726330500000000001
    api_processors,source=main as_of_us=1726330534000000i,commit=7i,days_from_s=0i,heartbeat_us=1726330535000001i,ledger="led\"ger\\1",quarters_from_s=1718550000i,released=true,statistics="published",statistics_as_of_us=1726330533000000i 1726330500000000001
    "#);
}

#[test]
fn statistics_of_a_customer_and_of_all_have_names_that_cannot_collide() {
    let mut cell = stats::Cell::default();
    cell.observe(200, Some(772_000));
    cell.observe(404, None);
    cell.settle();
    let mut blob = Vec::new();
    cell.encode(&mut blob);
    let window = |kind: WindowKind| kind.window_of(1_726_330_535);
    let mut point = StatisticsCell {
        customer: Some("a b,c".to_owned()),
        source: "main".to_owned(),
        window: window(WindowKind::Day),
        cell,
        blob,
        last_seen_second: Some(1_726_330_535),
    };
    let mut body = Vec::new();
    push_statistics(&point, &mut body);
    point.window = window(WindowKind::Quarter);
    push_statistics(&point, &mut body);
    (point.customer, point.last_seen_second) = (None, None);
    push_statistics(&point, &mut body);
    insta::assert_snapshot!(String::from_utf8(body).expect("UTF-8"), @r#"
    api_stats,customer_id=a\ b\,c,source=main,window=1d c1=0i,c2=1i,c3=0i,c4=1i,c5=0i,h="AgABAAEAoI8voI8vAZ7eAwE=",last_seen_s=1726330535i,max_us=772000i,n=2i,ok=1i,sum_us=772000i 1726272000000000000
    api_stats,customer_id=a\ b\,c,source=main,window=15m c1=0i,c2=1i,c3=0i,c4=1i,c5=0i,h="AgABAAEAoI8voI8vAZ7eAwE=",max_us=772000i,n=2i,ok=1i,sum_us=772000i 1726330500000000000
    api_stats_all,source=main,window=15m c1=0i,c2=1i,c3=0i,c4=1i,c5=0i,h="AgABAAEAoI8voI8vAZ7eAwE=",max_us=772000i,n=2i,ok=1i,sum_us=772000i 1726330500000000000
    "#);
}

/// Text that a log can hold and line protocol finds hard.
fn text(max: usize) -> impl Strategy<Value = String> {
    let odd = prop::sample::select(vec![
        ',', '=', ' ', '"', '\\', '$', '{', '}', '#', 'i', 'é', '\u{200b}', '漢', '😀', 'a', '0', '-',
    ]);
    prop::collection::vec(prop_oneof![3 => odd, 1 => any::<char>()], 1..max)
        .prop_map(|chars| chars.into_iter().filter(|c| !c.is_control()).collect::<String>())
        .prop_filter("neither empty nor ending in a backslash", |text| {
            !text.is_empty() && !text.ends_with('\\')
        })
}

proptest! {
    /// Whatever a record holds reads back as it was, as one line (I2).
    #[test]
    fn i2_every_record_reads_back_as_it_was(
        customer in text(40),
        path in prop::option::of(text(60)),
        source in prop_oneof![Just("main".to_owned()), text(8)],
        status in 100_u16..600,
        micros in prop::option::of(prop_oneof![0_u64..20_000_000, 0_u64..=86_400_000_000]),
        time_nanos in 0_i64..=i64::MAX,
    ) {
        let text = line(&source, &customer, path.as_deref(), status, micros, time_nanos);
        let whole = text.strip_suffix('\n').expect("ends in a newline");
        prop_assert!(!whole.contains('\n'));
        let point = parse_line(whole).map_err(TestCaseError::fail)?;

        let mut tags = vec![("customer_id", customer.as_str()), ("success", if (200..400).contains(&status) { "1" } else { "0" })];
        if source != "main" {
            tags.insert(1, ("source", &source));
        }
        prop_assert_eq!(point.tags.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect::<Vec<_>>(), tags);
        prop_assert_eq!(&point.measurement, "api_requests");
        prop_assert_eq!(point.time_nanos, time_nanos);
        prop_assert_eq!(&point.fields["status_code"], &FieldValue::Integer(i64::from(status)));
        prop_assert_eq!(point.fields.get("request_path").cloned(), path.map(FieldValue::Text));
        let stored = point.fields.get("duration").map(|value| match value {
            FieldValue::Float(seconds) => (seconds * 1e6).round(),
            other => panic!("duration is {other:?}"),
        });
        #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
        let expected = micros.map(|micros| micros as f64);
        prop_assert_eq!(stored, expected);
        let expected_fields = 1 + usize::from(micros.is_some()) + usize::from(point.fields.contains_key("request_path"));
        prop_assert_eq!(point.fields.len(), expected_fields);
    }
}

/// Short texts, some with what must be escaped, around the lengths at which they are copied in another way.
fn short_text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-z/_0-9]{1,40}",
        1 => "[a-z,= \"é]{1,40}",
        1 => "[a-z\\\\]{0,20}[a-z]",
        1 => "[a-z]{60,80}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]
    #[test]
    fn short_lines_are_the_same_bytes_either_way(
        customer in short_text(),
        path in short_text(),
        source in prop_oneof![9 => Just("main"), 1 => Just("eu")],
        status in 100_u16..600,
        micros in prop_oneof![4 => (0_u64..10_100).prop_map(|millis| millis * 1000), 1 => 0_u64..20_000_000],
        time_nanos in prop_oneof![4 => 999_999_999_999_999_000..=i64::MAX, 1 => 0_i64..=i64::MAX],
    ) {
        let record = Record {
            time: LogTime { second: time_nanos / 1_000_000_000, nanos: 0, ambiguous: false },
            customer: CustomerId::new(&customer).expect("a customer"),
            path: Some(RequestPath::new(&path).expect("a path")),
            status: Status::new(status).expect("a status"),
            latency: Some(Latency::from_micros(micros).expect("a latency")),
        };
        let request = PlacedRequest { source, record, time_nanos };
        let (mut short, mut any) = (b"before\n".to_vec(), b"before\n".to_vec());
        let is_short = push_short(&request, &mut short);
        push_any(&request, &mut any);
        if is_short {
            prop_assert_eq!(&short, &any);
        }
        let plain = source == "main"
            && customer.len() + path.len() <= SHORT_TEXTS
            && micros < 10_000_000
            && micros % 1000 == 0
            && time_nanos >= 1_000_000_000_000_000_000
            && !customer.contains([',', '=', ' '])
            && !path.contains(['"', '\\']);
        prop_assert_eq!(is_short, plain, "a line that is taken for another kind of line");
    }

    #[test]
    fn eight_digits_are_those_of_the_number(number in 0_u64..100_000_000) {
        prop_assert_eq!(eight_digits(number).to_vec(), format!("{number:08}").into_bytes());
    }
}

#[test]
fn eight_digits_at_their_edges() {
    for number in (0..20_000).chain((0..10_000).map(|fours| fours * 10_000 + 9999)) {
        assert_eq!(eight_digits(number).to_vec(), format!("{number:08}").into_bytes());
    }
}
