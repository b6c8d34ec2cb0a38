//! Every end of a request, and the one event that it is.

use super::*;
use crate::sink::tests::{NOON, intended, provider, story};

#[test]
fn only_certainty_proves_that_nothing_left() {
    let detail = || "os error 111".to_owned();
    let not_sent = read_ending(Ending::NotSent { detail: detail() }, NOON);
    assert_eq!(not_sent, JournalEvent::NotSent { at: NOON, detail: detail() });
    let unknown = read_ending(Ending::Unknown { detail: detail() }, NOON);
    assert_eq!(unknown, JournalEvent::Doubted { at: NOON, detail: detail() });
}

#[test]
fn an_answer_counts_only_where_it_says_one_thing() {
    let event = |verdict| read_ending(Ending::Answered(verdict), NOON);
    assert_eq!(
        event(Verdict::Approved(provider())),
        JournalEvent::Approved { at: NOON, provider: provider() }
    );
    assert_eq!(
        event(Verdict::Declined(provider())),
        JournalEvent::Declined { at: NOON, provider: provider() }
    );
    assert_eq!(
        event(Verdict::Unclear { detail: "status approved, response Error".into() }),
        JournalEvent::Doubted { at: NOON, detail: "status approved, response Error".into() }
    );
}

#[test]
fn every_end_is_a_legal_next_event() {
    let detail = || "os error 111".to_owned();
    for ending in [
        Ending::NotSent { detail: detail() },
        Ending::Unknown { detail: detail() },
        Ending::Answered(Verdict::Unclear { detail: detail() }),
        Ending::Answered(Verdict::Approved(provider())),
        Ending::Answered(Verdict::Declined(provider())),
    ] {
        story([intended(1, 1)]).with(read_ending(ending, NOON)).unwrap();
    }
}
