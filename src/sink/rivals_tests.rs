use super::*;
use crate::sink::tests::{
    HOUR, SECOND, after, approved, doubted, inferred, intended, key_of, parked, payment,
    received_as, refund, resolved, story_of,
};

fn command(reference: &str, n: u128, events: &[JournalEvent]) -> Entry {
    story_of(received_as(key_of(reference, n), refund("10.00")), events.iter().cloned())
}

/// The n-th command of REF-1, whose look was then and showed this sum.
fn asked(n: u128, at: Timestamp, sum: Option<&str>) -> Entry {
    let before = payment(VirtualPosStatus::Successful, sum);
    let send_not_after = later(at, SECOND);
    let over_at = None;
    let intent =
        JournalEvent::Intended { at, attempt: 1, epoch: 1, before, send_not_after, over_at };
    command("REF-1", n, &[intent])
}

fn ids(rivals: &Rivals, entry: &Entry) -> Vec<Uuid> {
    rivals.of(entry).iter().map(|rival| rival.command_id).collect()
}

/// The same where this owner itself looked then.
fn ids_when(rivals: &Rivals, entry: &Entry, looked: Instant) -> Vec<Uuid> {
    let mut rivals = rivals.clone();
    rivals.moved_at(entry, looked);
    ids(&rivals, entry)
}

/// When the journal had been read, and what a clock that nobody sets shows so many minutes later.
fn clock() -> impl Fn(u64) -> Instant {
    let born = Instant::now();
    move |minutes| born + Duration::from_mins(minutes)
}

#[test]
fn a_parked_command_is_a_rival_of_its_own_payment_until_it_was_not_executed() {
    let asked = asked(2, after(0), None);
    let mut rivals = Rivals::default();
    let doubt = [intended(1, 1), doubted()];
    rivals.moved(&command("REF-1", 1, &doubt));
    assert!(ids(&rivals, &asked).is_empty(), "one that is in doubt has not let the next one go");
    let story = [&doubt[..], &[parked()]].concat();
    rivals.moved(&command("REF-1", 1, &story));
    rivals.moved(&command("REF-2", 3, &story));
    rivals.moved(&command("REF-1", 2, &story));
    let first = key_of("REF-1", 1);
    assert_eq!(ids(&rivals, &asked), [first.command_id]);
    rivals.moved(&command("REF-1", 1, &[&story[..], &[resolved(false)]].concat()));
    assert!(ids(&rivals, &asked).is_empty());
    rivals.moved(&command("REF-1", 1, &story));
    rivals.forget(&first);
    assert!(ids(&rivals, &asked).is_empty());
}

#[test]
fn one_that_a_person_found_executed_counts_where_that_was_after_the_look() {
    let story = [intended(1, 1), doubted(), parked(), resolved(true)];
    let found = command("REF-1", 1, &story);
    let (mut rivals, at) = (Rivals::default(), clock());
    rivals.begin(at(0));
    rivals.restore(&found);
    let until = later(found.last_at(), RIVAL_MS);
    let long_after = |stamp, sum| ids_when(&rivals, &asked(2, stamp, sum), at(40));
    assert_eq!(long_after(until, Some("10.00")).len(), 1, "it may show later");
    assert!(long_after(later(until, 1), None).is_empty());
}

#[test]
fn an_executed_one_counts_where_the_look_shortly_after_did_not_show_it() {
    let done = command("REF-1", 1, &[intended(1, 1), approved()]);
    let ended = done.last_at();
    let mut rivals = Rivals::default();
    rivals.moved(&done);
    assert_eq!(ids(&rivals, &asked(2, ended, None)).len(), 1);
    assert_eq!(ids(&rivals, &asked(2, ended, Some("9.99"))).len(), 1);
    assert!(ids(&rivals, &asked(2, ended, Some("10.00"))).is_empty(), "the look shows it");
    let (at, hour_later) = (clock(), asked(2, later(ended, HOUR), None));
    rivals.begin(at(0));
    assert!(ids_when(&rivals, &hour_later, at(40)).is_empty(), "it was too long ago");
    let mut restored = Rivals::default();
    restored.restore(&done);
    assert_eq!(ids(&restored, &asked(2, ended, None)).len(), 1, "whenever that is");
    // The second one, whose look did not show the first, shows where both do.
    let second = asked(2, ended, None).with(approved()).unwrap();
    rivals.moved(&second);
    // Which of the two it shows is not known.
    assert_eq!(ids(&rivals, &asked(3, second.last_at(), Some("10.00"))).len(), 2);
    assert!(ids(&rivals, &asked(3, second.last_at(), Some("20.00"))).is_empty());
}

#[test]
fn a_younger_one_that_shows_first_hides_no_older_one() {
    let mut rivals = Rivals::default();
    let done = command("REF-1", 1, &[intended(1, 1), approved()]);
    rivals.moved(&done);
    let ended = done.last_at();
    let double = received_as(key_of("REF-1", 2), refund("20.00"));
    let JournalEvent::Intended { send_not_after, .. } = intended(1, 1) else { panic!() };
    let before = payment(VirtualPosStatus::Successful, None);
    let (at, over_at) = (ended, None);
    let intent =
        JournalEvent::Intended { at, attempt: 1, epoch: 1, before, send_not_after, over_at };
    let double = story_of(double, [intent, approved()]);
    rivals.moved(&double);
    // 20.00 is what the second one gave back, and covers the first one's sum of 10.00.
    let third = asked(3, double.last_at(), Some("20.00"));
    assert_eq!(ids(&rivals, &third), [done.key().command_id, double.key().command_id]);
    assert!(ids(&rivals, &asked(3, double.last_at(), Some("30.00"))).is_empty(), "all shows");
}

#[test]
fn the_newest_executed_ones_are_remembered() {
    let mut rivals = Rivals::default();
    for n in 0..=RECENT_MAX as u128 {
        rivals.moved(&command(&format!("R{n}"), n, &[intended(1, 1), approved()]));
    }
    assert_eq!(rivals.payments.len(), RECENT_MAX);
    assert_eq!(rivals.recent.len(), RECENT_MAX);
    assert_eq!(rivals.recent.first().map(|(_, key)| key), Some(&key_of("R1", 1)));
    let old = command("OLD", 0, &[intended(1, 1), doubted(), inferred()]);
    assert!(old.last_at() > approved().at(), "it is the newest");
    rivals.restore(&old);
    assert_eq!(rivals.recent.first().map(|(_, key)| key), Some(&key_of("R10", 10)));
    let JournalEvent::Approved { provider, .. } = approved() else { panic!() };
    let older =
        command("OLDER", 0, &[intended(1, 1), JournalEvent::Approved { at: after(0), provider }]);
    rivals.restore(&older);
    assert_eq!(rivals.payments.len(), RECENT_MAX);
    assert_eq!(rivals.recent.first().map(|(_, key)| key), Some(&key_of("R10", 10)));
}

#[test]
fn a_clock_that_is_set_forward_makes_no_moment_an_hour() {
    let (mut rivals, at) = (Rivals::default(), clock());
    rivals.begin(at(0));
    // By a clock that is an hour behind, and is set right before the next one looks.
    let done = command("REF-1", 1, &[intended(1, 1), approved()]);
    rivals.moved_at(&done, at(100));
    let set_right = later(done.last_at(), HOUR + 5 * 60 * SECOND);
    let second = asked(2, set_right, None);
    let first = [done.key().command_id];
    assert_eq!(ids_when(&rivals, &second, at(105)), first);
    assert_eq!(ids_when(&rivals, &second, at(135)), first, "within the time that it may be hidden");
    assert!(ids_when(&rivals, &second, at(136)).is_empty());
    let shown = asked(2, set_right, Some("10.00"));
    assert!(ids_when(&rivals, &shown, at(105)).is_empty(), "the look shows it");
    // The doubt is the same owner's; what it saw is kept until the story is over.
    rivals.moved_at(&second, at(105));
    let doubt = second.with(doubted()).unwrap();
    rivals.moved_at(&doubt, at(106));
    assert_eq!(ids(&rivals, &doubt), first);
    let inferred = doubt.with(inferred()).unwrap();
    rivals.moved_at(&inferred, at(121));
    assert!(rivals.looked.is_empty());
    // A clock that is set back in between leaves the stamps near.
    let behind = asked(3, later(done.last_at(), SECOND), None);
    assert_eq!(ids_when(&rivals, &behind, at(1000)).len(), 2);
}

#[test]
fn stamps_of_two_owners_are_believed_only_where_no_clock_is_that_wrong() {
    let done = command("REF-1", 1, &[intended(1, 1), approved()]);
    let (mut rivals, at) = (Rivals::default(), clock());
    rivals.restore(&done);
    rivals.begin(at(0));
    let after_ms = |ms| asked(2, later(done.last_at(), RIVAL_MS + ms), None);
    let (near, far) = (after_ms(CLOCK_OFF_MAX_MS), after_ms(CLOCK_OFF_MAX_MS + 1));
    assert_eq!(ids_when(&rivals, &near, at(35)).len(), 1, "the owner before was behind, perhaps");
    assert!(ids_when(&rivals, &near, at(36)).is_empty(), "this owner is older than that");
    assert!(ids_when(&rivals, &far, at(0)).is_empty(), "it was days ago");
    // Nor is it known when a doubt of an earlier owner was looked at.
    assert_eq!((ids(&rivals, &near).len(), ids(&rivals, &far).len()), (1, 0));
}
