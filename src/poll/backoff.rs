//! How long a poller waits after a failure.

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{
    api::{Client, RetryClass},
    domain::ids::Stream,
};

use super::entity::Failure;

const MIN: Duration = Duration::from_secs(1);
/// Back-off ends here (design §6).
const MAX: Duration = Duration::from_secs(60);
/// A connection whose access is refused tries again this often (design §6).
const REFUSED: Duration = Duration::from_secs(15 * 60);
/// A look that keeps failing is made so often in the interval of looks, and at least as often as
/// [`REFUSED`] says: while it fails its stream is not fresh.
const LOOKS: u32 = 24;

/// Doubles from a second to a minute while failures follow each other.
///
/// | the failure | the wait |
/// |---|---|
/// | no answer, 5xx, 429 | doubles to a minute, and what the API asked for |
/// | an answer that is none, or a no | the same; of one account or terminal of many, to the poll interval: those that stay wrong must not take the others' calls |
/// | rows that are not to be believed, an answer that is too large | the poll interval: it costs as much to ask again |
/// | access is refused | a quarter of an hour |
/// | the first two, of a look at an account that the feed serves | the same, but to a quarter of an hour, or a twenty-fourth of the interval of its looks where that is shorter |
#[derive(Debug, Clone, Copy)]
pub(super) struct Backoff {
    next: Duration,
    is_of_many: bool,
}

impl Backoff {
    /// Before any failure of one that reads this stream.
    pub(super) const fn new(stream: Stream) -> Self {
        let is_of_many = matches!(stream, Stream::BankTransactions | Stream::PosTransactions);
        Self { next: MIN, is_of_many }
    }

    /// After a success.
    pub(super) const fn reset(&mut self) {
        self.next = MIN;
    }

    /// The wait before the next try; `None` waits for a changed secret or an operator alone.
    pub(super) fn wait(&mut self, failure: &Failure, poll_interval: Duration) -> Option<Duration> {
        match failure.retry_class() {
            RetryClass::Retry { after } => Some(self.doubled(MAX).max(after.unwrap_or_default())),
            RetryClass::Refused => Some(REFUSED),
            RetryClass::LockedOut => None,
            RetryClass::Permanent | RetryClass::DatesRequired if failure.stays() => {
                Some(poll_interval)
            }
            RetryClass::Permanent | RetryClass::DatesRequired => {
                let longest = if self.is_of_many { poll_interval } else { MAX };
                Some(self.doubled(longest).min(poll_interval))
            }
        }
    }

    /// The same for a look at an account that the feed serves, every `looks`: what it checks was read
    /// already, and ten thousand of them may fail together.
    pub(super) fn wait_of_look(
        &mut self,
        failure: &Failure,
        poll_interval: Duration,
        looks: Duration,
    ) -> Option<Duration> {
        let longest = (looks / LOOKS).clamp(MAX, REFUSED);
        match failure.retry_class() {
            RetryClass::Retry { after } => {
                Some(self.doubled(longest).max(after.unwrap_or_default()))
            }
            RetryClass::Permanent if !failure.stays() => Some(self.doubled(longest)),
            _ => self.wait(failure, poll_interval),
        }
    }

    fn doubled(&mut self, longest: Duration) -> Duration {
        let wait = self.next.min(longest);
        self.next = (wait * 2).min(longest);
        wait
    }
}

/// Waits, but no longer than until a secret file changes; `None` waits for that alone.
pub(super) async fn wait_or_change(api: &Client, wait: Option<Duration>, stop: &CancellationToken) {
    let over = async {
        match wait {
            Some(wait) => sleep(wait).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = api.wait_for_change() => {}
        () = over => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{api, domain::ids::ConnectionId, poll::refusal::Refusal};

    const POLL: Duration = Duration::from_secs(300);

    fn at() -> api::At {
        api::At { connection: ConnectionId::try_new("acme").unwrap(), operation: "GET /accounts" }
    }

    fn no() -> Failure {
        let message = None;
        Failure::Api(api::Error::Rejected { at: at(), status: 200, message })
    }

    fn waits(backoff: &mut Backoff, failure: &Failure) -> Vec<u64> {
        (0..10).map(|_| backoff.wait(failure, POLL).unwrap().as_secs()).collect()
    }

    #[test]
    fn failures_in_a_row_wait_longer_and_a_success_starts_anew() {
        let broken = |after| {
            Failure::Api(api::Error::Server { at: at(), status: 503, after, message: None })
        };
        let mut backoff = Backoff::new(Stream::BankTransactions);
        assert_eq!(waits(&mut backoff, &broken(None)), [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]);
        backoff.reset();
        let after = Some(Duration::from_secs(90));
        assert_eq!(backoff.wait(&broken(after), POLL), after);
        assert_eq!(backoff.wait(&broken(None), POLL), Some(Duration::from_secs(2)));
    }

    #[test]
    fn a_wrong_answer_is_asked_for_again_within_a_minute_but_not_by_each_of_many() {
        let list = &mut Backoff::new(Stream::Accounts);
        assert_eq!(waits(list, &no()), [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]);
        let account = &mut Backoff::new(Stream::BankTransactions);
        assert_eq!(waits(account, &no()), [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
        let soon = Duration::from_secs(3);
        assert_eq!(account.wait(&no(), soon), Some(soon));
    }

    #[test]
    fn a_look_that_keeps_failing_is_made_no_more_than_once_an_hour_of_its_day() {
        let hung = Failure::Api(api::Error::Timeout { at: at() });
        for failure in [hung, no()] {
            let mut backoff = Backoff::new(Stream::BankTransactions);
            let looks = Duration::from_secs(86_400);
            let mut wait = || backoff.wait_of_look(&failure, POLL, looks).unwrap().as_secs();
            let waits: Vec<u64> = (0..14).map(|_| wait()).collect();
            assert_eq!(waits[..8], [1, 2, 4, 8, 16, 32, 64, 128], "{failure}");
            assert_eq!(waits[8..], [256, 512, 900, 900, 900, 900], "{failure}");
        }
    }

    #[test]
    fn what_is_wrong_for_longer_waits_longer() {
        let mut backoff = Backoff::new(Stream::Accounts);
        let mut wait = |failure| backoff.wait(&failure, POLL);
        let refused = api::Error::Forbidden { at: at(), status: 403, message: None };
        assert_eq!(wait(Failure::Api(refused)), Some(REFUSED));
        assert_eq!(
            wait(Failure::Refused(Refusal::TooManyBad {
                entity: String::new(),
                bad: 9,
                rows: 10,
                first: String::new()
            })),
            Some(POLL)
        );
    }
}
