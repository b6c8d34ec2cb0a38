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
    let started = Instant::now();
    while started.elapsed() < TAKEN_UP {
        sleep(LOOK_AGAIN).await;
        let Found { told, words: said } = find(kafka, &meant).await?;
        if let Some(decided) = decided(told.entry.status(), decision.outcome, id) {
            return decided.map(|()| true);
        }
        // Somebody may have written at the same time, and before.
        agrees(said.decision(&told.entry), decision.outcome, id)?;
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
    use super::*;
    use crate::domain::time::Timestamp;

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
