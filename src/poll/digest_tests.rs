use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::{Value, json};

use super::*;
use crate::{
    config::model::{Privacy, Treatment},
    domain::{
        ids::ConnectionId,
        schemas,
        time::{Day, Timestamp},
    },
    state::{position::Checkpoint, seen::SeenRow},
};

/// 2022-03-10, a Thursday like any other.
const FETCHED: Timestamp = Timestamp(1_646_900_000_000);

fn target() -> Target {
    let ids: HashMap<_, _> = schemas::ALL.iter().map(|schema| (schema.name, 1)).collect();
    Target {
        key: EntityKey {
            connection: ConnectionId::try_new("acme").unwrap(),
            stream: Stream::BankTransactions,
            entity: "73".into(),
        },
        encoder: Arc::new(Encoder::new(&ids, |suffix| format!("vomsis.{suffix}")).unwrap()),
        privacy: Arc::new(PrivacyRules::new(&Privacy::default(), None).unwrap()),
        date_type: DateType::SystemDate,
        carry_extras: false,
        max_bad_ratio: 0.2,
        ce_source: "/vomsis/acme/bank_transactions".into(),
        some_accounts: false,
        others: Others::default(),
        lookback_days: Some(14),
    }
}

fn row(id: i64, changes: &Value) -> String {
    let mut row = json!({
        "id": id, "bank_account_id": 73, "system_date": "2022-03-10 13:50:45",
        "amount": "-209000.00", "fec_name": "TL", "type": "borclu", "note": null,
    });
    for (key, value) in changes.as_object().unwrap() {
        row[key] = value.clone();
    }
    row.to_string()
}

fn answer<'a>(rows: &'a [String], reason: Reason, window: Option<Window>) -> Answer<'a> {
    Answer {
        rows: rows.iter().map(String::as_str).collect(),
        reason,
        window,
        parts: &[],
        fetched_at: FETCHED,
        replaced_text: false,
        gateway_object_id: None,
        entity_currency: None,
    }
}

/// Digests and remembers, as a committed read would.
fn take(state: &mut EntityState, rows: &[String], reason: Reason) -> Digest {
    let mut digest = digest(&target(), state, &answer(rows, reason, None)).unwrap();
    state.seen.apply(std::mem::take(&mut digest.staging));
    digest
}

fn kinds(digest: &Digest) -> Vec<String> {
    let events = digest.parts.iter().flat_map(|part| &part.events);
    events.map(|event| event.headers.as_ref().unwrap().kind.to_string()).collect()
}

/// How often a warning stands in the events.
fn warned(digest: &Digest, warning: &str) -> usize {
    let values = digest.parts.iter().flat_map(|part| &part.events).filter_map(|e| e.value.as_ref());
    let words = values.flat_map(|value| value.windows(warning.len()));
    words.filter(|word| *word == warning.as_bytes()).count()
}

#[test]
fn a_row_is_created_once_and_updated_once_a_change_its_undoing_included() {
    let mut state = EntityState::default();
    let (plain, noted) = ([row(1, &json!({}))], [row(1, &json!({"note": "kira"}))]);
    let created = "io.vomsis.v1.BankTransaction.created";
    let updated = "io.vomsis.v1.BankTransaction.updated";
    let mut ids = HashSet::new();
    for (rows, expected) in [
        (&plain, vec![created]),
        (&plain, vec![]),
        (&noted, vec![updated]),
        (&noted, vec![]),
        (&plain, vec![updated]),
    ] {
        let digest = take(&mut state, rows, Reason::LookBack);
        assert_eq!(kinds(&digest), expected);
        let events = digest.parts.iter().flat_map(|part| &part.events);
        ids.extend(events.map(|event| event.headers.as_ref().unwrap().id));
    }
    assert_eq!(ids.len(), 3, "an edit and its undoing are three events with three ids");
}

#[test]
fn an_unchanged_answer_opens_no_transaction() {
    let mut state = EntityState::default();
    let rows = [row(1, &json!({}))];
    take(&mut state, &rows, Reason::Live);
    assert!(take(&mut state, &rows, Reason::Live).parts.is_empty());
}

#[test]
fn rows_outside_the_window_fail_it() {
    let day = Day::from_date(chrono::NaiveDate::from_ymd_opt(2022, 4, 1).unwrap());
    let window = Some(Window { from: day, to: day.plus(6) });
    let rows = [row(1, &json!({}))];
    let refused =
        digest(&target(), &EntityState::default(), &answer(&rows, Reason::Backfill, window));
    assert!(matches!(refused, Err(Refusal::OutsideWindow { outside: 1, .. })), "{refused:?}");
}

#[test]
fn one_bad_row_is_quarantined_once_and_created_when_it_is_mended() {
    let mut state = EntityState::default();
    let bad = [row(1, &json!({"amount": "1.234,56"})), row(2, &json!({}))];
    let digest = take(&mut state, &bad, Reason::LookBack);
    assert_eq!(digest.quarantined.len(), 1);
    assert_eq!(kinds(&digest).len(), 2);
    assert!(take(&mut state, &bad, Reason::LookBack).parts.is_empty());
    let mended = take(&mut state, &[row(1, &json!({}))], Reason::LookBack);
    assert_eq!(kinds(&mended), ["io.vomsis.v1.BankTransaction.created"]);
}

#[test]
fn a_bad_row_is_the_same_one_whichever_feed_shows_it_and_whatever_its_account_has_since() {
    let mut state = EntityState::default();
    let bad = json!({"amount": "1.234,56"});
    take(&mut state, &[row(1, &bad)], Reason::LookBack);
    for balance in ["10.00", "15.00"] {
        let mut nested = bad.clone();
        nested["account"] = json!({"id": 73, "balance": balance});
        let again = take(&mut state, &[row(1, &nested)], Reason::LookBack);
        assert!(again.parts.is_empty(), "quarantined again: {:?}", again.quarantined);
    }
    let other = json!({"amount": "1.234,57", "account": {"id": 73}});
    assert_eq!(take(&mut state, &[row(1, &other)], Reason::LookBack).quarantined.len(), 1);
}

#[test]
fn old_rows_that_memory_no_longer_reaches_are_never_new_again() {
    let mut checkpoint = Checkpoint::initial(Day(0), FETCHED);
    checkpoint.cursor = Some(10);
    checkpoint.seen_from = Day(i32::MAX - 1);
    let mut state = EntityState { checkpoint: Some(checkpoint), ..EntityState::default() };
    assert!(take(&mut state, &[row(10, &json!({}))], Reason::Live).parts.is_empty());
    assert_eq!(kinds(&take(&mut state, &[row(11, &json!({}))], Reason::Live)).len(), 1);
}

#[test]
fn a_new_row_at_or_below_the_cursor_says_that_it_came_late_unless_it_is_history() {
    let mut checkpoint = Checkpoint::initial(Day(0), FETCHED);
    checkpoint.cursor = Some(10);
    let state = EntityState { checkpoint: Some(checkpoint), ..EntityState::default() };
    for (reason, id, late) in [
        (Reason::Live, 9, 1),
        (Reason::LookBack, 10, 1),
        (Reason::Live, 11, 0),
        (Reason::LookBack, 11, 0),
        (Reason::Backfill, 9, 0),
        (Reason::List, 9, 0),
    ] {
        let mut state = state.clone();
        let digest = take(&mut state, &[row(id, &json!({}))], reason);
        assert_eq!((digest.counts.new, warned(&digest, "LATE")), (1, late), "{reason:?}, {id}");
        let changed = take(&mut state, &[row(id, &json!({"note": "kira"}))], reason);
        assert_eq!((changed.counts.changed, warned(&changed, "LATE")), (1, 0), "{reason:?}, {id}");
    }
}

#[test]
fn a_large_answer_is_parted_and_each_part_holds_its_own_chunks() {
    let rows: Vec<String> = (0..6_000).map(|id| row(id, &json!({}))).collect();
    let digest = take(&mut EntityState::default(), &rows, Reason::Backfill);
    assert_eq!(
        digest.parts.iter().map(|part| part.events.len()).collect::<Vec<_>>(),
        [5_000, 1_000]
    );
    assert!(digest.parts.iter().all(|part| !part.state.is_empty()));
}

#[test]
fn the_newest_first_is_turned_round_and_any_other_order_kept() {
    let texts = [r#"{"id":9}"#, r#"{"id":7}"#, r#"{"id":5}"#];
    let mut rows = texts.to_vec();
    put_in_order(&mut rows);
    assert_eq!(rows, [texts[2], texts[1], texts[0]]);
    put_in_order(&mut rows);
    assert_eq!(rows, [texts[2], texts[1], texts[0]]);
}

#[test]
fn a_card_in_a_field_that_nobody_documented_leaves_masked() {
    // Put together here: no whole card number stands in the sources.
    let pan = format!("{}{}", "41111111", "11111111");
    let unknown = json!({"surprise": format!("kart {pan}")});
    for (classes, expected) in [
        (BTreeMap::new(), Some("kart 411111******1111")),
        (BTreeMap::from([('F', Treatment::Drop)]), None),
    ] {
        let rules = Privacy { classes, ..Privacy::default() };
        let mut target = target();
        target.carry_extras = true;
        target.privacy = Arc::new(PrivacyRules::new(&rules, None).unwrap());
        let rows = [row(1, &unknown)];
        let digest =
            digest(&target, &EntityState::default(), &answer(&rows, Reason::Live, None)).unwrap();
        let event = &digest.parts[0].events[0];
        let bytes = event.value.as_ref().unwrap();
        let text = String::from_utf8_lossy(bytes);
        assert!(!text.contains(&pan), "{text}");
        assert_eq!(text.contains("surprise"), expected.is_some(), "{text}");
        assert!(expected.is_none_or(|expected| text.contains(expected)), "{text}");
    }
}

#[test]
fn an_id_that_stands_in_an_answer_with_two_contents_is_one_row_and_the_last_one_counts() {
    let mut state = EntityState::default();
    let rows = [row(1, &json!({"note": "a"})), row(2, &json!({})), row(1, &json!({"note": "b"}))];
    let digest = take(&mut state, &rows, Reason::LookBack);
    assert_eq!(kinds(&digest).len(), 2, "each id once");
    assert_eq!((digest.counts.new, digest.counts.contradictions), (2, 1));
    let again = take(&mut state, &rows, Reason::LookBack);
    assert!(again.parts.is_empty(), "changed again: {:?}", again.counts);
    let last = [row(1, &json!({"note": "b"}))];
    assert!(take(&mut state, &last, Reason::LookBack).parts.is_empty(), "the last one was taken");
    // The same row twice is no contradiction, and two rows without an id are not one.
    let same = [row(3, &json!({})), row(3, &json!({}))];
    let digest = take(&mut state, &same, Reason::LookBack);
    assert_eq!((kinds(&digest).len(), digest.counts.contradictions), (1, 0));
    let nameless = [r#"{"id":null,"n":1}"#.to_owned(), r#"{"id":null,"n":2}"#.to_owned()];
    assert_eq!(take(&mut state, &nameless, Reason::LookBack).quarantined.len(), 2);
}

#[test]
fn ids_written_as_texts_are_put_in_order_too() {
    let texts = [r#"{"id":"10"}"#, r#"{"id":"9"}"#];
    let mut rows = texts.to_vec();
    put_in_order(&mut rows);
    assert_eq!(rows, [texts[1], texts[0]]);
}

#[test]
fn a_look_back_for_all_shows_nothing_new_of_days_before_an_accounts_beginning() {
    let mut checkpoint = Checkpoint::initial(Day(i32::MAX - 1), FETCHED);
    checkpoint.backfill_next = None;
    assert_eq!(checkpoint.cursor, None, "it has no rows yet");
    let mut state = EntityState { checkpoint: Some(checkpoint), ..EntityState::default() };
    let rows = [row(11, &json!({}))];
    assert!(take(&mut state, &rows, Reason::LookBack).parts.is_empty());
    state.checkpoint.as_mut().unwrap().cursor = Some(10);
    assert_eq!(kinds(&take(&mut state, &rows, Reason::LookBack)).len(), 1, "above the cursor");
}

#[test]
fn a_customer_inside_a_payment_is_partial_and_one_that_cannot_be_read_is_no_payment() {
    let mut target = target();
    target.key.stream = Stream::Customers;
    target.key.entity = EntityKey::WHOLE.into();
    let mention = |customer: Value| format!("{MENTION_START}{customer}}}");
    let rows = [
        mention(json!({"id": 5, "unvan": "Örnek", "bayi_id": null})),
        mention(json!({"id": 6, "unvan": "Örnek", "bayi_id": "x"})),
    ];
    let digest =
        digest(&target, &EntityState::default(), &answer(&rows, Reason::List, None)).unwrap();
    let events = digest.parts.iter().flat_map(|part| &part.events);
    let shown: Vec<_> = events.map(|event| (&*event.topic, &*event.key)).collect();
    assert_eq!(shown, [("vomsis.reference.customers", "acme/5"), ("vomsis.quarantine", "acme/6")]);
    assert_eq!(digest.quarantined, [RejectionReason::InvalidType]);
    let context = plain_context(&target);
    let mapped = map_any(Stream::Customers, &rows[0], &context).unwrap();
    let crate::domain::content::Content::Customer(customer) = &mapped.record else { panic!() };
    assert_eq!((customer.customer_id, customer.partial), (5, true));
}

#[test]
fn a_row_that_comes_back_repeats_no_key_and_another_id_with_its_key_does() {
    let mut state = EntityState::default();
    let keyed = |id| [row(id, &json!({"key": "0123456789abcdef0123456789abcdef"}))];
    let repeats = |digest: &Digest| warned(digest, "REPEATED_SOURCE_KEY");
    assert_eq!(repeats(&take(&mut state, &keyed(1), Reason::Live)), 0);
    let mut staging = Staging::default();
    let (seen, day) = staging.get(&state.seen, &SourceId::Number(1)).unwrap();
    let gone = SeenRow { deleted: true, version: seen.version + 1, ..seen };
    staging.put(&state.seen, day, gone);
    state.seen.apply(staging);
    let back = take(&mut state, &keyed(1), Reason::LookBack);
    assert_eq!((back.counts.new, repeats(&back)), (1, 0));
    assert_eq!(repeats(&take(&mut state, &keyed(2), Reason::LookBack)), 1);
}

#[test]
fn a_published_row_that_was_unreadable_for_a_while_is_no_change_when_it_is_as_before() {
    let mut state = EntityState::default();
    let (plain, other) = ([row(1, &json!({}))], [row(1, &json!({"note": "kira"}))]);
    let bad = [row(1, &json!({"amount": "1.234,56"}))];
    let created = "io.vomsis.v1.BankTransaction.created";
    let updated = "io.vomsis.v1.BankTransaction.updated";
    let quarantined = "io.vomsis.v1.QuarantinedRow.created";
    for (step, (rows, expected)) in [
        (&plain, vec![created]),
        (&bad, vec![quarantined]),
        (&bad, vec![]),
        (&plain, vec![]),
        (&plain, vec![]),
        (&bad, vec![]),
        (&other, vec![updated]),
        (&bad, vec![quarantined]),
        (&plain, vec![updated]),
    ]
    .into_iter()
    .enumerate()
    {
        let digest = take(&mut state, rows, Reason::LookBack);
        assert_eq!(kinds(&digest), expected, "step {step}");
    }
    let (seen, _) = state.seen.get(&SourceId::Number(1)).unwrap();
    assert_eq!(seen.version, 3, "what is quarantined does not count");
}

#[test]
fn a_row_that_comes_back_unreadable_after_its_deletion_is_created_when_it_is_mended() {
    let mut state = EntityState::default();
    take(&mut state, &[row(1, &json!({}))], Reason::LookBack);
    let mut staging = Staging::default();
    let (seen, day) = state.seen.get(&SourceId::Number(1)).unwrap();
    staging.put(&state.seen, day, SeenRow { deleted: true, version: 2, ..seen });
    state.seen.apply(staging);
    let bad = [row(1, &json!({"amount": "1.234,56"}))];
    assert_eq!(take(&mut state, &bad, Reason::LookBack).quarantined.len(), 1);
    let back = take(&mut state, &[row(1, &json!({}))], Reason::LookBack);
    assert_eq!(kinds(&back), ["io.vomsis.v1.BankTransaction.created"]);
}

/// Chunks of version 1 kept no hash of what was published before.
#[test]
fn a_row_that_an_older_program_quarantined_is_updated_when_it_is_mended() {
    let mut state = EntityState::default();
    take(&mut state, &[row(1, &json!({}))], Reason::LookBack);
    let mut staging = Staging::default();
    let (seen, day) = state.seen.get(&SourceId::Number(1)).unwrap();
    let quarantined = SeenRow { published: None, quarantined: Some(7), ..seen };
    staging.put(&state.seen, day, quarantined);
    state.seen.apply(staging);
    let mended = take(&mut state, &[row(1, &json!({}))], Reason::LookBack);
    assert_eq!(kinds(&mended), ["io.vomsis.v1.BankTransaction.updated"]);
    assert!(take(&mut state, &[row(1, &json!({}))], Reason::LookBack).parts.is_empty());
}

#[test]
fn contents_that_stand_in_an_answer_in_changing_order_change_nothing() {
    let [a, b, c] = ["a", "b", "c"].map(|note| row(1, &json!({"note": note})));
    let [bad, worse] = ["NaN", "1,5"].map(|amount| row(1, &json!({"amount": amount})));
    let mut state = EntityState::default();
    let mut kinds_of = |rows: &[&String]| {
        let rows: Vec<String> = rows.iter().map(|row| (*row).clone()).collect();
        let digest = take(&mut state, &rows, Reason::LookBack);
        (kinds(&digest).len(), digest.counts.changed, digest.counts.contradictions)
    };
    assert_eq!(kinds_of(&[&a, &b]), (1, 0, 1), "nothing was published: the last counts");
    for order in [[&a, &b], [&b, &a], [&b, &a], [&a, &b], [&bad, &b], [&b, &bad]] {
        assert_eq!(kinds_of(&order), (0, 0, 1), "{order:?}");
    }
    assert_eq!(kinds_of(&[&b, &c, &a]), (0, 0, 1), "among three");
    assert_eq!(kinds_of(&[&c, &a]), (1, 1, 1), "the published one is gone: the last counts");
    // None can be mapped: the one that is in quarantine stays there.
    assert_eq!(kinds_of(&[&bad, &worse]), (1, 0, 1));
    assert_eq!(kinds_of(&[&worse, &bad]), (0, 0, 1));
    assert_eq!(kinds_of(&[&worse, &bad, &c]), (1, 1, 1), "one that can be mapped comes first");
}

#[test]
fn a_customer_as_the_list_has_it_is_not_overwritten_by_what_a_payment_mentions() {
    let mut target = target();
    target.key.stream = Stream::Customers;
    target.key.entity = EntityKey::WHOLE.into();
    let mut state = EntityState::default();
    let mut read = |row: &Value, mentioned: bool| {
        let text = if mentioned { format!("{MENTION_START}{row}}}") } else { row.to_string() };
        let rows = [text];
        let mut digest = digest(&target, &state, &answer(&rows, Reason::List, None)).unwrap();
        state.seen.apply(std::mem::take(&mut digest.staging));
        let kinds = kinds(&digest);
        let op = kinds.first().map_or("", |kind| kind.rsplit('.').next().unwrap()).to_owned();
        (op, digest.present == [SourceId::Number(5)])
    };
    let said = |op: &str, is_shown: bool| (op.to_owned(), is_shown);
    let (less, more) =
        (json!({"id": 5, "unvan": "Örnek"}), json!({"id": 5, "unvan": "Örnek", "gsm": "5"}));
    // A mention is all there is: it is published, and follows the payments.
    assert_eq!(read(&less, true), said("created", true));
    assert_eq!(read(&less, true), said("", true));
    assert_eq!(read(&json!({"id": 5, "unvan": "Yeni"}), true), said("updated", true));
    // The list knows more; then it leaves the customer out for once, which is no tombstone yet.
    assert_eq!(read(&more, false), said("updated", true));
    assert_eq!(read(&less, true), said("", false));
    assert_eq!(read(&more, false), said("", true));
    // A customer who is gone from the list is a mention again.
    let mut staging = Staging::default();
    let (seen, day) = state.seen.get(&SourceId::Number(5)).unwrap();
    assert!(!seen.partial);
    staging.put(&state.seen, day, SeenRow { deleted: true, ..seen });
    state.seen.apply(staging);
    let rows = [format!("{MENTION_START}{less}}}")];
    let digest = digest(&target, &state, &answer(&rows, Reason::List, None)).unwrap();
    assert_eq!(kinds(&digest), ["io.vomsis.v1.Customer.created"]);
}

/// What the first release published of a mention, it did not mark.
#[test]
fn a_mention_that_an_older_program_published_still_follows_the_payments() {
    let mut target = target();
    target.key.stream = Stream::Customers;
    let mut state = EntityState::default();
    let mut changes = |name: &str, forget: bool| {
        let rows = [format!(r#"{MENTION_START}{{"id":5,"unvan":"{name}"}}}}"#)];
        let mut digest = digest(&target, &state, &answer(&rows, Reason::List, None)).unwrap();
        state.seen.apply(std::mem::take(&mut digest.staging));
        if forget {
            let mut staging = Staging::default();
            let (seen, day) = state.seen.get(&SourceId::Number(5)).unwrap();
            staging.put(&state.seen, day, SeenRow { partial: false, ..seen });
            state.seen.apply(staging);
        }
        kinds(&digest).len()
    };
    assert_eq!(changes("a", true), 1);
    assert_eq!(changes("a", false), 0, "the same again: now it is known to be a mention");
    assert_eq!(changes("b", false), 1);
}

#[test]
fn a_mention_follows_the_payments_over_one_that_cannot_be_read() {
    let mut target = target();
    target.key.stream = Stream::Customers;
    let mut state = EntityState::default();
    let mut read = |customer: Value| {
        let rows = [format!("{MENTION_START}{customer}}}")];
        let mut digest = digest(&target, &state, &answer(&rows, Reason::List, None)).unwrap();
        state.seen.apply(std::mem::take(&mut digest.staging));
        kinds(&digest)
    };
    let bad = json!({"id": 5, "unvan": "b", "bayi_id": "x"});
    assert_eq!(read(json!({"id": 5, "unvan": "a"})), ["io.vomsis.v1.Customer.created"]);
    assert_eq!(read(json!({"id": 5, "unvan": "b"})), ["io.vomsis.v1.Customer.updated"]);
    assert_eq!(read(bad), ["io.vomsis.v1.QuarantinedRow.created"]);
    assert_eq!(read(json!({"id": 5, "unvan": "c"})), ["io.vomsis.v1.Customer.updated"]);
}

#[test]
fn what_memory_no_longer_reaches_is_news_above_the_cursor_alone() {
    const SEEN_FROM: Day = Day(19_050);
    let mut checkpoint = Checkpoint::initial(Day(0), Timestamp(0));
    (checkpoint.cursor, checkpoint.seen_from) = (Some(8), SEEN_FROM);
    let date = |day: i32| SEEN_FROM.plus(day).to_date().to_string() + " 10:00:00";
    let state = EntityState { checkpoint: Some(checkpoint), ..EntityState::default() };
    for (id, day, news) in [(i64::MAX, -1, 1), (i64::MAX, 1, 1), (9, -1, 1), (7, -1, 0)] {
        let rows = [row(id, &json!({"system_date": date(day)}))];
        for reason in [Reason::Live, Reason::LookBack] {
            let digest = digest(&target(), &state, &answer(&rows, reason, None)).unwrap();
            assert_eq!(digest.counts.new, news, "{id} of day {day}, {reason:?}");
        }
    }
}

#[path = "digest_foreign_tests.rs"]
mod foreign;
#[path = "digest_model_tests.rs"]
mod model;
#[path = "digest_news_tests.rs"]
mod news;
#[path = "digest_ratio_tests.rs"]
mod ratio;
