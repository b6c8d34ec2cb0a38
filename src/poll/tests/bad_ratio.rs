//! An account whose answers show that the API has changed, among others that come by the same feed.

use std::collections::BTreeSet;

use serde_json::json;

use super::*;
use crate::{
    poll::{
        board::{Phase, Standing},
        connection,
    },
    state::changelog::ConnectionState,
    telemetry::events::Event,
};

const BANK: Stream = Stream::BankTransactions;
const NEW: usize = 25;
const BAD: usize = 8;

impl Stage {
    /// Bank rows of all accounts come by one call, often.
    pub(super) fn by_feed(&mut self) {
        let mut config = model::Connection::clone(&self.parts.config);
        let bank = config.streams.bank_transactions.as_mut().unwrap();
        bank.feed = model::Feed::Connection;
        bank.following.poll_interval = Duration::from_millis(40);
        self.parts.config = Arc::new(config);
    }

    pub(super) fn open_account(&self) -> i64 {
        let opened = self.simulator.ledger().add_entity(Stream::Accounts, fields(json!({})));
        opened.unwrap()
    }

    /// Event ids of an account's rows, of those that were quarantined too.
    pub(super) fn events_of(&self, account: i64) -> Vec<uuid::Uuid> {
        let key = format!("acme/{account}");
        let committed = self.committed.lock().unwrap();
        let events = committed.iter().flat_map(|batch| &batch.events);
        let own = events.filter(|event| event.key == key && !event.topic.contains("reference"));
        own.filter_map(|event| event.headers.as_ref().map(|headers| headers.id)).collect()
    }

    /// How often an account's state was written.
    pub(super) fn checkpoints_of(&self, account: i64) -> usize {
        let key = format!("acme/{BANK}/{account}");
        let committed = self.committed.lock().unwrap();
        committed.iter().flat_map(|batch| &batch.state).filter(|record| record.key == key).count()
    }

    fn standing_of(&self, account: i64) -> Standing {
        let entity = account.to_string().into();
        let key = EntityKey { connection: self.parts.config.id.clone(), stream: BANK, entity };
        self.parts.shared.board.snapshot().remove(&key).unwrap()
    }

    fn is_refused(&self, account: i64) -> bool {
        let Standing { phase, last_error, .. } = self.standing_of(account);
        let code = last_error.map(|error| error.code);
        phase == Phase::Failed && code == Some(Event::TooManyBadRows.code())
    }
}

#[tokio::test]
async fn an_account_with_too_many_bad_rows_waits_alone_and_heals_with_its_next_good_answer() {
    let mut stage = Stage::new().await;
    stage.by_feed();
    let (broken, good) = (stage.open_account(), stage.open_account());
    let add = |account: i64, rows: Vec<Value>| {
        let rows = rows.into_iter().map(fields).collect();
        stage.simulator.ledger().add_rows(BANK, &account.to_string(), rows).unwrap()
    };
    for account in [broken, good] {
        add(account, vec![json!({})]);
    }
    let (parts, stop) = (stage.parts.clone(), stage.stop.clone());
    let running = tokio::spawn(connection::run(parts, ConnectionState::default(), stop));
    let count = |account| stage.events_of(account).len();
    until("both histories are read", || count(broken) == 1 && count(good) == 1).await;
    let by_cursor = || stage.asked("transactions").iter().any(|r| r.target.contains("lastId"));
    until("the feed asks for what is above its cursor", by_cursor).await;

    let before = stage.checkpoints_of(broken);
    let bad = |at: usize| if at < BAD { json!({"amount": "NaN"}) } else { json!({}) };
    let ids = add(broken, (0..NEW).map(bad).collect());
    add(good, vec![json!({})]);
    until("the good account's row is published", || count(good) == 2).await;
    until("the other account is refused", || stage.is_refused(broken)).await;
    let alone = || stage.asked("account_transactions").len();
    let asked = alone();
    until("it is asked for alone, again and again", || alone() >= asked + 3).await;
    add(good, vec![json!({})]);
    until("the good account goes on", || count(good) == 3).await;
    assert!(stage.is_refused(broken), "{:?}", stage.standing_of(broken));
    let noted = before + 1;
    assert_eq!(
        (count(broken), stage.checkpoints_of(broken)),
        (1, noted),
        "that it is behind, once"
    );

    for id in ids.into_iter().take(BAD) {
        stage.simulator.ledger().edit_row(BANK, id, fields(json!({"amount": "5.00"}))).unwrap();
    }
    until("it runs again", || stage.standing_of(broken).phase == Phase::Running).await;
    assert_eq!(stage.standing_of(broken).last_error, None);
    add(broken, vec![json!({})]);
    until("its further rows come", || count(broken) >= NEW + 2).await;
    let events = stage.events_of(broken);
    assert_eq!(events.len(), NEW + 2, "every row once");
    assert_eq!(events.iter().collect::<BTreeSet<_>>().len(), NEW + 2);
    stage.stop.cancel();
    tokio::time::timeout(DEADLINE, running).await.unwrap().unwrap();
}
