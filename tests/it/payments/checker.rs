//! Commands, the requests that the API counted, the results and the journal, compared with one
//! another: what must be true after whatever happened.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use vomsis_connect::{
    domain::money::Money,
    sandbox::simulator::{Post, Posts},
    sink::journal::{Entry, JournalEvent, Status},
};

use super::{
    orders::Order,
    stage::{POST_TIMEOUT, Stage},
    story::Journal,
};
use crate::harness::{avro::Decoder, registry::shared_registry, topics::Record};

/// What was compared, for a test's own questions.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) posts: Posts,
    pub(super) journal: Journal,
    /// The newest result of each command's own.
    pub(super) newest: BTreeMap<String, Value>,
    /// Amounts that moved under commands that are parked.
    pub(super) parked_moved: Money,
    by_order: BTreeMap<Asked, Vec<Post>>,
}

/// What a request asks for; tests cancel a payment with one command at most, and no two refunds of
/// one payment are alike.
type Asked = (String, String, Option<Money>);

impl Checked {
    #[track_caller]
    pub(super) fn of(stage: &Stage, orders: &[Order]) -> Self {
        let posts = stage.posts();
        let journal = Journal::of(stage);
        let results = results(stage);
        let mut checked = Self {
            posts,
            journal,
            newest: BTreeMap::new(),
            parked_moved: Money::ZERO,
            by_order: BTreeMap::new(),
        };
        for post in checked.posts.iter() {
            checked.by_order.entry(asked_by(post)).or_default().push(post.clone());
        }
        let mut succeeded = 0;
        let mut parked = 0;
        for order in orders {
            let newest = newest_of(order, results.get(&order.id).map_or(&[][..], Vec::as_slice));
            let moved = checked.check(order, &newest);
            match newest["outcome"].as_str().unwrap() {
                "SUCCEEDED" => succeeded += order.amount.map_or(0, Money::unscaled),
                "PARKED" => parked += moved.unscaled(),
                _ => {}
            }
            checked.newest.insert(order.id.clone(), newest);
        }
        checked.parked_moved = Money::from_unscaled(parked);
        let told = Money::from_unscaled(succeeded + parked);
        assert_eq!(
            checked.posts.gave_back(),
            told,
            "the money that moved is the money that is told"
        );
        checked.assert_nothing_unasked(stage, orders);
        checked
    }

    /// One command; the amount that it moved.
    #[track_caller]
    fn check(&self, order: &Order, newest: &Value) -> Money {
        let about = format!("{order:?}: {newest}");
        let posts = self.posts_of(order);
        assert!(posts.len() <= 1, "asked for {} times: {about} {posts:?}", posts.len());
        let entry = self.journal.last(&order.id).unwrap_or_else(|| panic!("no story: {about}"));
        let is_applied = posts.iter().any(|post| post.applied_ms.is_some());
        let person = newest["resolved_by"].is_string();
        match newest["outcome"].as_str().unwrap() {
            "SUCCEEDED" => assert!(is_applied, "nothing moved: {about} {posts:?}"),
            "DECLINED" => {
                assert!(!is_applied, "it moved: {about} {posts:?}");
                assert!(person || posts.len() == 1, "nobody declined it: {about}");
            }
            "REJECTED" | "EXPIRED" => assert_eq!(posts.len(), 0, "it was sent: {about}"),
            "PARKED" => {}
            other => panic!("{other} is no end: {about}"),
        }
        let attempts = usize::try_from(newest["attempts"].as_i64().unwrap()).unwrap();
        assert!(posts.len() <= attempts && attempts <= 1, "attempts {attempts}: {about} {posts:?}");
        assert_eq!(ending(entry), newest["outcome"], "the journal ends as the result: {about}");
        assert_eq!(i64::from(entry.sequence()), newest["sequence"], "{about}");
        for post in posts {
            self.assert_was_allowed(post, entry);
        }
        posts.iter().filter_map(|post| post.gave_back).next().unwrap_or_default()
    }

    /// A request came within the one permission that was given last and not proven unused.
    #[track_caller]
    fn assert_was_allowed(&self, post: &Post, entry: &Entry) {
        let open = open_intents(entry);
        let [JournalEvent::Intended { at, epoch, send_not_after, .. }] = open.as_slice() else {
            panic!("{} permissions for {post:?}: {:?}", open.len(), entry.events());
        };
        let span = i64::try_from(POST_TIMEOUT.as_millis()).unwrap();
        assert!(
            at.0 <= post.came_ms && post.came_ms <= send_not_after.0 + span,
            "{post:?} came outside of {:?}",
            entry.events()
        );
        assert!(self.journal.epochs.contains(epoch), "no owner {epoch}");
    }

    /// No request but for a command, and the payments stand as the requests left them.
    #[track_caller]
    fn assert_nothing_unasked(&self, stage: &Stage, orders: &[Order]) {
        let mut refunded = BTreeMap::<&str, i128>::new();
        let asked: BTreeSet<Asked> = orders.iter().map(asked_for).collect();
        for post in self.posts.iter() {
            assert!(asked.contains(&asked_by(post)), "nobody asked for {post:?}");
            let sum = post.gave_back.map_or(0, Money::unscaled);
            *refunded.entry(&post.reference).or_default() += sum;
        }
        let ledger = stage.simulator().ledger();
        for (reference, sum) in refunded {
            let Some(state) = ledger.payment(reference) else { continue };
            let stands = state.refunded.map_or(0, Money::unscaled);
            assert_eq!(stands, sum, "what payment {reference} says was given back");
        }
    }

    /// The requests of one command.
    pub(super) fn posts_of(&self, order: &Order) -> &[Post] {
        self.by_order.get(&asked_for(order)).map_or(&[], Vec::as_slice)
    }

    /// How many commands ended with this outcome.
    pub(super) fn count(&self, outcome: &str) -> usize {
        self.newest.values().filter(|result| result["outcome"] == outcome).count()
    }

    /// How many payments were inferred instead of answered.
    pub(super) fn inferred(&self) -> usize {
        self.newest.values().filter(|result| result["inferred"] == true).count()
    }
}

fn asked_by(post: &Post) -> Asked {
    let amount = post.amount.as_deref().and_then(|text| Money::parse(text).ok());
    (post.reference.clone(), post.kind.clone(), amount)
}

fn asked_for(order: &Order) -> Asked {
    let amount = order.amount.or(Some(Money::ZERO));
    (order.reference.clone(), order.kind.to_lowercase(), amount)
}

/// Permissions that were not proven unused.
fn open_intents(entry: &Entry) -> Vec<&JournalEvent> {
    let mut open = Vec::new();
    for event in entry.events() {
        match event {
            JournalEvent::Intended { .. } => open.push(event),
            JournalEvent::NotSent { .. } => drop(open.pop()),
            _ => {}
        }
    }
    open
}

/// The outcome that a story's end stands for.
fn ending(entry: &Entry) -> &'static str {
    match entry.status() {
        Status::Done { .. } | Status::Resolved { executed: true } => "SUCCEEDED",
        Status::Declined | Status::Resolved { executed: false } => "DECLINED",
        Status::Rejected => "REJECTED",
        Status::Expired => "EXPIRED",
        Status::Parked => "PARKED",
        Status::InDoubt { .. } => "IN_DOUBT",
        Status::Received | Status::Intended(_) | Status::NotSent { .. } => "open",
    }
}

/// All results, by command, each with its record.
fn results(stage: &Stage) -> BTreeMap<String, Vec<(Record, Value)>> {
    let decoder = Decoder::new(shared_registry().url());
    let mut results = BTreeMap::<String, Vec<(Record, Value)>>::new();
    for record in stage.records("payment.results") {
        let value = decoder.decode(record.value.as_ref().expect("results are no tombstones"));
        let id = value["command_id"].as_str().unwrap().to_owned();
        results.entry(id).or_default().push((record, value));
    }
    results
}

/// The newest of a command's own results, after comparing all of them: numbered without a gap,
/// each number one event however often it stands there, and one end.
#[track_caller]
fn newest_of(order: &Order, results: &[(Record, Value)]) -> Value {
    let mut by_sequence = BTreeMap::<i64, &(Record, Value)>::new();
    for result in results {
        let (record, value) = result;
        assert_eq!(record.key.as_deref(), Some(order.key().as_str()), "{value}");
        assert_eq!(record.headers["ce_id"], value["meta"]["event_id"], "{value}");
        let sequence = value["sequence"].as_i64().unwrap();
        if sequence == 0 {
            assert_eq!((&value["outcome"], &value["final"]), (&"DUPLICATE".into(), &false.into()));
            continue;
        }
        let (first, _) = *by_sequence.entry(sequence).or_insert(result);
        assert_eq!(first.value, record.value, "the same number, the same bytes: {value}");
        assert_eq!(first.headers, record.headers, "the same number, the same headers: {value}");
    }
    let numbers: Vec<_> = by_sequence.keys().copied().collect();
    let count = i64::try_from(numbers.len()).unwrap();
    assert!(count > 0 && numbers == (1..=count).collect::<Vec<_>>(), "{order:?}: {numbers:?}");
    let own: Vec<&Value> = by_sequence.values().map(|(_, value)| value).collect();
    let ends: Vec<_> = own.iter().filter(|value| value["final"] == true).collect();
    let newest = *own.last().unwrap();
    match ends.as_slice() {
        [end] => assert_eq!(**end, newest, "nothing comes after the end"),
        [parked, decided] => {
            assert_eq!(parked["outcome"], "PARKED", "{own:?}");
            assert!(decided["resolved_by"].is_string() && **decided == newest, "{own:?}");
        }
        _ => panic!("{} ends: {own:?}", ends.len()),
    }
    assert_eq!(newest["type"], order.kind);
    newest.clone()
}
