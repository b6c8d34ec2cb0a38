//! What lists lack and other calls have.

use std::collections::HashMap;

use serde_json::json;
use tokio::sync::watch;

use super::*;
use crate::poll::{
    discovery::Discovered,
    snapshot::{Mentioned, Snapshot},
};

type Found = watch::Receiver<Option<Arc<Vec<Discovered>>>>;

fn follow(stage: &Stage, stream: Stream, mentioned: &Mentioned) -> Found {
    let (discovered, found) = watch::channel(None);
    let snapshot = Snapshot {
        entity: stage.entity(stream, EntityKey::WHOLE, EntityState::default()),
        api: stage.parts.api.clone(),
        poll_interval: Duration::from_millis(40),
        publish: true,
        discovered: (stream == Stream::Accounts).then_some(discovered),
        mentioned: Arc::clone(mentioned),
        stop: stage.stop.clone(),
    };
    tokio::spawn(snapshot.run());
    found
}

fn accounts(stage: &Stage) -> Found {
    follow(stage, Stream::Accounts, &Mentioned::default())
}

/// The list of customers, read once the payments are that mention these.
async fn follow_customers(stage: &Stage, mentions: &[i64]) {
    let payment = |id: &i64| fields(json!({"musteri": {"id": id, "unvan": "Deniz Ltd."}}));
    let rows = mentions.iter().map(payment).collect();
    let added =
        stage.simulator.ledger().add_rows(Stream::VirtualPosTransactions, EntityKey::WHOLE, rows);
    added.unwrap();
    let mentioned = Mentioned::default();
    mentioned.lock().unwrap().awaited = true;
    follow(stage, Stream::VirtualPosTransactions, &mentioned);
    until("the payments are read", || !mentioned.lock().unwrap().awaited).await;
    follow(stage, Stream::Customers, &mentioned);
}

fn knows(found: &Found, id: i64) -> bool {
    found.borrow().iter().any(|found| found.iter().any(|account| account.id == id))
}

fn count(stage: &Stage, kind: &str) -> usize {
    stage.kinds().iter().filter(|shown| *shown == kind).count()
}

async fn more(stage: &Stage, operation: &str) {
    let before = stage.asked(operation).len();
    until("it is read again and again", || stage.asked(operation).len() > before + 3).await;
}

#[tokio::test]
async fn an_account_that_the_list_lacks_stays_until_it_is_not_found_by_its_id() {
    let stage = Stage::new().await;
    let id = stage.simulator.ledger().add_entity(Stream::Accounts, fields(json!({}))).unwrap();
    let found = accounts(&stage);
    until("the list is published", || stage.commits() == 1).await;
    stage.simulator.ledger().list_entity(Stream::Accounts, id, false).unwrap();
    until("it is asked for by its id", || !stage.asked("account").is_empty()).await;
    more(&stage, "account").await;
    assert_eq!((stage.commits(), count(&stage, "tombstone")), (1, 0));
    assert!(knows(&found, id), "it is polled as before");

    // an answer that says nothing proves nothing, even after it has really gone
    stage.set_faults(&["success_false:account"]);
    stage.simulator.ledger().delete_entity(Stream::Accounts, id).unwrap();
    more(&stage, "account").await;
    assert!(knows(&found, id) && count(&stage, "tombstone") == 0);

    stage.set_faults(&[]);
    until("it is gone", || count(&stage, "tombstone") == 1).await;
    assert!(!knows(&found, id));
    stage.stop.cancel();
}

#[tokio::test]
async fn where_the_list_of_accounts_cannot_be_had_the_banks_name_them_and_nobody_is_gone() {
    let stage = Stage::new().await;
    let id = stage.simulator.ledger().add_entity(Stream::Accounts, fields(json!({}))).unwrap();
    let all = stage.simulator.ledger().add_entity(Stream::Accounts, fields(json!({}))).unwrap();
    // The first reading already has no list; one bank does not answer at first.
    stage.set_faults(&["missing_key:accounts", "missing_key:x1:bank_accounts"]);
    let found = accounts(&stage);
    until("the accounts are known", || knows(&found, id) && knows(&found, all)).await;
    let listed = count(&stage, "io.vomsis.v1.Account.created");
    stage.simulator.ledger().delete_entity(Stream::Accounts, id).unwrap();
    more(&stage, "accounts").await;
    assert!(knows(&found, id), "what the banks lack may be elsewhere");
    assert_eq!(count(&stage, "tombstone"), 0);

    stage.set_faults(&[]);
    until("it is gone", || count(&stage, "tombstone") == 1).await;
    stage.stop.cancel();
    let kinds = (listed, count(&stage, "io.vomsis.v1.Account.created"), stage.kinds().len());
    assert_eq!(kinds, (listed, listed, listed + 1), "the list has the same rows as the banks");
}

#[tokio::test]
async fn a_mentioned_customer_is_published_whole_where_the_api_has_it_by_its_id() {
    let stage = Stage::new().await;
    let whole = stage.simulator.ledger().add_entity(Stream::Customers, fields(json!({}))).unwrap();
    stage.simulator.ledger().list_entity(Stream::Customers, whole, false).unwrap();
    follow_customers(&stage, &[whole, 777_777]).await;
    let created = || count(&stage, "io.vomsis.v1.Customer.created");
    until("all are published", || created() > 2).await;
    // The two that the stage lists, and those that payments mention.
    let all = created();
    more(&stage, "customers").await;
    let mut asked = HashMap::<String, usize>::new();
    for request in stage.asked("customer") {
        *asked.entry(request.target).or_default() += 1;
    }
    assert_eq!(all, 2 + asked.len());
    for (target, times) in asked {
        let once_or_twice = if target.contains(&whole.to_string()) { 1 } else { 2 };
        assert_eq!(times, once_or_twice, "{target}: once, and again after a no");
    }

    // Had it been published as it is mentioned, the list would now show it changed.
    stage.simulator.ledger().list_entity(Stream::Customers, whole, true).unwrap();
    more(&stage, "customers").await;
    assert_eq!(count(&stage, "io.vomsis.v1.Customer.updated"), 0);
    assert_eq!((created(), count(&stage, "tombstone")), (all, 0));
    stage.stop.cancel();
}

#[tokio::test]
async fn a_customer_that_was_deleted_goes_though_payments_mention_it() {
    let stage = Stage::new().await;
    let id = stage.simulator.ledger().add_entity(Stream::Customers, fields(json!({}))).unwrap();
    follow_customers(&stage, &[id]).await;
    let created = || count(&stage, "io.vomsis.v1.Customer.created");
    until("the list is published", || created() > 2).await;
    let all = created();

    // Nothing says yet that it is not there.
    stage.set_faults(&["success_false:customer"]);
    stage.simulator.ledger().delete_entity(Stream::Customers, id).unwrap();
    more(&stage, "customers").await;
    assert_eq!((created(), count(&stage, "tombstone")), (all, 0));

    stage.set_faults(&[]);
    until("it goes, and is what payments mention", || created() == all + 1).await;
    more(&stage, "customers").await;
    assert_eq!((created(), count(&stage, "tombstone")), (all + 1, 1));
    stage.stop.cancel();
}

/// An account, and no bank beside its own: each takes some seconds to fail.
fn account_of_the_only_bank(stage: &Stage) -> i64 {
    let mut ledger = stage.simulator.ledger();
    for id in 0..1000 {
        // Not every number is a bank's.
        drop(ledger.delete_entity(Stream::Banks, id));
    }
    let bank = ledger.add_entity(Stream::Banks, fields(json!({"id": 1000}))).unwrap();
    ledger.add_entity(Stream::Accounts, fields(json!({"bank_id": bank}))).unwrap()
}

#[tokio::test]
async fn an_outage_of_the_banks_calls_is_soon_over_and_a_no_of_theirs_is_not_asked_for_again() {
    let stage = Stage::new().await;
    let (id, asked) = (account_of_the_only_bank(&stage), || stage.asked("bank_accounts").len());
    // Of a list that is refused, which by itself is asked for again after a quarter of an hour.
    stage.set_faults(&["403:accounts", "503:bank_accounts"]);
    let found = accounts(&stage);
    until("the banks are asked", || asked() > 0).await;
    until("and asked again", || stage.asked("accounts").len() > 1).await;
    stage.set_faults(&["403:accounts"]);
    until("the accounts are known", || knows(&found, id)).await;
    stage.stop.cancel();

    let stage = Stage::new().await;
    let asked = || stage.asked("bank_accounts").len();
    stage.set_faults(&["missing_key:accounts", "missing_key:bank_accounts"]);
    accounts(&stage);
    until("the list is asked for again", || stage.asked("accounts").len() > 2).await;
    let once = asked();
    more(&stage, "accounts").await;
    assert_eq!(asked(), once, "they are left alone");
    stage.stop.cancel();
}
