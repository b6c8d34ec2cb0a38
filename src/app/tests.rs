//! What becomes of the shards when nobody shares them any more, or an owner breaks off.

use tokio::{runtime::Runtime, sync::mpsc::UnboundedSender};

use super::*;
use crate::{
    publish::encode::Encoder,
    shards::assignment::{Change, Granted},
};

/// Nothing listens there, so shards stay restoring.
const CONFIG: &str = "connections: [{id: a, bank_pos: {app_key_file: k, app_secret_file: s}}]\n\
                      kafka: {bootstrap_servers: '127.0.0.1:1', shards: 2}\n";

fn app() -> App {
    let config = crate::config::parse("c", CONFIG, std::iter::empty()).unwrap().config;
    App::new(Arc::new(config), Broker::Real, Arc::default(), Arc::default()).unwrap()
}

fn pollers(app: &App) -> Pollers {
    let no_ids = HashMap::new();
    Pollers {
        config: Arc::clone(&app.config),
        clients: HashMap::new(),
        encoder: Arc::new(Encoder::new(&no_ids, str::to_owned).unwrap()),
        privacy: Arc::new(PrivacyRules::new(&app.config.privacy, None).unwrap()),
        board: Arc::clone(&app.board),
        metrics: Arc::clone(&app.metrics),
    }
}

fn grant_both(changes: &UnboundedSender<Change>) {
    for shard in 0..2 {
        changes.send(Change::Granted(Granted { shard, note: None })).unwrap();
    }
}

#[test]
fn a_dead_assignment_thread_ends_every_shard_and_no_shard_is_shown_afterwards() {
    let app = app();
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let (changes, changed) = mpsc::unbounded_channel();
        let (notes, _noted) = mpsc::unbounded_channel();
        grant_both(&changes);
        let stop = CancellationToken::new();
        let (phases, phase_changes) = mpsc::unbounded_channel();
        let owner = Arc::new(app.owner(pollers(&app), None, notes, phases));
        let own = |granted, token| Arc::clone(&owner).own(granted, token);
        let owning = app.own_shards(changed, phase_changes, own, &stop);
        let mut shown = app.phases.subscribe();
        let dying = async move {
            shown.wait_for(|phases| phases.len() == 2).await.unwrap();
            drop(changes);
        };
        // Bounded by the drain, which the owners must not need.
        let both = timeout(DRAIN / 2, async { tokio::join!(owning, dying) });
        let (owned, ()) = both.await.expect("the owners are told to end");
        assert_eq!(owned, Ok(()));
        assert!(stop.is_cancelled(), "the sink and the process end too");
        assert!(app.phases.borrow().is_empty(), "{:?}", app.phases.borrow());
    });
    // A lock that is being asked for of a dead broker is not waited for.
    runtime.shutdown_background();
}

/// Owns both shards until shard 1 breaks off, at once or while it drains; what came of it.
async fn owned_until_one_breaks(at_once: bool) -> (String, bool) {
    let app = app();
    // The thread lives on: only the owner's end can end this.
    let (changes, changed) = mpsc::unbounded_channel();
    let (_phases, phase_changes) = mpsc::unbounded_channel();
    grant_both(&changes);
    let stop = CancellationToken::new();
    let drained = CancellationToken::new();
    let own = |granted: Granted, token: CancellationToken| {
        let (stop, drained) = (stop.clone(), drained.clone());
        async move {
            if granted.shard == 1 {
                if !at_once {
                    stop.cancel();
                }
                std::panic::resume_unwind(Box::new("a mistake"));
            }
            token.cancelled().await;
            drained.cancel();
        }
    };
    let owning = app.own_shards(changed, phase_changes, own, &stop);
    let owned = timeout(DRAIN / 2, owning).await.expect("everything ends");
    assert!(stop.is_cancelled(), "the sink and the process end too");
    (owned.unwrap_err().to_string(), drained.is_cancelled())
}

#[tokio::test]
async fn an_owner_that_breaks_off_ends_the_process_with_an_error_and_the_others_drain() {
    for at_once in [true, false] {
        let (error, others_drained) = owned_until_one_breaks(at_once).await;
        assert!(error.contains("owns shard 1"), "{at_once}: {error}");
        assert!(others_drained, "{at_once}");
    }
}

/// Whether the board still answers for the connection after its shard was taken away.
async fn answered_after(changes_made: &[Change]) -> bool {
    let app = app();
    let (changes, changed) = mpsc::unbounded_channel();
    let (phases, phase_changes) = mpsc::unbounded_channel();
    let (stop, released) = (CancellationToken::new(), CancellationToken::new());
    let own = |granted: Granted, token: CancellationToken| {
        let (phases, released) = (phases.clone(), released.clone());
        async move {
            token.cancelled().await;
            phases.send((granted.shard, Phase::Released)).unwrap();
            released.cancel();
        }
    };
    let shard = (0..2).find(|shard| pollers::connections_of(&app.config, *shard).count() == 1);
    changes.send(Change::Joined(true)).unwrap();
    changes.send(Change::Granted(Granted { shard: shard.unwrap(), note: None })).unwrap();
    changes_made.iter().for_each(|change| changes.send(change.clone()).unwrap());
    changes.send(Change::Revoked(shard.unwrap())).unwrap();
    let shown = async {
        released.cancelled().await;
        // What a shard says is heard after it is said.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        let answered = !app.board.answered().is_empty();
        stop.cancel();
        answered
    };
    let owning = app.own_shards(changed, phase_changes, own, &stop);
    let (owned, answered) = tokio::join!(owning, shown);
    assert_eq!(owned, Ok(()));
    answered
}

#[tokio::test]
async fn streams_go_with_a_shard_that_is_given_to_another_and_stay_where_the_group_is_lost() {
    assert!(!answered_after(&[]).await);
    assert!(answered_after(&[Change::Joined(false)]).await);
    let back = [Change::Joined(false), Change::Joined(true)];
    assert!(!answered_after(&back).await, "the group counts on this replica again");
}

#[tokio::test]
async fn a_shard_that_is_given_back_at_once_is_shown_as_its_new_owner_says() {
    let app = app();
    let (changes, changed) = mpsc::unbounded_channel();
    let (phases, phase_changes) = mpsc::unbounded_channel();
    let (stop, drained) = (CancellationToken::new(), CancellationToken::new());
    let owners = std::sync::atomic::AtomicU32::new(0);
    let own = |Granted { shard, .. }: Granted, token: CancellationToken| {
        let is_first = owners.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0;
        let (phases, drained) = (phases.clone(), drained.clone());
        async move {
            phases.send((shard, Phase::Owned)).unwrap();
            token.cancelled().await;
            if is_first {
                drained.cancelled().await;
                // Its producer was fenced by the new one's.
                phases.send((shard, Phase::Fenced)).unwrap();
            }
            phases.send((shard, Phase::Released)).unwrap();
        }
    };
    let granted = || Change::Granted(Granted { shard: 0, note: None });
    let mut shown = app.phases.subscribe();
    let regranted = async {
        changes.send(granted()).unwrap();
        shown.wait_for(|phases| phases.get(&0) == Some(&Phase::Owned)).await.unwrap();
        changes.send(Change::Revoked(0)).unwrap();
        changes.send(granted()).unwrap();
        // The new owner, were it not to wait, speaks before the old one has ended.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        drained.cancel();
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        let phase = app.phases.borrow().get(&0).copied();
        stop.cancel();
        phase
    };
    let owning = app.own_shards(changed, phase_changes, own, &stop);
    let (owned, phase) = tokio::join!(owning, regranted);
    assert_eq!((owned, phase), (Ok(()), Some(Phase::Owned)));
    assert!(app.phases.borrow().is_empty(), "{:?}", app.phases.borrow());
}
