//! One and the same suite for both stores: what is asked of a [`store::StatsStore`] after lines were stored must be what an independent recount of these lines says, whichever store it is;
//! and both must say the same to the last digit. What only InfluxDB has to show (its own client, https, its faults) follows in `influxdb/`.
//!
//! `embedded::` needs nothing. `real::` (from single requests), `published::` (from the statistics that a processor publishes), `both::` (from whichever can tell) and `equal::` need an InfluxDB 2 and fail without one, saying how to get it.

mod cases;
mod cells;
mod equal;
mod influxdb;
mod log;
mod questions;
mod recount;
mod subject;

/// The suite for one store: each case gets an empty one.
macro_rules! suite {
    (statistics of $subject:expr) => {
        suite!($subject;
            answers_are_an_exact_recount,
            x1_a_thousand_identical_lines_of_a_second_are_a_thousand,
            i2_a_replay_changes_nothing,
            i3_odd_ids_are_found_by_their_exact_text_and_never_a_neighbour,
            ranges_are_half_open,
            days_without_requests_are_absent,
            an_unknown_customer_and_an_empty_range_have_no_requests,
            an_empty_store_has_no_requests,
            several_sources_are_summed,
            latencies_and_paths_may_be_absent,
            customers_come_in_pages_in_byte_order,
            the_answer_is_as_fresh_as_the_processor_said,
        );
    };
    ($subject:expr) => {
        suite!(statistics of $subject);
        suite!(questions, $subject;
            cells_of_stretches_are_an_exact_recount,
            minutes_are_told_apart,
            a_table_has_every_customer_of_the_range,
            newcomers_are_those_without_a_request_before_the_range,
            raw_requests_come_in_pages_newest_first,
            requests_by_path_are_an_exact_recount,
            whoever_has_no_day_is_not_known,
            who_is_not_there_is_not_known,
        );
    };
    ($subject:expr; $($case:ident,)*) => { suite!(cases, $subject; $($case,)*); };
    ($module:ident, $subject:expr; $($case:ident,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                crate::$module::$case($subject).await;
            }
        )*
    };
}

mod embedded {
    suite!(crate::subject::Embedded::new());
    suite!(questions, crate::subject::Embedded::new(); what_is_not_kept_in_parts_is_refused,);
}

mod published {
    // Minutes and single requests are asked of the requests, which are not there.
    suite!(statistics of crate::cells::Published::new().await);
    suite!(questions, crate::cells::Published::new().await;
        cells_of_stretches_are_an_exact_recount,
        a_table_has_every_customer_of_the_range,
        newcomers_are_those_without_a_request_before_the_range,
        whoever_has_no_day_is_not_known,
    );
}

mod both {
    suite!(crate::cells::Published::with_requests().await);
    suite!(cells, crate::cells::Published::with_requests().await;
        series_and_tables_are_made_of_cells,
        what_is_no_quarter_hour_is_told_by_the_requests,
        statistics_that_do_not_hold_everything_tell_nothing,
    );
}

mod real {
    suite!(crate::subject::Influx::new().await);
}
