//! What a read may change, and when.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::*;
use crate::{
    api::Rows,
    domain::{
        ids::SourceId,
        time::{Day, Timestamp},
    },
    poll::{
        absence::Span,
        digest::{Reason, Refusal},
        entity::{Advance, Failure, Reading},
        plan::Window,
    },
    state::{codec, codec::StateKey, position::Checkpoint},
    telemetry::clock::now,
};

fn today() -> Day {
    now().local_day()
}

/// A row of today with these changes.
fn row(id: i64, changes: &Value) -> String {
    let date = today().to_date();
    let mut row = json!({
        "id": id, "bank_account_id": 73, "system_date": format!("{date} 10:00:00"),
        "amount": "5.00", "fec_name": "TL", "type": "alacakli", "note": null,
    });
    for (key, value) in changes.as_object().unwrap() {
        row[key] = value.clone();
    }
    row.to_string()
}

fn rows(texts: &[String]) -> [Rows; 1] {
    [Rows::from_texts(texts, now())]
}

fn reading(answers: &[Rows], advance: Advance) -> Reading<'_> {
    let reason = match advance {
        Advance::Cursor => Reason::Live,
        Advance::Backfill(_) => Reason::Backfill,
        Advance::Nothing | Advance::Unproven => Reason::LookBack,
    };
    let start = today().plus(-5);
    Reading { answers, reason, window: None, advance, first_kept: None, start }
}

/// The shard's account 73, whose history is read and which has row 7.
async fn known(stage: &Stage) -> Arc<Entity> {
    let entity = stage.entity(Stream::BankTransactions, "73", EntityState::default());
    let answers = rows(&[row(7, &json!({}))]);
    entity.take_in(&reading(&answers, Advance::Backfill(None))).await.unwrap();
    entity
}

#[tokio::test]
async fn an_unchanged_poll_writes_nothing_and_a_changed_one_writes_its_checkpoint_last() {
    let stage = Stage::new().await;
    let entity = known(&stage).await;
    assert_eq!(stage.commits(), 1);
    for advance in [Advance::Cursor, Advance::Nothing, Advance::Cursor] {
        let answers = rows(&[row(7, &json!({}))]);
        let digest = entity.take_in(&reading(&answers, advance)).await.unwrap();
        assert_eq!((digest.counts.unchanged, stage.commits()), (1, 1), "{advance:?}");
    }
    let answers = rows(&[row(9, &json!({}))]);
    entity.take_in(&reading(&answers, Advance::Cursor)).await.unwrap();
    let committed = stage.committed.lock().unwrap();
    let last = committed[1].state.last().unwrap();
    assert_eq!(StateKey::parse(&last.key), Ok(StateKey::Checkpoint(entity.target.key.clone())));
    let codec::StateValue::Checkpoint(written) =
        codec::decode(last.value.as_ref().unwrap()).unwrap()
    else {
        panic!("{last:?}")
    };
    assert_eq!((committed.len(), written.cursor), (2, Some(9)));
}

#[tokio::test]
async fn an_answer_that_is_not_believed_moves_nothing() {
    let stage = Stage::new().await;
    let entity = known(&stage).await;
    let before = entity.checkpoint(today()).await;
    let old = Window { from: today().plus(-100), to: today().plus(-94) };
    let outside = rows(&[row(50, &json!({}))]);
    let read = Reading { window: Some(old), ..reading(&outside, Advance::Cursor) };
    let refused = entity.take_in(&read).await.unwrap_err();
    assert!(matches!(refused, Failure::Refused(Refusal::OutsideWindow { .. })), "{refused}");
    let bad: Vec<String> = (60..80).map(|id| row(id, &json!({"amount": "NaN"}))).collect();
    let bad = rows(&bad);
    let refused = entity.take_in(&reading(&bad, Advance::Cursor)).await.unwrap_err();
    assert!(matches!(refused, Failure::Refused(Refusal::TooManyBad { .. })), "{refused}");
    assert_eq!((entity.checkpoint(today()).await, stage.commits()), (before, 1));
}

#[tokio::test]
async fn an_answer_that_does_not_arrive_is_a_good_answer_and_no_commit() {
    let stage = Stage::new().await;
    let entity = known(&stage).await;
    let standing = || stage.parts.shared.board.snapshot()[&entity.target.key].clone();
    assert_eq!(standing().committed_at, None, "its poller says so, after the commit");
    stage.confirms.store(false, Ordering::Relaxed);
    let before = now();
    let answers = rows(&[row(8, &json!({}))]);
    entity.take_in(&reading(&answers, Advance::Cursor)).await.unwrap_err();
    assert!(standing().last_success >= Some(before), "{:?}", standing());
    assert_eq!(standing().committed_at, None);
    let noted = standing().last_success;
    let bad: Vec<String> = (60..80).map(|id| row(id, &json!({"amount": "NaN"}))).collect();
    entity.take_in(&reading(&rows(&bad), Advance::Cursor)).await.unwrap_err();
    assert_eq!(standing().last_success, noted, "one that is not believed is not good");
}

#[tokio::test]
async fn a_row_with_an_absurd_id_is_published_and_leaves_the_cursor_where_it_is() {
    let stage = Stage::new().await;
    let entity = known(&stage).await;
    let answers = rows(&[row(i64::MAX, &json!({})), row(8, &json!({}))]);
    for unchanged in [0, 2] {
        let digest = entity.take_in(&reading(&answers, Advance::Cursor)).await.unwrap();
        assert_eq!(digest.counts.unchanged, unchanged);
        assert_eq!(entity.checkpoint(today()).await.cursor, Some(8));
    }
    assert_eq!(stage.created(), 3);
}

#[tokio::test]
async fn ids_in_any_order_leave_the_same_checkpoint() {
    let stage = Stage::new().await;
    for (name, ids) in [("73", [9, 7, 5, 1]), ("74", [1, 5, 7, 9]), ("75", [7, 1, 9, 5])] {
        let entity = stage.entity(Stream::BankTransactions, name, EntityState::default());
        let texts = ids.map(|id| row(id, &json!({"bank_account_id": null})));
        let answers = rows(&texts);
        let digest = entity.take_in(&reading(&answers, Advance::Cursor)).await.unwrap();
        assert_eq!((digest.counts.new, digest.counts.unchanged), (4, 0), "{ids:?}");
        assert_eq!(entity.checkpoint(today()).await.cursor, Some(9), "{ids:?}");
    }
}

#[tokio::test]
async fn a_row_without_a_currency_is_quarantined_until_the_accounts_is_known() {
    let stage = Stage::new().await;
    let entity = known(&stage).await;
    let answers = rows(&[row(8, &json!({"fec_name": null}))]);
    let read = reading(&answers, Advance::Nothing);
    assert_eq!(entity.take_in(&read).await.unwrap().quarantined.len(), 1);
    entity.know_currency(Some(&"EUR".into()));
    let digest = entity.take_in(&read).await.unwrap();
    assert_eq!((digest.counts.new, digest.quarantined.len(), stage.created()), (1, 0, 2));
    entity.know_currency(None);
    assert_eq!(entity.take_in(&read).await.unwrap().counts.unchanged, 1, "it is remembered");
}

#[tokio::test]
async fn what_is_not_confirmed_is_not_remembered() {
    let stage = Stage::new().await;
    let entity = known(&stage).await;
    let before = entity.checkpoint(today()).await;
    stage.confirms.store(false, Ordering::Relaxed);
    let answers = rows(&[row(8, &json!({}))]);
    let lost = entity.take_in(&reading(&answers, Advance::Cursor)).await.unwrap_err();
    assert!(matches!(lost, Failure::Gone(_)), "{lost}");
    assert_eq!(entity.checkpoint(today()).await, before);
}

#[tokio::test]
async fn a_row_found_by_the_look_back_does_not_hide_lower_ids_from_the_live_poll() {
    let stage = Stage::new().await;
    let entity = known(&stage).await;
    let answers = rows(&[row(9, &json!({}))]);
    entity.take_in(&reading(&answers, Advance::Nothing)).await.unwrap();
    assert_eq!(entity.checkpoint(today()).await.cursor, Some(7));
    let answers = rows(&[row(8, &json!({})), row(9, &json!({}))]);
    let digest = entity.take_in(&reading(&answers, Advance::Cursor)).await.unwrap();
    assert_eq!((digest.counts.new, digest.counts.unchanged), (1, 1));
    assert_eq!(entity.checkpoint(today()).await.cursor, Some(9));
}

#[tokio::test]
async fn a_row_is_gone_after_two_complete_reads_without_it_and_not_after_one() {
    let stage = Stage::new().await;
    let entity = known(&stage).await;
    let days = Window { from: today().plus(-1), to: today() };
    let at = |seconds: i64| Span::at(Timestamp(now().0 + seconds * 1000));
    let (none, all) = (HashSet::new(), HashSet::from([SourceId::Number(7)]));
    // missing, there again, missing: that is once in a row
    for (second, (present, gone)) in [(&none, 0), (&all, 0), (&none, 0)].into_iter().enumerate() {
        let second = i64::try_from(second).unwrap();
        assert_eq!(entity.take_absences(present, days, at(second)).await.unwrap(), gone);
    }
    // days that the reads did not cover prove nothing
    let yesterday = Window { from: days.from, to: days.from };
    assert_eq!(entity.take_absences(&none, yesterday, at(4)).await.unwrap(), 0);
    assert_eq!(entity.take_absences(&none, days, at(5)).await.unwrap(), 0);
    assert_eq!(stage.commits(), 1);
    assert_eq!(entity.take_absences(&none, days, at(6)).await.unwrap(), 1);
    assert_eq!(stage.kinds().last().unwrap(), "io.vomsis.v1.RowDeletion.deleted");
    assert_eq!(entity.take_absences(&none, days, at(7)).await.unwrap(), 0, "gone once");
}

#[tokio::test]
async fn what_the_source_does_not_show_of_an_account_that_it_follows_no_longer_is_not_gone() {
    let stage = Stage::new().await;
    let entity = known(&stage).await;
    let days = Window { from: today().plus(-1), to: today() };
    let at = |seconds: i64| Span::at(Timestamp(now().0 + seconds * 1000));
    for (open, seconds, gone) in
        [(false, 1, 0), (false, 2, 0), (false, 3, 0), (true, 4, 0), (true, 5, 1)]
    {
        entity.note_open(open);
        let none = HashSet::new();
        assert_eq!(entity.take_absences(&none, days, at(seconds)).await.unwrap(), gone);
    }
}

#[tokio::test]
async fn a_row_that_was_unreadable_when_it_went_is_told_again_when_it_is_back_so() {
    let stage = Stage::new().await;
    let entity = known(&stage).await;
    let bad = rows(&[row(7, &json!({"amount": "NaN"}))]);
    let read = reading(&bad, Advance::Nothing);
    assert_eq!(entity.take_in(&read).await.unwrap().quarantined.len(), 1);
    let days = Window { from: today().plus(-1), to: today() };
    let at = |seconds: i64| Span::at(Timestamp(now().0 + seconds * 1000));
    for (second, gone) in [(1, 0), (2, 1)] {
        assert_eq!(entity.take_absences(&HashSet::new(), days, at(second)).await.unwrap(), gone);
    }
    for expected in [1, 0] {
        assert_eq!(entity.take_in(&read).await.unwrap().quarantined.len(), expected);
    }
    let mended = rows(&[row(7, &json!({}))]);
    let digest = entity.take_in(&reading(&mended, Advance::Nothing)).await.unwrap();
    assert_eq!((digest.counts.new, digest.counts.changed), (1, 0), "it was gone");
}

#[tokio::test]
async fn a_newest_row_of_another_century_is_noted_as_one_of_now() {
    let stage = Stage::new().await;
    for (written, ahead) in [(Timestamp(7_000_000_000_000), true), (Timestamp(5), false)] {
        let mut checkpoint = Checkpoint::initial(today(), now());
        checkpoint.newest_at = Some(written);
        let state = EntityState { checkpoint: Some(checkpoint), ..EntityState::default() };
        let before = now();
        let entity = stage.entity(Stream::BankTransactions, &format!("{ahead}"), state);
        let shown = stage.parts.shared.board.snapshot()[&entity.target.key].newest_at.unwrap();
        let expected = if ahead { before..=now() } else { written..=written };
        assert!(expected.contains(&shown), "{shown:?}");
        assert_eq!(entity.checkpoint(today()).await.newest_at, Some(shown));
    }
}

#[tokio::test]
async fn an_account_whose_end_was_noted_has_none_while_it_is_open() {
    let stage = Stage::new().await;
    for (id, closed) in [("73", false), ("74", true)] {
        let known = Checkpoint { backfill_next: None, ..Checkpoint::initial(today(), now()) };
        let checkpoint = Some(Checkpoint { ended: true, ..known });
        let state = EntityState { checkpoint, ..EntityState::default() };
        let entity = stage.entity(Stream::BankTransactions, id, state);
        entity.note_open(!closed);
        let answers = rows(&[row(7, &json!({"bank_account_id": id.parse::<i64>().unwrap()}))]);
        entity.take_in(&reading(&answers, Advance::Cursor)).await.unwrap();
        assert_eq!(entity.checkpoint(today()).await.ended, closed, "account {id}");
    }
}

#[tokio::test]
async fn an_institution_of_which_some_accounts_are_asked_misses_only_what_it_was_shown() {
    let stage = Stage::new().await;
    let tos = "{base_url: 'https://h', token_url: 'https://h/t', client_id_file: /i, \
               client_secret_file: /s, consent_id: x, \
               institutions: [{code: '1', sender_accounts: ['5']}, {code: '2'}]}";
    let text = format!("connections: [{{id: acme, tos: {tos}}}]\n");
    let loaded = crate::config::parse("c", &text, std::iter::empty()).unwrap();
    let Parts { encoder, privacy, shared, .. } = &stage.parts;
    for (code, gone) in [("1", 0), ("2", 1)] {
        let config = &loaded.config.connections[0];
        let (connection, stream) = (config.id.clone(), Stream::TosPayments);
        let key = EntityKey { connection, stream, entity: code.into() };
        let target = Target::new(config, key, Arc::clone(encoder), Arc::clone(privacy), 0.2);
        let entity = Entity::new(target, Deletions::Emit, EntityState::default(), shared.clone());
        let payment = json!({"TransactionObjectId": 7, "Amount": 200, "CurrencyType": "TL",
                             "PaymentDate": format!("{}T00:00:00", today().to_date())});
        let answers = rows(&[payment.to_string()]);
        entity.take_in(&reading(&answers, Advance::Backfill(None))).await.unwrap();
        let days = Window { from: today().plus(-1), to: today() };
        let at = |seconds: i64| Span::at(Timestamp(now().0 + seconds * 1000));
        let none = HashSet::new();
        assert_eq!(entity.take_absences(&none, days, at(1)).await.unwrap(), 0);
        assert_eq!(entity.take_absences(&none, days, at(2)).await.unwrap(), gone, "{code}");
    }
}

#[tokio::test]
async fn a_clock_that_is_days_ahead_forgets_nothing_until_newer_rows_come() {
    let stage = Stage::new().await;
    let entity = stage.entity(Stream::BankTransactions, "73", EntityState::default());
    let dated = |id: i64, days: i32| {
        let date = today().plus(-days).to_date();
        row(id, &json!({"system_date": format!("{date} 00:00:01")}))
    };
    let old = rows(&[dated(7, 30)]);
    let start = today().plus(-40);
    let read = Reading { start, ..reading(&old, Advance::Backfill(None)) };
    entity.take_in(&read).await.unwrap();
    let seen_from = entity.checkpoint(today()).await.seen_from;
    // Of the clock's own look-back, which lies in the future and shows nothing.
    let ahead = Some(today().plus(5));
    for _ in 0..2 {
        let empty = rows(&[]);
        let read = Reading { first_kept: ahead, ..reading(&empty, Advance::Nothing) };
        entity.take_in(&read).await.unwrap();
        assert_eq!(entity.checkpoint(today()).await.seen_from, seen_from);
        let again = entity.take_in(&reading(&old, Advance::Nothing)).await.unwrap();
        assert_eq!(again.counts.unchanged, 1);
    }
    let newer = rows(&[dated(8, 0)]);
    let read = Reading { first_kept: ahead, ..reading(&newer, Advance::Nothing) };
    entity.take_in(&read).await.unwrap();
    let kept = today().plus(-15);
    assert_eq!(entity.checkpoint(today()).await.seen_from, kept, "of the newest row");
}

#[tokio::test]
async fn bad_rows_let_time_pass_as_good_ones_do() {
    let stage = Stage::new().await;
    let entity = stage.entity(Stream::BankTransactions, "73", EntityState::default());
    let dated = |id: i64, days: i32, amount: &str| {
        let date = today().plus(-days).to_date();
        row(id, &json!({"system_date": format!("{date} 00:00:01"), "amount": amount}))
    };
    let start = today().plus(-40);
    for (id, days, amount) in [(7, 30, "5.00"), (8, 1, "1.234,56")] {
        let answer = rows(&[dated(id, days, amount)]);
        let read = Reading { start, ..reading(&answer, Advance::Nothing) };
        entity.take_in(&read).await.unwrap();
    }
    let empty = rows(&[]);
    let read = Reading { first_kept: Some(today().plus(-15)), ..reading(&empty, Advance::Nothing) };
    entity.take_in(&read).await.unwrap();
    assert_eq!(entity.checkpoint(today()).await.seen_from, today().plus(-16), "of the bad row");
}

#[tokio::test]
async fn a_list_that_was_emptied_is_deleted_in_transactions_of_the_usual_size() {
    let stage = Stage::new().await;
    let entity = stage.entity(Stream::BankTransactions, "73", EntityState::default());
    let count = group::ROWS_MAX + 1;
    let texts: Vec<String> =
        (1..=count).map(|id| row(id.try_into().unwrap(), &json!({}))).collect();
    let answers = rows(&texts);
    entity.take_in(&reading(&answers, Advance::Backfill(None))).await.unwrap();
    let days = Window { from: today().plus(-1), to: today() };
    let before = stage.commits();
    let at = |seconds: i64| Span::at(Timestamp(now().0 + seconds * 1000));
    assert_eq!(entity.take_absences(&HashSet::new(), days, at(1)).await.unwrap(), 0);
    let gone = entity.take_absences(&HashSet::new(), days, at(2)).await.unwrap();
    assert_eq!(gone, count as u64);
    let committed = stage.committed.lock().unwrap();
    let sizes: Vec<_> = committed[before..].iter().map(|batch| batch.events.len()).collect();
    assert_eq!(sizes, [group::ROWS_MAX, 1]);
}

#[tokio::test]
async fn the_next_poll_of_a_failing_entity_lies_ahead_or_is_nobodys_to_say() {
    let stage = Stage::new().await;
    let entity = known(&stage).await;
    let next = || stage.parts.shared.board.snapshot()[&entity.target.key].next_poll;
    let refused = || {
        let at = crate::api::At {
            connection: entity.target.key.connection.clone(),
            operation: "account_transactions",
        };
        Failure::Api(crate::api::Error::Timeout { at })
    };
    entity.report_next(Duration::ZERO);
    let before = now();
    entity.report_failure(&refused(), Some(Duration::from_secs(60)));
    let shown = next().unwrap();
    assert!(shown >= before.after(Duration::from_secs(60)), "{shown:?} after {before:?}");
    entity.report_failure(&refused(), None);
    assert_eq!(next(), None, "only a secret or a person brings the next one");
    entity.report_next(Duration::from_secs(5));
    entity.report_failure_by_feed(&refused());
    assert_eq!(next(), None, "its own poller says when");
    entity.report_next(Duration::from_secs(5));
    entity.report_success(&entity.checkpoint(today()).await, today(), 0);
    assert_eq!(next(), None, "whoever waits says until when");
}

#[tokio::test]
async fn a_cursor_that_is_raised_after_the_clock_went_back_leaves_the_covered_time() {
    let stage = Stage::new().await;
    let covered = now().after(Duration::from_secs(3600));
    let checkpoint = Checkpoint::initial(today(), covered);
    let state = EntityState { checkpoint: Some(checkpoint), ..EntityState::default() };
    let entity = stage.entity(Stream::BankTransactions, "73", state);
    assert!(entity.raise_cursor(Some(9), today()).await.unwrap());
    let checkpoint = entity.checkpoint(today()).await;
    assert_eq!((checkpoint.cursor, checkpoint.covered_at), (Some(9), covered));
}

#[tokio::test]
async fn the_checkpoint_of_a_closed_account_says_until_when_it_was_open() {
    let stage = Stage::new().await;
    let mut checkpoint = Checkpoint::initial(today().plus(-9), today().plus(-3).start());
    checkpoint.backfill_next = None;
    let opened = checkpoint.covered_at;
    let state = EntityState { checkpoint: Some(checkpoint), ..EntityState::default() };
    let entity = stage.entity(Stream::BankTransactions, "73", state);
    entity.note_open(false);
    let answers = rows(&[row(7, &json!({}))]);
    entity.take_in(&reading(&answers, Advance::Nothing)).await.unwrap();
    assert_eq!((entity.checkpoint(today()).await.covered_at, stage.created()), (opened, 1));
    let commits = stage.commits();
    entity.take_in(&reading(&answers, Advance::Nothing)).await.unwrap();
    assert_eq!(stage.commits(), commits, "a look that finds nothing writes nothing");
    entity.note_open(true);
    entity.take_in(&reading(&answers, Advance::Nothing)).await.unwrap();
    assert!(entity.checkpoint(today()).await.covered_at > opened);
}

#[tokio::test]
async fn a_pos_row_whose_dates_lie_far_apart_is_not_gone_when_its_days_no_longer_show_it() {
    let stage = Stage::new().await;
    let entity = stage.entity(Stream::PosTransactions, "73", EntityState::default());
    let pos_row = |id: i64, sold: i32, paid: i32| {
        let day = |days| today().plus(days).to_date();
        let (sold, paid) = (day(sold), day(paid).format("%d.%m.%Y"));
        json!({"id": id, "exchange": "TL", "system_date": format!("{sold} 10:00:00"),
               "valor": paid.to_string()})
        .to_string()
    };
    // The second one is paid out weeks after its day, by which the api serves it.
    let answers = rows(&[pos_row(1, -3, -2), pos_row(2, -20, -2), pos_row(3, -3, -2)]);
    let digest = entity.take_in(&reading(&answers, Advance::Backfill(None))).await.unwrap();
    assert_eq!((digest.counts.new, digest.quarantined), (3, Vec::new()));
    let days = Window { from: today().plus(-6), to: today() };
    let shown = HashSet::from([SourceId::Number(1)]);
    let mut gone = Vec::new();
    for at in [100, 200, 300] {
        let read = Span::at(Timestamp(at));
        gone.push(entity.take_absences(&shown, days, read).await.unwrap());
    }
    assert_eq!(gone, [0, 1, 0], "the third one is");
}
