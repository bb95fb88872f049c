//! The pipeline: every task, every thread, every channel and its capacity, and the order of stopping. Nothing is decided here.
//!
//! ```text
//! file --wake(1)--> tail --Lines(4)--> batch --Batch(2 x WORKERS)--> workers --Settled--> bookkeeper (frontier, ledger) --> disk
//!                                                                         publisher <--cells-- ledger
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use service::Stop;
use store::RequestStore;
use store::embedded::Ledger;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::account::Account;
use crate::batch::{self, InFlight};
use crate::bookkeeper::{Bookkeeper, Ended, Surroundings};
use crate::checkup::Checkup;
use crate::claim::sources_at_start;
use crate::companions::{Watched, probe, read_back, spawn_endpoints, watch_checkup, watch_first_lines};
use crate::counters::Counters;
use crate::ending::{self, End};
use crate::health::Health;
use crate::last_words::Endings;
use crate::memory::{BUDGET_BYTES, WorkingMemory};
use crate::ownership::{Heartbeat, Refused, WhenWiped};
use crate::publication::Published;
use crate::publisher::Publisher;
use crate::reading::TimeLimits;
use crate::report::Status;
use crate::settings::Settings;
use crate::shared::Common;
use crate::statements::Statements;
use crate::tail::books::BooksLine;
use crate::tail::disk::RealDisk;
use crate::tail::follower::{Follower, State};
use crate::tail::identity::salt_of;
use crate::tail::log::Surroundings as LogSurroundings;
use crate::tail::ports::{Gate, StoreJournal};
use crate::tail::starts::Starts;
use crate::tail::{Drained, Mode, Tail};
use crate::to_ledger::{Durable, ToLedger};
use crate::wake::wake;
use crate::worker;

/// Pieces between tail and batch: a few, so that reading goes on while a batch is cut; more would only hold memory.
const LINES_CAPACITY: usize = 4;
/// Batches between batch and workers, for each worker: one in work and one waiting.
const BATCHES_PER_WORKER: usize = 2;
/// How long a stop may take in all (design section 12): whoever stops us kills us soon after.
const STOP_DEADLINE: Duration = Duration::from_secs(30);
/// What is kept of it for the last words, when what was in flight could not be settled: the ledger's last commit, and the tasks' own ends.
const LAST_WORDS: Duration = Duration::from_secs(3);
/// How long the store may take to hear that the sources are let go. Who comes next waits for a heartbeat to grow old instead.
const RELEASE_DEADLINE: Duration = Duration::from_secs(5);

/// What a run came to.
#[derive(Debug)]
pub struct Outcome {
    /// The program's exit code.
    pub exit_code: u8,
    /// The last status.
    pub status: Status,
    /// How tail ended.
    pub drained: Drained,
}

/// What the rooms came to.
struct Flowed {
    drained: Drained,
    ended: Ended,
    published: bool,
}

/// Runs until the program stops, or until the files are drained.
pub async fn run<S: RequestStore>(
    settings: Settings,
    ledger: Ledger,
    checkup: Checkup,
    store: S,
    stop: Stop,
    mode: Mode,
) -> Result<Outcome, Refused> {
    let ledger_id = ledger.id().to_owned();
    let followed = if store.remembers() { sources_at_start(&settings, &ledger) } else { vec![] };
    let statements = Statements::of_ledger(&ledger, followed.iter().cloned(), Utc::now().timestamp())
        .map_err(|error| Refused::Ledger(error.to_string()))?;
    let account = Arc::new(Account::new(ledger.totals()));
    let (durable_sender, durable) =
        watch::channel(Durable::at_start(ledger.commit_number(), ledger.as_of_micros()));
    let (published_sender, published) = watch::channel(Published::default());
    let common = Arc::new(Common {
        store: Arc::new(store),
        health: Arc::new(Health::default()),
        account: Arc::clone(&account),
        counters: Arc::new(Counters::default()),
        files: Arc::default(),
        settled: Arc::default(),
        statements: Arc::new(statements),
        readback: Arc::default(),
        durable,
        published,
    });
    // Ends everything that only accompanies the pipeline: heartbeat, probe, endpoints.
    let over = CancellationToken::new();
    let mut companions = JoinSet::new();
    spawn_endpoints(&mut companions, &settings, &common, &over, mode).await;

    let token = stop_token(&stop, &over, &mut companions);
    let heartbeat = || Heartbeat {
        store: Arc::clone(&common.store),
        ledger: ledger_id.clone(),
        durable: common.durable.clone(),
        published: common.published.clone(),
        health: Arc::clone(&common.health),
        statements: Arc::clone(&common.statements),
        when_wiped: match mode {
            _ if settings.accept_store => WhenWiped::Accept,
            Mode::Follow => WhenWiped::Wait,
            Mode::Drain { .. } => WhenWiped::Refuse,
        },
        oldest_second: TimeLimits::at(Utc::now().timestamp(), settings.retention).oldest,
    };
    companions.spawn(probe(Arc::clone(&common), over.clone()));
    let watched = Watched::default();
    companions.spawn(watch_checkup(
        &checkup,
        Arc::clone(&common),
        watched.clone(),
        over.clone(),
        token.clone(),
    ));
    companions.spawn(read_back(Arc::clone(&common), over.clone()));
    companions.spawn(watch_first_lines(Arc::clone(&common), over.clone()));

    let give_up = CancellationToken::new();
    let beats = over.child_token();
    // Tail looks at the files at once, so that it knows which were there at the start; it hands nothing on before the sources are claimed.
    let (cleared, flowed) = (CancellationToken::new(), CancellationToken::new());
    if !settings.write_only {
        let (shared, over, cleared) = (Arc::clone(&common), beats.clone(), cleared.clone());
        let beat = heartbeat().run(over.clone(), move || shared.sources());
        // Who has not claimed the sources yet must not say that they are its own: their owner may be alive.
        companions.spawn(async move {
            if over.run_until_cancelled(cleared.cancelled()).await.is_some() {
                beat.await;
            }
        });
    }
    let clearing = async {
        let claimed = heartbeat().claim_all(&followed, &token).await;
        match &claimed {
            Ok(true) => cleared.cancel(),
            Ok(false) => {} // Stopping.
            Err(_) => token.cancel(),
        }
        claimed
    };
    let endings = Endings {
        cleared: cleared.clone(),
        settled: CancellationToken::new(),
        stop: token.clone(),
        give_up: give_up.clone(),
        leaves_nothing: mode != Mode::Follow,
    };
    let publish = |to_ledger| {
        common.store.remembers().then(|| Publisher {
            heartbeat: heartbeat(),
            account: Arc::clone(&common.account),
            counters: Arc::clone(&common.counters),
            published: published_sender,
            to_ledger,
            state_dir: settings.state_dir.clone(),
            endings: endings.clone(),
        })
    };
    let flow = async {
        let end = flow(&settings, ledger, &common, durable_sender, publish, &token, &endings, mode).await;
        flowed.cancel();
        end
    };
    let (Flowed { drained, ended, published }, claimed) =
        tokio::join!(flow, flowed.run_until_cancelled(clearing));
    let claimed = claimed.transpose()? == Some(true);
    if mode != Mode::Follow {
        token.run_until_cancelled(watched.over.cancelled()).await;
    }
    let saved = matches!(ended, Ended::Saved) && !watched.damaged.is_cancelled();
    let owned = if claimed && !settings.write_only { common.sources() } else { vec![] };
    // A store that has just let us down would keep us from ending in time. Lines that are not settled keep the source ours: the next start goes on with them.
    if saved && !owned.is_empty() && !give_up.is_cancelled() && !common.health.store_is_away(Instant::now()) {
        beats.cancel(); // A heartbeat after it would take the sources back.
        if tokio::time::timeout(RELEASE_DEADLINE, heartbeat().release(owned)).await.is_err() {
            tracing::warn!("the store does not answer: the sources were not let go");
        }
    }
    over.cancel();
    drop(
        tokio::time::timeout(Duration::from_secs(2), async {
            while companions.join_next().await.is_some() {}
        })
        .await,
    );
    let status = common.status();
    let end = End {
        saved,
        lines_in_flight: status.lines_in_flight,
        cleared: claimed,
        stopped: token.is_cancelled(),
        mode,
        unread_bytes: ending::unread_bytes(&settings),
        drained: mode != Mode::Follow && drained.complete,
        published,
    };
    Ok(Outcome { exit_code: end.exit_code(), status, drained })
}

/// The way of a line, from its last room to its first; then the order of stopping: tail ends, and each room ends when the one before it has.
#[expect(
    clippy::too_many_arguments,
    reason = "the surroundings of the whole pipeline, handed over in one place"
)]
async fn flow<S: RequestStore>(
    settings: &Settings,
    mut ledger: Ledger,
    common: &Arc<Common<S>>,
    durable: watch::Sender<Durable>,
    publish: impl FnOnce(std::sync::mpsc::Sender<ToLedger>) -> Option<Publisher<S>>,
    token: &CancellationToken,
    endings: &Endings,
    mode: Mode,
) -> Flowed {
    let Endings { cleared, give_up, .. } = endings;
    let first_start = ledger.commit_number() == 0;
    let memory = WorkingMemory::of(settings, mode);
    memory.take_for(&mut ledger);
    let (to_ledger, from_all) = std::sync::mpsc::channel::<ToLedger>();
    let surroundings = Surroundings {
        account: Arc::clone(&common.account),
        health: Arc::clone(&common.health),
        counters: Arc::clone(&common.counters),
        settled: Arc::clone(&common.settled),
        durable,
        statements: Arc::clone(&common.statements),
        give_up: give_up.clone(),
    };
    let bookkeeper =
        tokio::task::spawn_blocking(move || Bookkeeper::real(ledger, surroundings).run(&from_all));
    let runtime = tokio::runtime::Handle::current();
    let publisher =
        publish(to_ledger.clone()).map(|room| tokio::task::spawn_blocking(move || room.run(&runtime)));
    let in_flight = Arc::new(InFlight::default());
    let (to_workers, batches) = mpsc::channel(BATCHES_PER_WORKER * settings.workers);
    let batches = Arc::new(tokio::sync::Mutex::new(batches));
    let shared = Arc::new(worker::Shared {
        store: Arc::clone(&common.store),
        health: Arc::clone(&common.health),
        account: Arc::clone(&common.account),
        counters: Arc::clone(&common.counters),
        zone: settings.zone,
        retention: settings.retention,
        memory: memory.requests(),
        body_bytes: memory.body_bytes(settings.workers),
        readback: Arc::clone(&common.readback),
        witness: Default::default(),
        give_up: give_up.clone(),
        wait: crate::patience::really_wait,
    });
    let mut tasks = JoinSet::new();
    for _ in 0..settings.workers {
        tasks.spawn(worker::run(
            Arc::clone(&shared),
            Arc::clone(&batches),
            to_ledger.clone(),
            Arc::clone(&in_flight),
        ));
    }
    drop(batches);
    let (to_batch, lines) = mpsc::channel(LINES_CAPACITY);
    tasks.spawn(batch::run(settings.limits, lines, to_workers, in_flight));

    let tail =
        make_tail(settings, common, to_ledger, to_batch, token.clone(), cleared.clone(), first_start, mode);
    let waker = tail.wake.waker();
    let tail_over = token.child_token();
    let stopping = tail_over.clone();
    tasks.spawn(async move {
        stopping.cancelled().await;
        waker.wake();
    });
    let tail = tokio::task::spawn_blocking(move || tail.run());
    finish(tail, &tail_over, tasks, publisher, bookkeeper, token, endings).await
}

#[expect(clippy::too_many_arguments, reason = "what tail is made of, in one place")]
fn make_tail<S: RequestStore>(
    settings: &Settings,
    common: &Arc<Common<S>>,
    to_ledger: std::sync::mpsc::Sender<ToLedger>,
    lines: mpsc::Sender<crate::lines::Lines>,
    stop: CancellationToken,
    cleared: CancellationToken,
    first_start: bool,
    mode: Mode,
) -> Tail {
    let runtime = tokio::runtime::Handle::current();
    let (wake, watch) = wake(common.counters.notify_overflows.clone());
    let journal = StoreJournal {
        store: Arc::clone(&common.store),
        health: Arc::clone(&common.health),
        runtime: runtime.clone(),
        stop: stop.clone(),
    };
    let gate = Gate {
        lines,
        budget: Arc::new(Semaphore::new(BUDGET_BYTES)),
        budget_bytes: BUDGET_BYTES,
        account: Arc::clone(&common.account),
        cleared,
        stop: stop.clone(),
        runtime,
    };
    let follower = Follower {
        sources: settings.sources.clone(),
        with: LogSurroundings {
            disk: Arc::new(RealDisk::default()),
            books: Box::new(BooksLine::new(to_ledger)),
            counters: Arc::clone(&common.counters),
            salt: salt_of(&settings.salt),
            start_at: settings.start_at,
        },
        starts: Starts { journal: Box::new(journal), hashed_only: settings.write_only },
        outlet: Box::new(gate),
        watch: Box::new(watch),
        first_start,
        health: Arc::clone(&common.health),
        files: Arc::clone(&common.files),
        state: State::with_memory(WorkingMemory::of(settings, mode).blocks()),
    };
    Tail { follower, wake, stop, mode }
}

/// Waits for the rooms to end one after the other; when the stop's deadline passes, ends all patience.
async fn finish(
    tail: JoinHandle<Drained>,
    tail_over: &CancellationToken,
    mut tasks: JoinSet<()>,
    publisher: Option<JoinHandle<bool>>,
    bookkeeper: JoinHandle<Ended>,
    token: &CancellationToken,
    Endings { settled, give_up, .. }: &Endings,
) -> Flowed {
    let deadline = async {
        token.cancelled().await;
        let patience = STOP_DEADLINE.saturating_sub(LAST_WORDS);
        tokio::time::sleep(patience).await;
        tracing::error!(
            waited_seconds = patience.as_secs(),
            "not everything could be settled in time; the log keeps it for the next start"
        );
        give_up.cancel();
        std::future::pending::<()>().await;
    };
    let rooms = async {
        let drained = tail.await.expect("W1: tail does not panic");
        // Nobody waits for a hint any more. The deadline stays with the stop signal: files that are drained wait for their store as long as it takes.
        tail_over.cancel();
        while let Some(ended) = tasks.join_next().await {
            ended.expect("W1: no room panics");
        }
        settled.cancel();
        let published = match publisher {
            Some(publisher) => publisher.await.expect("W1: the publisher does not panic"),
            None => true,
        };
        let ended = bookkeeper.await.expect("K2: the bookkeeper does not panic");
        Flowed { drained, ended, published }
    };
    tokio::select! {
        ended = rooms => ended,
        () = deadline => unreachable!("the deadline only ends patience"),
    }
}

/// A token that follows the stop signal.
fn stop_token(stop: &Stop, over: &CancellationToken, companions: &mut JoinSet<()>) -> CancellationToken {
    let token = CancellationToken::new();
    let (stop, follower, over) = (stop.clone(), token.clone(), over.clone());
    companions.spawn(async move {
        if over.run_until_cancelled(stop.stopped()).await.is_some() {
            follower.cancel();
        }
    });
    token
}
