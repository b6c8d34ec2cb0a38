//! What the group remembers of a state partition beside its content.
//!
//! It travels as metadata of the group's committed offset on the assignment topic. If the state
//! topic is deleted, emptied or cut, this note still knows how much there was: starting from an
//! emptied state would publish everything again.

use serde::{Deserialize, Serialize};

use crate::state::reset::Reset;

/// The identity and the end of a state partition, as they were last confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Note {
    /// The uuid under `_identity`.
    pub identity: String,
    /// The end of the partition, or [`Note::LOST`].
    pub end: i64,
}

/// What a state partition looks like after the lock was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found<'a> {
    /// The uuid under `_identity`, where there is one.
    pub identity: Option<&'a str>,
    /// First offset that is still there.
    pub start: i64,
    /// The true end.
    pub end: i64,
}

/// A state topic that lost something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Regression {
    /// Compaction never moves the log start; deleting records or retention does.
    #[error("its first {0} offsets were deleted")]
    Cut(i64),
    /// Another topic under the same name.
    #[error("it was recreated: identity {found:?} instead of {noted}")]
    Recreated {
        /// What the group noted.
        noted: String,
        /// What is there.
        found: Option<String>,
    },
    /// Shorter than it was.
    #[error("it ends at {found}, but the group noted {noted}")]
    Shorter {
        /// What the group noted.
        noted: i64,
        /// What is there.
        found: i64,
    },
    /// It has lost something that more records have covered since.
    #[error(
        "while a shard wrote to it, records came to offsets that were taken before: it had lost its end (where it \
         was restored since, `checkpoint reset` accepts it as it is, and forgets nothing that is there)"
    )]
    LostEnd,
}

/// Compares what is there with what the group noted; no note is no evidence of a loss. What an
/// operator has accepted is no loss any more, anything after it is.
pub fn check_regression(
    note: Option<&Note>,
    found: Found<'_>,
    reset: Option<&Reset>,
) -> Result<(), Regression> {
    if found.start > reset.map_or(0, |reset| reset.start) {
        return Err(Regression::Cut(found.start));
    }
    // A reset gives the partition a new identity, so notes of the old one are void for ever.
    let overruled = |note: &&Note| {
        reset.is_some_and(|reset| reset.noted_identity.as_deref() == Some(&note.identity))
    };
    let Some(note) = note.filter(|note| !overruled(note)) else { return Ok(()) };
    if !note.is_lost() && found.end < note.end {
        return Err(Regression::Shorter { noted: note.end, found: found.end });
    }
    if found.identity != Some(note.identity.as_str()) {
        return Err(Regression::Recreated {
            noted: note.identity.clone(),
            found: found.identity.map(str::to_owned),
        });
    }
    if note.is_lost() {
        return Err(Regression::LostEnd);
    }
    Ok(())
}

impl Note {
    /// The end of a partition that was seen to lose its end. What was written when that was noticed fills
    /// the gap, so that no length tells of it any more; only an operator's decision voids the note.
    pub const LOST: i64 = i64::MAX;

    /// The same partition, of which something is lost.
    pub fn lost(self) -> Self {
        Self { end: Self::LOST, ..self }
    }

    /// Whether something of it is known to be lost.
    pub const fn is_lost(&self) -> bool {
        self.end == Self::LOST
    }

    /// As committed metadata.
    pub fn to_metadata(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// From committed metadata; anything else there is no note.
    pub fn from_metadata(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;

    fn note() -> Note {
        Note { identity: "a".into(), end: 10 }
    }

    #[test]
    fn a_partition_that_grew_is_fine() {
        let found = Found { identity: Some("a"), start: 0, end: 12 };
        assert_eq!(check_regression(Some(&note()), found, None), Ok(()));
        assert_eq!(
            check_regression(None, Found { identity: None, start: 0, end: 0 }, None),
            Ok(())
        );
    }

    #[test]
    fn a_lost_end_is_not_hidden_by_what_was_written_since() {
        let lost = Note::from_metadata(&note().lost().to_metadata()).unwrap();
        let grown = |identity| Found { identity: Some(identity), start: 0, end: 500 };
        assert_eq!(check_regression(Some(&lost), grown("a"), None), Err(Regression::LostEnd));
        let recreated = check_regression(Some(&lost), grown("b"), None);
        assert!(matches!(recreated, Err(Regression::Recreated { .. })), "{recreated:?}");
    }

    #[test]
    fn emptied_recreated_and_cut_partitions_are_told_apart() {
        let emptied = Found { identity: None, start: 0, end: 0 };
        let recreated = Found { identity: Some("b"), start: 0, end: 40 };
        let cut = Found { identity: Some("a"), start: 3, end: 40 };
        assert_eq!(
            check_regression(Some(&note()), emptied, None),
            Err(Regression::Shorter { noted: 10, found: 0 })
        );
        assert!(matches!(
            check_regression(Some(&note()), recreated, None),
            Err(Regression::Recreated { .. })
        ));
        assert_eq!(check_regression(Some(&note()), cut, None), Err(Regression::Cut(3)));
        assert_eq!(check_regression(None, cut, None), Err(Regression::Cut(3)));
    }

    #[test]
    fn an_accepted_loss_is_none_and_the_next_one_is_one_again() {
        let reset = Reset {
            by: "ops".into(),
            why: "topic recreated".into(),
            at: Timestamp(0),
            noted_identity: Some("a".into()),
            noted_end: 10,
            start: 3,
        };
        let check = |note: &Note, found| check_regression(Some(note), found, Some(&reset));
        let recreated = Found { identity: Some("b"), start: 0, end: 4 };
        assert_eq!(check(&note(), recreated), Ok(()));
        assert_eq!(check(&note(), Found { start: 3, ..recreated }), Ok(()));
        assert_eq!(check(&note(), Found { start: 4, ..recreated }), Err(Regression::Cut(4)));
        let later = Note { identity: "b".into(), end: 6 };
        assert!(matches!(check(&later, recreated), Err(Regression::Shorter { .. })));
        let other = Note { identity: "c".into(), end: 1 };
        assert!(matches!(check(&other, recreated), Err(Regression::Recreated { .. })));
    }

    #[test]
    fn notes_survive_the_trip_through_metadata() {
        assert_eq!(Note::from_metadata(&note().to_metadata()), Some(note()));
        assert_eq!(Note::from_metadata("something else"), None);
    }
}
