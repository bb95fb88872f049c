//! criterion over the hot functions, one batch of 5,000 lines each: `cargo bench -p bench`.

use std::hint::black_box;
use std::path::Path;

use bench::input::{self, Order};
use bench::{prototype, stages};
use criterion::{Criterion, Throughput};
use logline::{LineParser, Zone};
use stats::Cell;

const LINES: u64 = 5000;

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("batch.log");
    let now = chrono::DateTime::from_timestamp(1_790_000_000, 0).expect("a time");
    input::make(&path, LINES, 50, Order::Live, now).expect("a log");
    let mut criterion = Criterion::default().configure_from_args();
    parsing(&mut criterion, &path);
    cells(&mut criterion);
    criterion.final_summary();
}

fn parsing(criterion: &mut Criterion, path: &Path) {
    let text = std::fs::read(path).expect("the log");
    let mut group = criterion.benchmark_group("batch of 5,000 lines");
    group.throughput(Throughput::Elements(LINES));
    group.bench_function("split", |bencher| bencher.iter(|| stages::count_split(black_box(path))));
    group.bench_function("parse", |bencher| {
        let mut parser = LineParser::new(Zone::Utc);
        bencher.iter(|| {
            let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
            lines.filter(|line| parser.parse(black_box(line)).is_ok()).count()
        });
    });
    group.bench_function("read, split, parse, line protocol", |bencher| {
        bencher.iter(|| stages::encode(black_box(path), |_| {}));
    });
    group.bench_function("fast prototype", |bencher| {
        let (mut dates, mut body) = (prototype::Dates::default(), Vec::new());
        bencher.iter(|| {
            body.clear();
            prototype::fast(black_box(&text), 0, &mut dates, &mut body)
        });
    });
    group.finish();
}

fn cells(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("5,000 requests into a cell");
    group.throughput(Throughput::Elements(LINES));
    let mut dice = input::Dice::new(1);
    let latencies: Vec<u64> = (0..LINES).map(|_| 100_000 + dice.below(1901) * 1000).collect();
    let filled = || {
        let mut cell = Cell::default();
        latencies.iter().for_each(|latency| cell.observe(200, Some(*latency)));
        cell
    };
    group.bench_function("observe and settle", |bencher| {
        bencher.iter(|| {
            let mut cell = black_box(&filled)();
            cell.settle();
            cell
        });
    });
    let mut blob = Vec::new();
    filled().encode(&mut blob);
    group.bench_function("decode", |bencher| bencher.iter(|| Cell::decode(black_box(&blob))));
    group.finish();
}
