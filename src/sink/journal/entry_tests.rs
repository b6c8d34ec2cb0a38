use super::*;
use crate::sink::tests::{
    NOON, approved, arrival, card, doubted, entry, inferred, intended, key, not_sent, outline,
    parked, provider, refund, rejected, resolved, story,
};

#[test]
fn an_event_that_cannot_follow_changes_nothing() {
    let mut entry = story([intended(1, 1), doubted()]);
    let before = entry.clone();
    assert!(entry.apply(intended(2, 1)).is_err());
    assert!(entry.apply(approved()).is_err());
    assert_eq!(entry, before);
    assert!(before.with(inferred()).is_ok());
}

#[test]
fn replaying_the_events_gives_the_same_entry() {
    let whole = story([intended(1, 1), not_sent(), intended(2, 3), doubted(), parked()]);
    for length in 1..=whole.events().len() {
        let events = whole.events()[..length].to_vec();
        let part = Entry::from_events(key(), events).unwrap();
        assert_eq!(part.events(), &whole.events()[..length]);
        let rest = whole.events()[length..].to_vec();
        let again = rest.into_iter().fold(part, |entry, event| entry.with(event).unwrap());
        assert_eq!(again, whole);
    }
}

#[test]
fn a_story_without_its_beginning_is_refused() {
    assert!(Entry::from_events(key(), vec![]).is_err());
    assert!(Entry::from_events(key(), vec![intended(1, 1)]).is_err());
    let first = entry(refund("1.00")).events()[0].clone();
    let twice = vec![first.clone(), first];
    assert!(Entry::from_events(key(), twice).is_err());
}

#[test]
fn results_are_counted_from_the_first_that_is_published() {
    assert_eq!(story([]).sequence(), 0);
    assert_eq!(story([intended(1, 1), not_sent(), intended(2, 1)]).sequence(), 0);
    assert_eq!(story([rejected()]).sequence(), 1);
    assert_eq!(story([intended(1, 1), doubted()]).sequence(), 1);
    assert_eq!(story([intended(1, 1), doubted(), parked(), resolved(true)]).sequence(), 3);
    assert_eq!(Entry::refused(key(), outline(), "type".into(), NOON).sequence(), 1);
}

#[test]
fn attempts_are_the_requests_that_may_have_left() {
    assert_eq!(story([]).attempts(), 0);
    assert_eq!(story([intended(1, 1)]).attempts(), 1);
    assert_eq!(story([intended(1, 1), not_sent()]).attempts(), 0);
    assert_eq!(story([intended(1, 1), not_sent(), intended(2, 1), approved()]).attempts(), 1);
}

#[test]
fn an_invalid_command_has_an_outline_and_no_order() {
    let refused = Entry::refused(key(), outline(), "no type".into(), NOON);
    assert_eq!((refused.order(), refused.arrival()), (None, None));
    assert_eq!(refused.digest(), outline().digest);
    let valid = entry(refund("3.00"));
    assert_eq!(valid.order(), Some(&refund("3.00")));
    assert_eq!(valid.arrival(), Some(arrival(5)));
    assert_eq!(valid.outline(), &refund("3.00").outline());
}

#[test]
fn no_text_of_a_story_holds_a_card_number() {
    let text = format!("kart {}", card());
    let provider = crate::domain::payment::Provider {
        message: Some(text.clone()),
        code: Some(text.clone()),
        transaction_id: Some(text.clone()),
        ..provider()
    };
    let at = NOON;
    let order = Order { requested_by: text.clone(), ..refund("10.00") };
    let entries = [
        entry(order),
        Entry::refused(key(), outline(), text.clone(), at),
        story([JournalEvent::Rejected { at, why: text.clone() }]),
        story([intended(1, 1), JournalEvent::NotSent { at, detail: text.clone() }]),
        story([intended(1, 1), JournalEvent::Doubted { at, detail: text.clone() }]),
        story([intended(1, 1), JournalEvent::Approved { at, provider: provider.clone() }]),
        story([intended(1, 1), JournalEvent::Declined { at, provider }]),
        story([
            intended(1, 1),
            doubted(),
            JournalEvent::Parked { at, detail: text.clone(), after: None },
            JournalEvent::Resolved { at, executed: true, actor: text.clone(), evidence: text },
        ]),
    ];
    for entry in entries {
        let shown = serde_json::to_string(entry.events()).unwrap();
        assert!(!shown.contains(&card()), "{shown}");
        assert!(shown.contains("411111******1111"), "{shown}");
    }
}

#[test]
fn a_story_has_a_bounded_length() {
    let mut entry = story([]);
    let mut attempt = 0;
    while entry.events().len() < EVENTS_MAX {
        let event = match entry.status() {
            Status::Intended(_) => not_sent(),
            _ => {
                attempt += 1;
                intended(attempt, 1)
            }
        };
        entry.apply(event).unwrap();
    }
    let next = if entry.intent().is_some() { not_sent() } else { intended(attempt + 1, 1) };
    assert_eq!(entry.apply(next).unwrap_err().why, "the story is too long");
    // The plan gives up long before, and a doubt, its clearing and a decision still fit.
    let longest = 1 + 2 * 65 + 3;
    assert!(longest <= EVENTS_MAX);
}
