//! A person's decision about a parked command: written down, and waited for; it calls no API.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{Error, Found, Meant, find};
use crate::{
    config::model::Kafka,
    sink::{
        journal::{
            Status,
            records::{Finding, Resolve},
        },
        words,
    },
};

/// How long the owner may take to act on it before whoever decided goes.
const TAKEN_UP: Duration = Duration::from_secs(15);
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// The command that is meant, where somebody has to decide about it.
///
/// # Errors
/// An unknown command, or one that is not parked.
pub async fn parked(kafka: &Kafka, meant: &Meant) -> Result<Found, Error> {
    let found = find(kafka, meant).await?;
    match found.told.entry.status() {
        Status::Parked => Ok(found),
        other => Err(Error::NotParked { id: meant.id, status: other.word() }),
    }
}

/// The outcome of the result that a decision publishes.
pub const fn outcome(finding: Finding) -> &'static str {
    match finding {
        Finding::Executed => "SUCCEEDED",
        Finding::NotExecuted => "DECLINED",
    }
}

/// Writes the decision about a [`parked`] command down and waits until the owner has acted on it;
/// `false` where no running sink has done so yet: it does when it runs. The same may be written again,
/// should an owner have overheard it.
///
/// # Errors
/// Where it is not written, or somebody else came first and saw it otherwise.
pub async fn decide(kafka: &Kafka, parked: &Found, decision: &Resolve) -> Result<bool, Error> {
    let Found { told, words: said } = parked;
    let key = told.entry.key();
    let (id, meant) = (key.command_id, Meant::exactly(key));
    agrees(said.decision(&told.entry), decision.outcome, id)?;
    words::say_resolved(kafka, told.partition, key, decision)
        .await
        .map_err(|cause| Error::NotWritten { brokers: kafka.bootstrap_servers.clone(), cause })?;
    taken_up(decision.outcome, id, || find(kafka, &meant)).await
}

/// Waits until the owner has acted on a decision that is written down. A look that fails has not seen
/// it act, and no more: told as the failure of the decision it would have somebody write a second one.
async fn taken_up<F>(wanted: Finding, id: Uuid, look: impl Fn() -> F) -> Result<bool, Error>
where
    F: Future<Output = Result<Found, Error>>,
{
    let started = Instant::now();
    while started.elapsed() < TAKEN_UP {
        sleep(LOOK_AGAIN).await;
        let Ok(Found { told, words: said }) = look().await else { continue };
        if let Some(decided) = decided(told.entry.status(), wanted, id) {
            return decided.map(|()| true);
        }
        // Somebody may have written at the same time, and before.
        agrees(said.decision(&told.entry), wanted, id)?;
    }
    Ok(false)
}

/// A failure where a decision that sees it otherwise waits for an owner.
fn agrees(waiting: Option<&Resolve>, wanted: Finding, id: Uuid) -> Result<(), Error> {
    match waiting.filter(|waiting| waiting.outcome != wanted) {
        None => Ok(()),
        Some(Resolve { outcome: other, actor, at, .. }) => {
            let (outcome, actor, at) = (outcome(*other), actor.clone(), at.to_rfc3339());
            Err(Error::Decided { id, outcome, actor, at })
        }
    }
}

/// Nothing while nobody has decided; a failure where somebody else came first and saw it otherwise.
fn decided(status: &Status, wanted: Finding, id: Uuid) -> Option<Result<(), Error>> {
    let Status::Resolved { executed } = status else { return None };
    if *executed == (wanted == Finding::Executed) {
        return Some(Ok(()));
    }
    let stands = if *executed { Finding::Executed } else { Finding::NotExecuted };
    Some(Err(Error::Overruled { id, published: outcome(stands) }))
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, future::ready};

    use rdkafka::error::KafkaError;

    use super::*;
    use crate::{
        domain::time::Timestamp,
        kafka::reading,
        sink::{
            inspect::{Told, Words},
            tests::{doubted, intended, parked as parking, resolved, story},
        },
    };

    fn unread() -> Error {
        let source = KafkaError::Canceled;
        Error::Journal(reading::Error::Kafka { topic: "j".to_owned(), partition: 0, source })
    }

    fn found(more: Option<bool>) -> Found {
        let events = [intended(1, 1), doubted(), parking()];
        let entry = story(events.into_iter().chain(more.map(resolved)));
        Found { told: Told { entry, partition: 0 }, words: Words::default() }
    }

    /// What whoever decided is told, where the looks end like this, the last one again and again.
    async fn told(looks: &[fn() -> Result<Found, Error>]) -> (Result<bool, String>, usize) {
        let count = Cell::new(0);
        let look = || {
            let look = looks[count.get().min(looks.len() - 1)];
            count.set(count.get() + 1);
            ready(look())
        };
        let told = taken_up(Finding::Executed, Uuid::from_u128(1), look).await;
        (told.map_err(|error| error.to_string()), count.get())
    }

    #[tokio::test(start_paused = true)]
    async fn a_journal_that_cannot_be_read_says_nothing_about_a_decision_that_is_written() {
        let acted = || Ok(found(Some(true)));
        assert_eq!(told(&[|| Err(unread()), || Ok(found(None)), acted]).await, (Ok(true), 3));
        let (told_so, looks) = told(&[|| Err(unread())]).await;
        assert_eq!(told_so, Ok(false), "it is written, and nobody was seen to act on it");
        assert!(looks > 10, "it goes on looking: {looks}");
        let (otherwise, _) = told(&[|| Err(unread()), || Ok(found(Some(false)))]).await;
        assert!(otherwise.unwrap_err().contains("decided otherwise"));
    }

    #[test]
    fn whoever_decides_second_and_otherwise_is_told_so() {
        let ends = |status: &Status, wanted| {
            decided(status, wanted, Uuid::from_u128(1)).map(|decided| decided.is_ok())
        };
        assert_eq!(ends(&Status::Parked, Finding::Executed), None);
        for (executed, wanted, is_ok) in [
            (true, Finding::Executed, true),
            (false, Finding::NotExecuted, true),
            (true, Finding::NotExecuted, false),
            (false, Finding::Executed, false),
        ] {
            let status = Status::Resolved { executed };
            assert_eq!(ends(&status, wanted), Some(is_ok), "{executed} {wanted:?}");
        }
    }

    #[test]
    fn a_decision_that_contradicts_one_that_waits_for_an_owner_is_not_written() {
        let id = Uuid::from_u128(1);
        let waiting = Resolve {
            outcome: Finding::Executed,
            evidence: "panel".into(),
            actor: "ayse".into(),
            at: Timestamp(0),
        };
        let agrees = |waiting, wanted| agrees(waiting, wanted, id);
        assert!(agrees(None, Finding::Executed).is_ok());
        assert!(agrees(Some(&waiting), Finding::Executed).is_ok());
        let refused = agrees(Some(&waiting), Finding::NotExecuted).unwrap_err().to_string();
        assert!(refused.contains("ayse") && refused.contains("SUCCEEDED"), "{refused}");
    }
}
