//! What becomes of the shards when nobody shares them any more.

use tokio::runtime::Runtime;

use super::*;
use crate::shards::assignment::Granted;

/// Nothing listens there, so shards stay restoring.
const CONFIG: &str = "connections: [{id: a, bank_pos: {app_key_file: k, app_secret_file: s}}]\n\
                      kafka: {bootstrap_servers: '127.0.0.1:1', shards: 2}\n";

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

#[test]
fn a_dead_assignment_thread_ends_every_shard_and_no_shard_is_shown_afterwards() {
    let config = crate::config::parse("c", CONFIG, std::iter::empty()).unwrap().config;
    let app = App::new(Arc::new(config), Broker::Real, Arc::default(), Arc::default());
    let work = Arc::new(pollers(&app));
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let (changes, changed) = mpsc::unbounded_channel();
        let (notes, _noted) = mpsc::unbounded_channel();
        for shard in 0..2 {
            changes.send(Change::Granted(Granted { shard, note: None })).unwrap();
        }
        let stop = CancellationToken::new();
        let owning = app.own_shards(Member { changes: changed, notes }, work, None, &stop);
        let mut shown = app.phases.subscribe();
        let dying = async move {
            shown.wait_for(|phases| phases.len() == 2).await.unwrap();
            drop(changes);
        };
        // Bounded by the drain, which the owners must not need.
        let both = timeout(DRAIN / 2, async { tokio::join!(owning, dying) });
        both.await.expect("the owners are told to end");
        assert!(stop.is_cancelled(), "the sink and the process end too");
        assert!(app.phases.borrow().is_empty(), "{:?}", app.phases.borrow());
    });
    // A lock that is being asked for of a dead broker is not waited for.
    runtime.shutdown_background();
}
