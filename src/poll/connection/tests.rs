use super::*;
use crate::{poll::tests::Stage, state::position::Checkpoint, telemetry::logs::tests::written};

fn running(stage: &Stage, stop: &CancellationToken) -> Running {
    Running {
        parts: stage.parts.clone(),
        states: HashMap::new(),
        last_run: None,
        accounts: Accounts::default(),
        others: Others::default(),
        served: Served::default(),
        followed: HashMap::new(),
        missing: HashSet::new(),
        tasks: JoinSet::new(),
        stop: stop.clone(),
    }
}

impl Running {
    /// An account whose history was read from one day on, and which was last read on another.
    fn know_account(&mut self, id: i64, start: Day, read_through: Day) {
        let checkpoint = Checkpoint::initial(start, read_through.start());
        self.know(id, Checkpoint { backfill_next: None, ..checkpoint });
    }

    fn know(&mut self, id: i64, checkpoint: Checkpoint) {
        let key = self.key(Stream::BankTransactions, &id.to_string());
        let state = EntityState { checkpoint: Some(checkpoint), ..EntityState::default() };
        self.states.insert(key, state);
    }
}

#[tokio::test]
async fn a_poller_that_breaks_off_ends_all_of_the_connections_so_that_the_shard_starts_anew() {
    let stage = Stage::new().await;
    let stop = stage.stop.child_token();
    let mut running = running(&stage, &stop);
    let other = stop.clone();
    running.tasks.spawn(async move { other.cancelled().await });
    running.tasks.spawn(async { panic!("a mistake of this program") });
    let ended = running.supervise(None, None);
    tokio::time::timeout(Duration::from_secs(30), ended).await.expect("it ends by itself");
    assert!(stop.is_cancelled() && running.tasks.is_empty());
    assert!(!stage.stop.is_cancelled(), "the shard itself goes on");
}

#[tokio::test]
async fn what_one_list_lacks_is_closed_by_the_next_and_open_again_when_it_is_listed() {
    let stage = Stage::new().await;
    let mut running = running(&stage, &stage.stop.child_token());
    let listed = |ids: &[i64]| -> Vec<Discovered> {
        ids.iter().map(|id| Discovered { id: *id, active: true, currency: None }).collect()
    };
    let open = |running: &Running| {
        let followed = running.followed.iter().filter(|(_, followed)| *followed.open.borrow());
        let mut ids: Vec<i64> = followed.map(|((_, id), _)| *id).collect();
        ids.sort_unstable();
        ids
    };
    for (list, expected) in [
        (&[7, 8][..], &[7, 8][..]),
        (&[], &[7, 8]),
        (&[8], &[8]),
        (&[8], &[8]),
        (&[7, 8], &[7, 8]),
        (&[8], &[7, 8]),
        (&[7, 8], &[7, 8]),
        (&[8], &[7, 8]),
    ] {
        running.follow_accounts(&listed(list));
        assert_eq!(open(&running), expected, "after {list:?}");
    }
    running.stop.cancel();
}

#[tokio::test]
async fn a_closed_account_is_looked_at_once_more_unless_it_was_left_alone_while_others_were_polled()
{
    let stage = Stage::new().await;
    let mut running = running(&stage, &stage.stop.child_token());
    let today = now().local_day();
    // So many days ago: the program last ran three days ago, and looks 14 days back.
    for (id, days) in [(7, 3), (8, 16), (9, 17), (10, 200), (11, 17), (12, 17), (13, 17)] {
        let initial = Checkpoint::initial(today.plus(-300), today.plus(-days).start());
        // The last look at one is not noted: its look-backs may have failed while it was open. Another
        // lacks rows that the feed could not take, a third days of a gap.
        let checkpoint = Checkpoint {
            backfill_next: (id == 13).then(|| today.plus(-20)),
            gap: id == 13,
            behind: id == 12,
            ended: id != 11,
            ..initial
        };
        running.know(id, checkpoint);
    }
    running.last_run = last_run(&running.states);
    assert_eq!(running.last_run, Some(today.plus(-3)));
    let listed =
        [7, 8, 9, 10, 11, 12, 13].map(|id| Discovered { id, active: false, currency: None });
    running.follow_accounts(&listed);
    let mut followed: Vec<i64> = running.followed.keys().map(|(_, id)| *id).collect();
    followed.sort_unstable();
    assert_eq!(followed, [7, 8, 11, 12, 13]);
    assert!(running.followed.values().all(|followed| !*followed.open.borrow()));
    running.stop.cancel();
}

#[tokio::test]
async fn days_that_nobody_read_are_history_before_the_account_is_handed_any_row() {
    let stage = Stage::new().await;
    let mut running = running(&stage, &stage.stop.child_token());
    let today = now().local_day();
    // Accounts 7 and 8 were last read so many days ago.
    for (id, days) in [(7, 40), (8, 2)] {
        running.know_account(id, today.plus(-90), today.plus(-days));
    }
    let listed = [7, 8].map(|id| Discovered { id, active: true, currency: None });
    running.follow_accounts(&listed);
    // The last day may be one that only live polls have read.
    for (id, expected) in [(7, Some(today.plus(-41))), (8, None)] {
        let entity = Arc::clone(&running.accounts.read().unwrap()[&id]);
        assert_eq!(entity.checkpoint(today).await.backfill_next, expected, "account {id}");
    }
    running.stop.cancel();
}

#[tokio::test]
async fn all_that_are_configured_and_not_listed_are_named_by_one_line() {
    let stage = Stage::new().await;
    let running = running(&stage, &stage.stop.child_token());
    let listed = [Discovered { id: 7, active: true, currency: None }];
    let line = |ids: &[i64]| {
        let selection = Selection::Ids(ids.to_vec());
        written(true, || {
            running.warn_about_missing(Stream::BankTransactions, &selection, &listed);
        })
    };
    let text = line(&[1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains(r#""entities":7,"ids":"1, 2, 3, 4, 5, 6, 8""#), "{text}");
    assert_eq!(line(&[7]), "");
}
