//! What becomes of the files that are followed.

use system_tests::recount::Recount;
use system_tests::stack::{LOG, lines};
use system_tests::wait::{PATIENCE, eventually, holds};

use crate::both::{Bench, Store, on_both_stores};

on_both_stores!(a_missing_file_a_rename_with_a_lingering_writer_and_a_truncation_lose_nothing);

fn a_missing_file_a_rename_with_a_lingering_writer_and_a_truncation_lose_nothing(store: Store) {
    let bench = Bench::on(store);
    let stack = &bench.stack;
    let processor = stack.processor();
    processor.until_ready(PATIENCE, true);
    eventually(PATIENCE, "the missing file is named", || {
        let log = processor.program.log();
        holds(log.contains("api.log") && log.contains("no such file"), || log)
    });
    stack.append(lines(0, 100));
    stack.until_stored(PATIENCE, 100);

    // Renamed away, and its writer goes on for a while beside the new file.
    stack.append(lines(100, 110));
    stack.rename(LOG, "api.log.1");
    stack.append_to("api.log.1", lines(110, 120));
    stack.append(lines(200, 210));
    stack.until_stored(PATIENCE, 130);
    stack.append_to("api.log.1", lines(120, 130));
    stack.append(lines(210, 220));
    stack.until_stored(PATIENCE, 150);

    // Truncated, and written anew: shorter than before, then longer.
    std::fs::write(stack.path(LOG), lines(300, 305)).expect("truncated and written");
    stack.until_stored(PATIENCE, 155);
    std::fs::write(stack.path(LOG), lines(400, 500)).expect("truncated and written");
    stack.until_stored(PATIENCE, 255);
    assert_eq!(processor.program.stop(), 0);
    stack.assert_account(255, 0);
    bench.assert_requests(255);
    let all = lines(0, 130) + &lines(200, 220) + &lines(300, 305) + &lines(400, 500);
    stack.api().assert_equal(&Recount::of_text(all.as_bytes()), &["1970-01-01"]);
}

on_both_stores!(an_unterminated_last_line_is_named_and_left_and_final_takes_it);

fn an_unterminated_last_line_is_named_and_left_and_final_takes_it(store: Store) {
    let bench = Bench::on(store);
    let stack = &bench.stack;
    let log = lines(0, 11);
    let whole = lines(0, 10).len();
    let unfinished = log.len() - 1 - whole;
    stack.append(&log[..log.len() - 1]);
    let output = stack.run("log-processor", &["--once"], &[], 0);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        told.contains("unfinished last line")
            && told.contains(LOG)
            && told.contains(&format!("offset={whole}")),
        "{told}"
    );
    let status = stack.status();
    let figures = ["lines_stored", "lines_in_flight", "lag_bytes"].map(|name| status[name].as_u64());
    assert_eq!(figures, [Some(10), Some(0), Some(unfinished as u64)], "{status:#}");
    bench.assert_requests(10);
    stack.run("log-processor", &["--final"], &[], 0);
    stack.assert_account(11, 0);
    bench.assert_requests(11);
    stack.api().assert_equal(&Recount::of_text(log.as_bytes()), &["1970-01-01"]);
}

on_both_stores!(several_files_are_followed_each_with_its_source);

fn several_files_are_followed_each_with_its_source(store: Store) {
    let mut bench = Bench::on(store);
    bench.stack.set("LOG_FILE_PATH", "api.log,shop.log,eu=far.log,more-*.log");
    let stack = &bench.stack;
    let files = [
        ("api.log", ""),
        ("shop.log", "shop"),
        ("far.log", "eu"),
        ("more-a.log", "more-a"),
        ("more-b.log", "more-b"),
    ];
    // The very same lines in every file: the source tells them apart.
    for (file, _) in files {
        stack.append_to(file, lines(0, 100));
    }
    let processor = stack.processor();
    stack.until_stored(PATIENCE, 500);
    stack.append_to("more-c.log", lines(0, 100));
    stack.until_stored(PATIENCE, 600);
    assert_eq!(processor.program.stop(), 0);
    bench.assert_requests(600);
    if let Some(influx) = &bench.influx {
        let sources = files.map(|(_, source)| source).into_iter().chain(["more-c"]);
        assert_eq!(influx.requests_by("source"), sources.map(|source| (source.to_owned(), 100)).collect());
    }
    let recount = Recount::of_text(lines(0, 100).repeat(6).as_bytes());
    stack.api().assert_equal(&recount, &["1970-01-01"]);
}
