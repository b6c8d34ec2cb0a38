//! When the call for all accounts cannot be had, and each account is read by its own.
//!
//! | the call | the accounts go alone |
//! |---|---|
//! | is answered wrongly | at once: the answer for one account is another one |
//! | is refused | when a single account is answered: the refusal is of this call |
//! | keeps failing for [`PATIENCE_POLLS`] | when a single account is answered |
//!
//! Where a single account fails too, the feed goes on trying, and nobody else asks: ten thousand
//! accounts would only hammer what is refused or down. A refusal that holds for the whole API is known
//! to the client, which does not even send the trial.

use tokio::time::Instant;

use crate::{
    api::{BankQuery, Hours, Purpose, RetryClass},
    log_event,
    telemetry::{clock::now, events::Event},
};

use super::{
    entity::Failure,
    feed::{Feed, Pace},
};

/// Poll intervals for which the call may fail before single accounts are tried. As many as may pass
/// before a stream counts as stale: single calls for all accounts take far more of the quota than a
/// short outage is worth, and history that was begun by single calls is read by them to its end.
const PATIENCE_POLLS: u32 = 3;
/// Accounts that are tried: one of them may be gone at the source.
const TRIALS: usize = 3;

impl Feed {
    /// Judges a failed read of history or live poll, as the table at the top says; told once, until
    /// a live poll of the feed is good again.
    pub(super) async fn let_accounts_go_alone(&self, failure: &Failure, pace: &mut Pace) {
        let failing_since = *pace.failing_since.get_or_insert_with(Instant::now);
        if self.served.is_out() {
            return;
        }
        let alone = match failure.retry_class() {
            RetryClass::Permanent => true,
            RetryClass::Refused => self.answers_single_accounts().await,
            RetryClass::Retry { .. } => {
                let patience = self.schedule.poll_interval * PATIENCE_POLLS;
                failing_since.elapsed() >= patience && self.answers_single_accounts().await
            }
            RetryClass::LockedOut | RetryClass::DatesRequired => false,
        };
        if !alone || !self.served.go_out() {
            return;
        }
        let key = &self.entity.target.key;
        log_event!(
            Event::FeedOut,
            connection = %key.connection,
            stream = %key.stream,
            code_of_failure = failure.event().code(),
            error = %failure,
            "the call for all accounts cannot be had, each account is read by its own call"
        );
        self.accounts().iter().for_each(|(_, account)| account.ask_alone.notify_one());
    }

    /// Whether an account's own call works now.
    async fn answers_single_accounts(&self) -> bool {
        let today = now().local_day();
        let query = BankQuery {
            window: Some((today, today)),
            hours: Hours::ALL,
            last_id: None,
            date_type: self.entity.target.date_type,
        };
        let mut ids: Vec<i64> = self.accounts().into_iter().map(|(id, _)| id).collect();
        ids.sort_unstable();
        for id in ids.into_iter().take(TRIALS) {
            let answered = tokio::select! {
                () = self.stop.cancelled() => return false,
                answered = self.api.account_transactions(Purpose::Repair, id, &query) => answered,
            };
            if answered.is_ok() {
                return true;
            }
        }
        false
    }
}
