//! A writer that hands its lines over in pieces.

use system_tests::recount::Recount;
use system_tests::stack::lines;
use system_tests::wait::PATIENCE;

use crate::both::{Bench, Store, on_both_stores};

on_both_stores!(t1_a_line_that_comes_in_pieces_arrives_once_and_whole);

fn t1_a_line_that_comes_in_pieces_arrives_once_and_whole(store: Store) {
    let bench = Bench::on(store);
    let stack = &bench.stack;
    let line = lines(7, 8);
    // Whatever a piece ends with, even if it looks like a whole line, is no line before its newline.
    let pieces = [&line[..3], &line[3..20], &line[20..line.len() - 3], &line[line.len() - 3..]];
    assert_eq!(pieces.concat(), line);
    stack.append(lines(0, 5));
    let mut processor = stack.processor();
    stack.until_stored(PATIENCE, 5);
    let mut waiting = 0;
    for (number, piece) in pieces[..3].iter().enumerate() {
        stack.append(piece);
        waiting += piece.len();
        // Seen, and left: that is the pause.
        let status = stack.until(PATIENCE, "the piece is seen", |status| status["lag_bytes"] == waiting);
        assert_eq!((&status["lines_read"], &status["lines_in_flight"]), (&5.into(), &0.into()), "{status:#}");
        bench.assert_requests(5);
        if number == 1 {
            assert_eq!(processor.program.stop(), 0, "an unfinished line is no lines in flight");
            processor = stack.processor();
        }
    }
    stack.append(pieces[3]);
    stack.until_stored(PATIENCE, 6);
    stack.append(lines(8, 10));
    stack.until_stored(PATIENCE, 8);
    assert_eq!(processor.program.stop(), 0);
    stack.assert_account(8, 0);
    bench.assert_requests(8);
    let recount = Recount::of_text((lines(0, 5) + &line + &lines(8, 10)).as_bytes());
    stack.api().assert_equal(&recount, &["1970-01-01"]);
}
