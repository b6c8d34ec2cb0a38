//! What is told of a row beside its content: that it came late, how new it is, that it outgrew a record.

use super::*;
use crate::{mapping::ROW_BYTES_MAX, publish::batch::EventRecord};

/// A state whose cursor stands at 10.
fn read_up_to_ten() -> EntityState {
    let mut checkpoint = Checkpoint::initial(Day(0), FETCHED);
    checkpoint.cursor = Some(10);
    EntityState { checkpoint: Some(checkpoint), ..EntityState::default() }
}

#[test]
fn a_row_that_is_mended_or_back_is_late_as_a_new_one_would_be() {
    for (id, reason, late) in [
        (9, Reason::LookBack, 1),
        (10, Reason::Live, 1),
        (11, Reason::Live, 0),
        (9, Reason::Backfill, 0),
    ] {
        let mut state = read_up_to_ten();
        let bad = take(&mut state, &[row(id, &json!({"amount": "1.234,56"}))], reason);
        assert_eq!((bad.quarantined.len(), warned(&bad, "LATE")), (1, 0));
        let rows = [row(id, &json!({}))];
        let mended = take(&mut state, &rows, reason);
        assert_eq!((mended.counts.new, warned(&mended, "LATE")), (1, late), "{reason:?}, {id}");
        let (seen, day) = state.seen.get(&SourceId::Number(id)).unwrap();
        let mut staging = Staging::default();
        staging.put(&state.seen, day, SeenRow { deleted: true, version: 2, ..seen });
        state.seen.apply(staging);
        let back = take(&mut state, &rows, reason);
        assert_eq!((back.counts.new, warned(&back, "LATE")), (1, late), "{reason:?}, {id}");
    }
}

#[test]
fn a_row_of_two_windows_comes_once_and_once_more_when_its_note_changes() {
    let day = Day::from_date(chrono::NaiveDate::from_ymd_opt(2022, 3, 10).unwrap());
    // They share the row's day.
    let (first, second) =
        (Window { from: day.plus(-6), to: day }, Window { from: day, to: day.plus(6) });
    let (plain, noted) = ([row(1, &json!({}))], [row(1, &json!({"note": "kira"}))]);
    let mut state = EntityState::default();
    for (rows, window, expected) in [
        (&plain, first, &["io.vomsis.v1.BankTransaction.created"][..]),
        (&plain, second, &[]),
        (&noted, second, &["io.vomsis.v1.BankTransaction.updated"]),
        (&noted, first, &[]),
    ] {
        let answer = answer(rows, Reason::LookBack, Some(window));
        let mut digest = digest(&target(), &state, &answer).unwrap();
        state.seen.apply(std::mem::take(&mut digest.staging));
        assert_eq!(kinds(&digest), expected, "{window:?}");
    }
}

#[test]
fn a_row_that_is_dated_ahead_is_as_new_as_its_first_answer() {
    let mut state = EntityState::default();
    let slipped = [row(1, &json!({"system_date": "2202-03-10 13:50:45"}))];
    assert_eq!(take(&mut state, &slipped, Reason::LookBack).newest_at, Some(FETCHED));
    assert_eq!(take(&mut state, &slipped, Reason::LookBack).newest_at, None, "seen before");
    let dated = [row(2, &json!({"system_date": "2022-03-09 10:00:00"}))];
    let yesterday = take(&mut state, &dated, Reason::LookBack).newest_at;
    assert!(yesterday.is_some_and(|at| at < FETCHED), "{yesterday:?}");
    assert_eq!(take(&mut state, &dated, Reason::LookBack).newest_at, yesterday);
}

/// A target that makes a hash of each free text.
fn hashing() -> Target {
    let classes = BTreeMap::from([('F', Treatment::Hmac)]);
    let key = Some(vec![7_u8; 32].into());
    let privacy = PrivacyRules::new(&Privacy { classes, ..Privacy::default() }, key).unwrap();
    Target { privacy: Arc::new(privacy), ..target() }
}

#[test]
fn a_row_or_quarantined_row_that_outgrows_a_record_is_quarantined_in_one_that_fits() {
    let tags = row(1, &json!({"tags": vec!["ev"; 20_000]}));
    let notes = r#","note":"ev""#.repeat(15_000);
    let repeated = row(2, &json!({"amount": "x"})).replacen('}', &format!("{notes}}}"), 1);
    assert!(tags.len().max(repeated.len()) < ROW_BYTES_MAX);
    for (json, reason) in
        [(tags, RejectionReason::TooLarge), (repeated, RejectionReason::InvalidAmount)]
    {
        let (target, mut state, rows) = (hashing(), EntityState::default(), [json]);
        let answer = answer(&rows, Reason::Live, None);
        let mut digest = digest(&target, &state, &answer).unwrap();
        assert_eq!((digest.counts.new, &digest.quarantined), (0, &vec![reason]));
        let events: Vec<_> = digest.parts.iter().flat_map(|part| &part.events).collect();
        let bytes = events[0].value.as_ref().unwrap().len();
        assert!(events.len() == 1 && bytes < 1_000_000, "{} events, {bytes} bytes", events.len());
        state.seen.apply(std::mem::take(&mut digest.staging));
        let again = super::digest(&target, &state, &answer).unwrap();
        assert!(again.parts.is_empty() && again.present.len() == 1, "{:?}", again.quarantined);
    }
}

/// Minutes may lie between the four lists of payments, and the bank is asked about an answer by its id.
#[test]
fn each_row_has_the_time_and_the_id_of_the_answer_that_held_it() {
    let mut target = target();
    target.key.stream = Stream::TosPayments;
    target.key.entity = "0006624".into();
    let part = |id: u32, minutes: i64, object_id: &str| {
        let row = json!({"TransactionObjectId": id, "Amount": 200, "CurrencyType": "TL",
                         "PaymentDate": "2022-03-10T00:00:00"});
        let rows = [row.to_string(), json!({"TransactionObjectId": id + 100}).to_string()];
        let mut part = Rows::from_texts(rows, Timestamp(FETCHED.0 + minutes * 60_000));
        part.gateway_object_id = Some(object_id.to_owned());
        part
    };
    let parts = [part(1, 0, "answer-one"), part(2, 5, "answer-two")];
    target.max_bad_ratio = 1.0;
    let answer = Answer::of(&parts, Reason::LookBack, None, None, FETCHED);
    let digest = digest(&target, &EntityState::default(), &answer).unwrap();
    let events: Vec<_> = digest.parts.iter().flat_map(|part| &part.events).collect();
    let minutes = |at: Timestamp| (at.0 - FETCHED.0) / 60_000;
    let times: Vec<_> = events.iter().map(|e| minutes(e.headers.as_ref().unwrap().time)).collect();
    assert_eq!(times, [0, 5, 0, 5], "two payments, then two that cannot be mapped");
    let holds = |event: &EventRecord, text: &str| {
        event.value.as_ref().unwrap().windows(text.len()).any(|word| word == text.as_bytes())
    };
    assert!(holds(events[0], "answer-one") && !holds(events[0], "answer-two"));
    assert!(holds(events[1], "answer-two") && !holds(events[1], "answer-one"));
}
