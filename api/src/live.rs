//! Live ticks: one task for the whole process looks once a second and tells everybody who listens, however many they are. A listener has a short queue of its own; who does
//! not keep up with it is cut off, and costs the others nothing. Nothing here knows HTTP.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use stats::Measures;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};
use tokio::time::MissedTickBehavior;

use crate::Clock;
use crate::backend::Backend;
use crate::error::ApiError;
use crate::grammar::{PERCENTILES_DEFAULT, percentiles};
use crate::scope::Subject;

/// How often everybody is told.
const TICK: Duration = Duration::from_secs(1);
/// Ticks that may wait for one listener: as many seconds behind, it is cut off and begins anew.
const QUEUE_TICKS: usize = 16;
/// Listeners at once: three quarters of the connections, so that questions are still answered.
const LISTENERS_MAX: usize = 768;
/// Minutes that every tick tells anew: requests of the last ones still come in.
const MINUTES_TOLD: i64 = 3;
/// Subjects looked at at the same time.
const LOOKS_AT_ONCE: usize = 4;

/// What is told: one event of a stream, whole, and shared by all who listen.
pub(crate) type Event = Bytes;

/// How an event is written, from what was found: its stretches' first seconds, their measures, how fresh they are, and the requests a second.
pub(crate) type Write = fn(&Moment) -> Event;

/// What was found for a subject at a tick.
#[derive(Debug)]
pub(crate) struct Moment {
    pub(crate) now_micros: i64,
    pub(crate) starts: Vec<i64>,
    /// None: the store could not be asked.
    pub(crate) found: Option<Seen>,
}

/// What the store said.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) measures: Vec<Measures>,
    pub(crate) as_of_micros: Option<i64>,
    pub(crate) requests_per_second: Option<f64>,
}

/// Everybody who listens.
#[derive(Debug)]
pub(crate) struct Live {
    listeners: Mutex<Listeners>,
    places: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Listeners {
    by_subject: HashMap<Subject, broadcast::Sender<Event>>,
    ticking: bool,
}

/// One who listens: a queue and a place.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) events: broadcast::Receiver<Event>,
    _place: OwnedSemaphorePermit,
}

impl Live {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { listeners: Mutex::default(), places: Arc::new(Semaphore::new(LISTENERS_MAX)) })
    }

    /// Listens to a subject from the next tick on; None when all places are taken.
    pub(crate) fn listen(
        self: &Arc<Self>,
        subject: &Subject,
        backend: &Arc<Backend>,
        clock: &Clock,
        write: Write,
    ) -> Option<Listener> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let mut listeners = self.lock();
        let sender = listeners
            .by_subject
            .entry(subject.clone())
            .or_insert_with(|| broadcast::Sender::new(QUEUE_TICKS));
        let events = sender.subscribe();
        if !listeners.ticking {
            listeners.ticking = true;
            tokio::spawn(tick(Arc::downgrade(self), Arc::clone(backend), Arc::clone(clock), write));
        }
        Some(Listener { events, _place: place })
    }

    fn lock(&self) -> MutexGuard<'_, Listeners> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those that somebody listens to; None when nobody listens to anything, and ticking ends.
    fn listened_to(&self) -> Option<Vec<(Subject, broadcast::Sender<Event>)>> {
        let mut listeners = self.lock();
        listeners.by_subject.retain(|_, sender| sender.receiver_count() > 0);
        if listeners.by_subject.is_empty() {
            listeners.ticking = false;
            return None;
        }
        Some(listeners.by_subject.iter().map(|(subject, sender)| (subject.clone(), sender.clone())).collect())
    }
}

/// The one task. Ends when nobody listens, or the process no longer has a `Live`.
async fn tick(live: Weak<Live>, backend: Arc<Backend>, clock: Clock, write: Write) {
    let mut interval = tokio::time::interval(TICK);
    // A look that takes longer than a second makes no two at once.
    interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut before: HashMap<Subject, Before> = HashMap::new();
    loop {
        interval.tick().await;
        let Some(subjects) = live.upgrade().and_then(|live| live.listened_to()) else { return };
        let mut looks = Vec::with_capacity(subjects.len());
        for (subject, sender) in subjects {
            let last = before.remove(&subject);
            let (backend, now_micros) = (Arc::clone(&backend), clock());
            looks.push(async move {
                let (moment, next) = look(&backend, &subject, now_micros, last).await;
                // Nobody listens any more: then nobody misses it.
                drop(sender.send(write(&moment)));
                next.map(|next| (subject, next))
            });
        }
        let seen: Vec<_> = futures::stream::iter(looks).buffer_unordered(LOOKS_AT_ONCE).collect().await;
        before = seen.into_iter().flatten().collect();
    }
}

/// What the tick before saw, to tell how many requests came since.
#[derive(Clone, Debug)]
struct Before {
    as_of_micros: Option<i64>,
    requests: HashMap<i64, u64>,
    rate: Option<f64>,
}

async fn look(
    backend: &Backend,
    subject: &Subject,
    now_micros: i64,
    last: Option<Before>,
) -> (Moment, Option<Before>) {
    let minute = stats::WindowKind::Minute.floor(now_micros.div_euclid(1_000_000));
    let starts: Vec<i64> = (1 - MINUTES_TOLD..=0).map(|back| minute + back * 60).collect();
    match since(backend, subject, starts[0], now_micros).await {
        Ok((mut moment, _)) => {
            let next = moment.found.as_mut().map(|seen| {
                let next = next(seen, &starts, last);
                seen.requests_per_second = next.rate;
                next
            });
            (moment, next)
        }
        Err(_) => (Moment { now_micros, starts, found: None }, last),
    }
}

fn next(seen: &Seen, starts: &[i64], last: Option<Before>) -> Before {
    let requests: HashMap<i64, u64> =
        starts.iter().copied().zip(seen.measures.iter().map(|measures| measures.requests)).collect();
    let rate = last.and_then(|last| {
        let micros = seen.as_of_micros? - last.as_of_micros?;
        if micros <= 0 {
            return last.rate;
        }
        let oldest = last.requests.keys().min()?;
        // A minute that was not looked at before is new, unless it is older than those that were.
        let new = requests.iter().filter(|(start, _)| *start >= oldest);
        let new: u64 =
            new.map(|(start, now)| now.saturating_sub(last.requests.get(start).copied().unwrap_or(0))).sum();
        Some((new as f64 * 1e6 / micros as f64 * 100.0).round() / 100.0)
    });
    Before { as_of_micros: seen.as_of_micros, requests, rate }
}

/// The minutes from a second on, to the one that is running; and whether the subject is known at all.
pub(crate) async fn since(
    backend: &Backend,
    subject: &Subject,
    from_second: i64,
    now_micros: i64,
) -> Result<(Moment, bool), ApiError> {
    let end = stats::WindowKind::Minute.floor(now_micros.div_euclid(1_000_000)) + 60;
    let bounds: Vec<i64> = (from_second..=end).step_by(60).collect();
    let percentiles = percentiles(PERCENTILES_DEFAULT).expect("a default that is right");
    let (found, fresh) = backend.series(subject, &bounds, &percentiles).await?;
    let seen = Seen {
        measures: found.answer.clone(),
        as_of_micros: found.freshness.as_of_micros.max(fresh.as_of_micros),
        requests_per_second: None,
    };
    Ok((Moment { now_micros, starts: bounds[..bounds.len() - 1].to_vec(), found: Some(seen) }, found.known))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(as_of_micros: i64, requests: &[u64]) -> Seen {
        let measures =
            requests.iter().map(|requests| Measures { requests: *requests, ..Measures::default() });
        Seen { measures: measures.collect(), as_of_micros: Some(as_of_micros), requests_per_second: None }
    }

    #[test]
    fn the_rate_is_what_came_between_two_instants() {
        let first = next(&seen(1_000_000, &[5, 7]), &[0, 60], None);
        assert_eq!(first.rate, None);
        let second = next(&seen(3_000_000, &[5, 27]), &[0, 60], Some(first));
        assert_eq!(second.rate, Some(10.0));
        // Nothing new is known.
        let third = next(&seen(3_000_000, &[5, 27]), &[0, 60], Some(second));
        assert_eq!(third.rate, Some(10.0));
        // A minute has passed: the oldest is not told any more, the new one was not there before.
        let fourth = next(&seen(4_000_000, &[28, 2]), &[60, 120], Some(third));
        assert_eq!(fourth.rate, Some(3.0));
    }
}
