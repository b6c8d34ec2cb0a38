//! The wall clock is set between two reads of an account: by an hour either way, over midnight too.

use serde_json::json;

use super::*;
use crate::{
    api::Rows,
    domain::time::{Day, Timestamp},
    poll::{
        digest::Reason,
        entity::{Advance, Reading},
        plan::Window,
    },
    telemetry::clock::now,
};

const MINUTE: i64 = 60_000;
/// What the clock says at each read, beside what it should say.
const SET: [[i64; 4]; 4] = [
    [0, -60, -60, 0],
    [0, 60, 60, 0],
    [60, 0, -60, 60],
    // Steps as NTP makes them.
    [0, -1, 1, 0],
];

/// So many rows of a minute past midnight, as an answer that came at `at`.
fn answer(count: i64, today: Day, at: Timestamp) -> [Rows; 1] {
    let row = |id: i64| {
        json!({"id": id, "bank_account_id": 73, "amount": "5.00", "fec_name": "TL",
               "system_date": format!("{} 00:01:00", today.to_date())})
        .to_string()
    };
    [Rows::from_texts((1..=count).map(row), at)]
}

#[tokio::test]
async fn reads_around_a_clock_that_is_set_publish_each_row_once_and_take_nothing_back() {
    for reason in [Reason::Live, Reason::LookBack] {
        for set in SET {
            let stage = Stage::new().await;
            let entity = stage.entity(Stream::BankTransactions, "73", EntityState::default());
            // Set back by an hour it is yesterday.
            let today = now().local_day().plus(-1);
            let start = today.plus(-5);
            let mut before = entity.checkpoint(start).await;
            before.covered_at = Timestamp(0);
            for (count, minutes) in (1..).zip(set) {
                let at = Timestamp(today.start().0 + (30 + count + minutes) * MINUTE);
                let answers = answer(count, today, at);
                let (window, advance) = match reason {
                    Reason::Live => (None, Advance::Cursor),
                    _ => (Some(Window { from: start, to: today }), Advance::Nothing),
                };
                let first_kept = Some(at.local_day().plus(-5));
                let reading =
                    Reading { answers: &answers, reason, window, advance, first_kept, start };
                let digest = entity.take_in(&reading).await.unwrap();
                let expected = (1, u64::try_from(count).unwrap() - 1, 0);
                let counts = digest.counts;
                assert_eq!(
                    (counts.new, counts.unchanged, counts.changed),
                    expected,
                    "{reason:?} {set:?}"
                );
                let after = entity.checkpoint(start).await;
                assert!(after.cursor >= before.cursor && after.seen_from >= before.seen_from);
                assert!(after.covered_at >= before.covered_at, "{set:?}: {after:?}");
                assert!(after.newest_at >= before.newest_at, "{set:?}: {after:?}");
                before = after;
            }
            assert_eq!(stage.created(), set.len(), "{reason:?} {set:?}");
        }
    }
}
