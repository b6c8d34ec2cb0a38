//! The way out of a regression: an operator looks at what was lost, and accepts it.
//!
//! The decision is a record in the state partition itself, written under the shard's lock: whoever
//! runs the shard next finds it, a connector that waits with the shard stopped included. Nothing
//! that is left is deleted; what is missing is read again from the source.

use std::{collections::BTreeSet, sync::atomic::AtomicU64, time::Duration};

use rdkafka::error::KafkaError;

use crate::{
    config::model::Kafka,
    domain::{ids::ConnectionId, time::Timestamp},
    kafka::{
        reading::{self, Stretch, refuses},
        settings::{deployment, is_unmade, shard_transactional_id},
    },
    publish::{
        batch::{Batch, StateRecord},
        writer::{Lost, Writer},
    },
    state::{
        changelog::ShardState,
        codec,
        note::{Found, Note, Regression, check_regression},
        reset::Reset,
    },
};

use super::{
    assignment, inspect,
    moved::{Moved, Places},
    restore::{new_identity, signature},
};

const METADATA_TIMEOUT: Duration = Duration::from_secs(15);
/// Offsets that are filled again, at most.
const FILLED_MAX: i64 = 10_000;

/// Why the shards could not be looked at, or the decision not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The group's notes could not be read.
    #[error("the notes of group {group} cannot be read: {source}")]
    Notes {
        /// The group.
        group: String,
        /// What Kafka says.
        source: KafkaError,
    },
    /// The state topic could not be read.
    #[error(transparent)]
    Read(#[from] reading::Error),
    /// The shard could not be locked, or the decision was not committed.
    #[error(transparent)]
    Lost(#[from] Lost),
}

impl Error {
    /// Whether Kafka refused the login or a right.
    pub fn is_refused(&self) -> bool {
        match self {
            Self::Notes { source, .. } => refuses(source),
            Self::Read(error) => error.is_refused(),
            Self::Lost(lost) => lost.is_refused,
        }
    }

    /// Whether no client could be made of the settings and the files that they name.
    pub const fn is_unmade(&self) -> bool {
        match self {
            Self::Notes { source, .. } => is_unmade(source),
            Self::Read(error) => error.is_unmade(),
            Self::Lost(_) => false,
        }
    }

    /// Whether the decision may be written all the same.
    pub fn may_be_written(&self) -> bool {
        matches!(self, Self::Lost(lost) if lost.may_stand())
    }
}

/// Who decides, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Who.
    pub by: String,
    /// Why.
    pub why: String,
    /// When.
    pub at: Timestamp,
}

/// One shard as it stands.
#[derive(Debug)]
pub struct Standing {
    /// The shard.
    pub shard: i32,
    /// What the group noted of it.
    pub note: Option<Note>,
    /// First offset that is still there.
    pub start: i64,
    /// The true end.
    pub end: i64,
    /// What is left.
    pub state: ShardState,
    /// What it lost, unless somebody has accepted that already.
    pub regression: Option<Regression>,
    /// Whose it is, if it is not ours.
    pub other: Option<String>,
}

impl Standing {
    /// Whether it waits for an operator's word.
    pub const fn is_stopped(&self) -> bool {
        self.regression.is_some() || self.other.is_some()
    }
}

/// Every shard as it stands; takes no lock. Blocks.
pub fn look(env: &str, kafka: &Kafka) -> Result<Vec<Standing>, Error> {
    let ours = deployment(env, kafka);
    let notes = assignment::notes(kafka)
        .map_err(|source| Error::Notes { group: kafka.group.clone(), source })?;
    let standing = |stretch: Stretch| {
        let state = inspect::committed_state(kafka, &stretch, &AtomicU64::new(0))?;
        let Stretch { partition: shard, from: start, end, .. } = stretch;
        let note = notes.get(&shard).cloned();
        let found = Found { identity: state.identity(), start, end };
        let regression = check_regression(note.as_ref(), found, state.reset()).err();
        let other = state.deployment().filter(|of| *of != ours).map(str::to_owned);
        Ok(Standing { shard, note, start, end, state, regression, other })
    };
    inspect::stretches(kafka)?.into_iter().map(standing).collect()
}

/// A connection that would begin anew because `kafka.shards` is another than it was: its shard waits
/// for something else than this.
pub fn moved(
    kafka: &Kafka,
    configured: &BTreeSet<ConnectionId>,
    all: &[Standing],
) -> Option<Moved> {
    let mut places = Places::default();
    all.iter().for_each(|standing| places.add_state(standing.shard, &standing.state));
    places.moved(kafka, configured)
}

/// Accepts what the shard has lost, or takes it over from another deployment, whose producer is
/// fenced first. Takes its lock, so that nobody writes meanwhile. Blocks.
pub fn accept(
    env: &str,
    kafka: &Kafka,
    standing: &Standing,
    decision: &Decision,
) -> Result<(), Error> {
    let shard = standing.shard;
    let ours = deployment(env, kafka);
    let own = Writer::lock(kafka, shard_transactional_id(&ours, shard), shard)?;
    // Said under the lock of whoever has the shard: were it still running and locked again meanwhile,
    // this would not be committed; whoever locks it afterwards finds whose it is now, and stops.
    let mut writer = match &standing.other {
        None => own,
        Some(other) => Writer::lock(kafka, shard_transactional_id(other, shard), shard)?,
    };
    let Decision { by, why, at } = decision.clone();
    let note = standing.note.as_ref();
    let reset = Reset {
        by,
        why,
        at,
        noted_identity: note.map(|note| note.identity.clone()),
        noted_end: note.map_or(0, |note| note.end),
        start: standing.start,
    };
    // A new life: what the group noted of the old one, and caches of it, count no more.
    let (_, identity) = new_identity();
    let value = Some(codec::encode_reset(&reset));
    let record = StateRecord { key: codec::RESET_KEY.to_owned(), value };
    let (_, end) = writer.state_watermarks(METADATA_TIMEOUT)?;
    let mut state = vec![identity; 1 + lost_of(end, reset.noted_end)];
    state.extend([record, signature(&ours)]);
    writer.commit(&[&Batch { events: Vec::new(), state }])?;
    Ok(())
}
/// How many offsets are to be filled so that the new identity lies behind all that was noted: whoever has a
/// cache of what was lost reads on from where that ended, and must come upon it. Where more is missing, a
/// cache ends far beyond the partition, and is not used.
fn lost_of(end: i64, noted: i64) -> usize {
    let lost = noted.saturating_sub(end);
    usize::try_from(lost).unwrap_or_default() * usize::from(lost <= FILLED_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::note::Note;

    #[test]
    fn what_is_missing_is_filled_unless_it_is_much_or_not_known() {
        assert_eq!(
            [(98, 100), (100, 100), (120, 100)].map(|(end, noted)| lost_of(end, noted)),
            [2, 0, 0]
        );
        assert_eq!(
            [(0, FILLED_MAX + 1), (5, Note::LOST)].map(|(end, noted)| lost_of(end, noted)),
            [0, 0]
        );
    }
}
