//! Tests of the stop token and of draining.

use super::*;

#[tokio::test]
async fn s2_a_stop_asked_twice_is_a_stop_asked_once() {
    let stop = Stop::manual();
    let child = stop.child();
    child.stop();
    assert!(child.is_stopped() && !stop.is_stopped());
    let other = stop.child();
    stop.stop();
    stop.stop();
    stop.stopped().await;
    other.stopped().await;
    assert_eq!(stop.or(std::future::pending::<()>()).await, None);
    assert_eq!(Stop::never().or(async { 7 }).await, Some(7));
}

#[tokio::test]
async fn s3_a_missed_deadline_names_the_late_and_aborts_them() {
    let mut tasks = Tasks::new();
    let guard = std::sync::Arc::new(());
    for name in ["zebra", "ape"] {
        let guard = guard.clone();
        tasks.spawn(name, async move {
            std::future::pending::<()>().await;
            drop(guard);
        });
    }
    tasks.spawn("quick", async {});
    let mut ended = Vec::new();
    let late = tasks
        .drain(Duration::from_millis(200), |task| ended.push(task.name))
        .await
        .expect_err("two are late");
    assert_eq!(ended, ["quick"]);
    assert_eq!(late.to_string(), "not ended within 200ms: ape, zebra");
    assert_eq!(std::sync::Arc::strong_count(&guard), 1, "the late tasks are gone");
    tasks.drain(Duration::from_secs(1), |_| panic!("no task is left")).await.expect("nothing is left");
}

#[tokio::test]
async fn a_panic_ends_a_task_under_its_name() {
    let mut tasks = Tasks::<u8>::new();
    tasks.spawn("clumsy", async { panic!("on purpose") });
    let ended = tasks.next_ended().await.expect("one task");
    assert_eq!(ended.name, "clumsy");
    assert!(ended.result.expect_err("it panicked").is_panic());
    assert!(tasks.next_ended().await.is_none() && tasks.names().is_empty());
}
