//! `log-processor replay`: sends every settled line of the files on disk again, under the same keys, so that a store that was wiped or restored is whole again. Nothing is counted a second
//! time: the ledger's statistics, rejects and positions stay as they are. Reads files like `verify`; sends like the workers.

use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use bytes::Bytes;
use chrono::Utc;
use futures::stream::{FuturesUnordered, StreamExt as _};
use store::embedded::{Ledger, LedgerError, LedgerView, Unpublished};
use store::{RequestStore, Statistics};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::claim::{seen_paths, sources_at_start};
use crate::counters::Counters;
use crate::delivery::Delivery;
use crate::doubt::Witness;
use crate::health::Health;
use crate::ownership::{Heartbeat, Refused, WhenWiped};
use crate::patience::really_wait;
use crate::publication::Published;
use crate::reading::TimeLimits;
use crate::rebuild::CannotRebuild;
use crate::settings::Settings;
use crate::statements::Statements;
use crate::tail::identity::salt_of;
use crate::to_ledger::Durable;
use crate::verify::files::{self, Books, Found};
use crate::verify::lines::LineReader;
use crate::verify::refused_lines;

/// How long the store may take to hear that the source is let go.
const RELEASE_DEADLINE: Duration = Duration::from_secs(5);

/// What was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Files.
    pub files: u64,
    /// Lines.
    pub lines: u64,
    /// Of these: lines that the store refused alone, though it once took them.
    pub refused: u64,
    /// Lines that are older than RETENTION now, and were not sent.
    pub too_old: u64,
    /// Files that were settled and are gone, and their settled bytes.
    pub gone: (u64, u64),
}

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} lines of {} files were sent", self.lines, self.files)?;
        if self.refused > 0 {
            write!(f, "; {} of them were refused by the store", self.refused)?;
        }
        if self.too_old > 0 {
            write!(f, "; {} lines are older than RETENTION and were not", self.too_old)?;
        }
        if self.gone.0 > 0 {
            write!(f, "; {} bytes of {} files that are gone cannot be sent again", self.gone.1, self.gone.0)?;
        }
        Ok(())
    }
}

/// Why it could not be done.
#[derive(Debug, thiserror::Error)]
pub enum CannotReplay {
    /// Somebody else owns a source.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The ledger cannot be read or written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A file cannot be read.
    #[error("a log cannot be read: {0}")]
    Io(#[from] io::Error),
    /// The cells could not be made again.
    #[error(transparent)]
    Rebuild(#[from] CannotRebuild),
    /// It was told to stop.
    #[error("stopped before everything was sent; run it again")]
    Stopped,
}

/// A body on its way: requests in line protocol, and where each ends.
#[derive(Debug, Default)]
struct Body {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

/// Sends everything again, then does something with the ledger before the sources are let go; after that statistics of a source are `Some` of it, where they are to be judged anew. The ledger is open, so no
/// processor runs on it.
pub async fn replay<S: RequestStore>(
    settings: &Settings,
    mut ledger: Ledger,
    store: Arc<S>,
    stop: CancellationToken,
    then: impl AsyncFnOnce(&mut Ledger, &[String]) -> Result<Option<Statistics>, CannotRebuild>,
) -> Result<Sent, CannotReplay> {
    let health = Arc::new(Health::default());
    let sources = sources_at_start(settings, &ledger);
    let limits = TimeLimits::at(Utc::now().timestamp(), settings.retention);
    let statements = Statements::of_ledger(&ledger, sources.iter().cloned(), Utc::now().timestamp())?;
    let view = LedgerView::open(&settings.state_dir)?;
    let durable = Durable::at_start(ledger.commit_number(), ledger.as_of_micros());
    let (_durable, durable) = watch::channel(durable);
    let (tell_published, published) = watch::channel(Published::default());
    let statements = Arc::new(statements);
    let ledger_id = ledger.id().to_owned();
    let heartbeat = || Heartbeat {
        store: Arc::clone(&store),
        ledger: ledger_id.clone(),
        durable: durable.clone(),
        health: Arc::clone(&health),
        statements: Arc::clone(&statements),
        when_wiped: WhenWiped::Accept,
        published: published.clone(),
        oldest_second: limits.oldest,
    };
    if !heartbeat().claim_all(&sources, &stop).await? {
        return Err(CannotReplay::Stopped);
    }
    tell_published.send_replace(published_before(settings, &statements, &sources)?);
    let over = CancellationToken::new();
    let beat = async {
        if !settings.write_only {
            let sources = sources.clone();
            heartbeat().run(over.clone(), move || sources.clone()).await;
        }
    };
    let send = async {
        let sent = match send_all(settings, view.as_ref(), &store, &health, limits, &stop).await {
            Ok(sent) => then(&mut ledger, &sources).await.map(|judged| (sent, judged)).map_err(Into::into),
            Err(error) => Err(error),
        };
        over.cancel();
        sent
    };
    let (sent, ()) = tokio::join!(send, beat);
    let (sent, judged) = sent?;
    if let Some(judged) = judged {
        // The next start publishes them.
        tell_published.send_replace(Published::default());
        sources.iter().for_each(|source| statements.judge(source, judged));
    }
    // Only now: a replay that was stopped in the middle leaves the store as one that has forgotten something.
    if !settings.write_only {
        let release = heartbeat();
        drop(tokio::time::timeout(RELEASE_DEADLINE, release.release(sources.clone())).await);
        for (source, memory, publish_again) in statements.take_unsaved() {
            ledger.set_store_memory(&source, memory, publish_again)?;
        }
    }
    Ok(sent)
}

/// What the runs before have published: all that the ledger has, if nothing of it waits, and the store has forgotten nothing.
fn published_before(
    settings: &Settings,
    statements: &Statements,
    sources: &[String],
) -> Result<Published, LedgerError> {
    let unpublished = Unpublished::open(&settings.state_dir)?;
    let is_published =
        |source: &String| matches!(statements.judged(source), Some(Statistics::Published { .. }));
    let all_is = sources.iter().all(is_published) && unpublished.waiting(1)? == 0;
    Ok(Published {
        through: if all_is { Some(unpublished.state()?) } else { None },
        from_second: statements.days_from_second(),
        waiting: 0,
    })
}

async fn send_all<S: RequestStore>(
    settings: &Settings,
    view: Option<&LedgerView>,
    store: &Arc<S>,
    health: &Health,
    limits: TimeLimits,
    stop: &CancellationToken,
) -> Result<Sent, CannotReplay> {
    let Some(view) = view else { return Ok(Sent::default()) };
    let (refused, _) = refused_lines(Some(view))?;
    let mut found = Vec::new();
    for (source, log) in settings.sources.paths().at_start(|source| seen_paths(view, source)) {
        let books = Books::of(view, &source);
        found.push(files::find(&source.as_str().into(), &log, Some(&books), &[], salt_of(&settings.salt))?);
    }
    let mut sent = Sent {
        gone: found.iter().fold((0, 0), |sum, found| (sum.0 + found.gone.0, sum.1 + found.gone.1)),
        ..Sent::default()
    };
    let (bodies, ready) = mpsc::channel(1);
    let reader = LineReader::new(settings.zone, limits, refused);
    let (lines, store_of_reader, stopping) = (settings.limits.lines, Arc::clone(store), stop.clone());
    let reading = tokio::task::spawn_blocking(move || {
        read_all(reader, &found, lines, &*store_of_reader, &bodies, &stopping)
    });
    let outcome = deliver_all(ready, settings.workers, &**store, health, stop).await;
    let read = reading.await.expect("reading does not panic")?;
    (sent.lines, sent.refused) = outcome.ok_or(CannotReplay::Stopped)?;
    (sent.files, sent.too_old) = read.ok_or(CannotReplay::Stopped)?;
    Ok(sent)
}

/// Reads all files into bodies; how many files there were and how many lines are too old. `None` when nobody takes the bodies any more.
fn read_all<S: RequestStore>(
    mut reader: LineReader,
    found: &[Found],
    lines: usize,
    store: &S,
    bodies: &mpsc::Sender<Body>,
    stop: &CancellationToken,
) -> io::Result<Option<(u64, u64)>> {
    let (mut files, mut too_old) = (0, 0);
    let mut body = Body::default();
    let mut ended = false;
    for part in found.iter().flat_map(|found| &found.parts) {
        files += 1;
        too_old += reader.read_whole(part, |line| {
            if ended {
                return;
            }
            store.encode(&line.good.request, &mut body.bytes);
            body.ends.push(body.bytes.len());
            if body.ends.len() >= lines {
                ended = stop.is_cancelled() || bodies.blocking_send(std::mem::take(&mut body)).is_err();
            }
        })?;
        if ended {
            return Ok(None);
        }
    }
    if !body.ends.is_empty() && bodies.blocking_send(body).is_err() {
        return Ok(None);
    }
    Ok(Some((files, too_old)))
}

/// Delivers bodies, some at once, until there are no more: lines, and refused lines. `None` when it was stopped.
async fn deliver_all<S: RequestStore>(
    mut ready: mpsc::Receiver<Body>,
    workers: usize,
    store: &S,
    health: &Health,
    stop: &CancellationToken,
) -> Option<(u64, u64)> {
    let counters = Counters::default();
    let witness = &Witness::default();
    let delivery =
        &Delivery { store, health, counters: &counters, witness, give_up: stop, wait: really_wait };
    let mut under_way = FuturesUnordered::new();
    let (mut lines, mut refused) = (0, 0);
    loop {
        tokio::select! {
            body = ready.recv(), if under_way.len() < workers => {
                let Some(Body { bytes, ends }) = body else { break };
                lines += ends.len() as u64;
                under_way.push(async move { delivery.deliver(Bytes::from(bytes), &ends).await });
            }
            Some(delivered) = under_way.next(), if !under_way.is_empty() => refused += delivered.ok()?.len() as u64,
            () = stop.cancelled() => return None,
        }
    }
    while let Some(delivered) = under_way.next().await {
        refused += delivered.ok()?.len() as u64;
    }
    Some((lines, refused))
}
