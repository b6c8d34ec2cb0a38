//! Which commands are meant, and each in one line: those first that need somebody.

use std::{borrow::Cow, ops::Range, sync::Arc};

use serde::Serialize;

use super::{Error, aside, resolve::outcome};
use crate::{
    config::model::Kafka,
    sink::{
        catalogue::Catalogue,
        command::CommandKey,
        inspect::{self, Inspected, Words},
        journal::{Entry, Status, records::Resolve},
    },
};

/// Finished commands in one list at most, the newest ones: it is held in memory, and there may be millions.
pub const FINISHED_MAX: usize = 10_000;
/// What is finished comes behind all that is open.
const FINISHED: u8 = 3;

/// How a command must stand to be meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wanted {
    /// Not finished: waiting, on its way, in doubt or parked.
    #[default]
    Open,
    /// In doubt or parked.
    InDoubt,
    /// Parked: somebody must decide.
    Parked,
    /// Finished.
    Finished,
    /// Every one.
    All,
}

impl Wanted {
    const fn has_finished(self) -> bool {
        matches!(self, Self::Finished | Self::All)
    }

    const fn fits(self, status: &Status) -> bool {
        match self {
            Self::All => true,
            Self::Open => !status.is_finished(),
            Self::Finished => status.is_finished(),
            Self::Parked => matches!(status, Status::Parked),
            Self::InDoubt => matches!(status, Status::Parked | Status::InDoubt { .. }),
        }
    }
}

/// Which commands are meant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// How they stand.
    pub state: Wanted,
    /// Only of this connection.
    pub connection: Option<String>,
    /// Only of this payment.
    pub reference: Option<String>,
}

impl Filter {
    fn fits(&self, entry: &Entry) -> bool {
        let key = entry.key();
        self.state.fits(entry.status())
            && self.connection.as_ref().is_none_or(|c| *c == key.connection.as_str())
            && self.reference.as_ref().is_none_or(|r| **r == *key.reference_no)
    }
}

/// The commands that are meant: the most urgent first, then the oldest.
#[derive(Debug)]
pub struct Listed {
    /// Their stories.
    pub entries: Vec<Entry>,
    /// Finished ones that are older than these, beyond [`FINISHED_MAX`].
    pub left_out: usize,
    /// What people said.
    pub words: Words,
}

/// Reads them from the journal.
///
/// # Errors
/// Where it cannot be read to its end.
pub async fn listed(kafka: &Kafka, filter: Filter) -> Result<Listed, Error> {
    let kafka = kafka.clone();
    aside(move || {
        let fits = |entry: &Entry| filter.fits(entry);
        if !filter.state.has_finished() {
            let Inspected { commands, words } = inspect::read(&kafka, fits)?;
            let mut entries: Vec<_> = commands.into_values().map(|told| told.entry).collect();
            entries.sort_by_key(|entry| (urgency(entry.status()), entry.first_at()));
            return Ok(Listed { entries, left_out: 0, words });
        }
        let urgency = |entry: &Entry| fits(entry).then(|| urgency(entry.status()));
        let catalogue = Catalogue::read(&kafka, urgency)?;
        let (open, all) = (catalogue.before(FINISHED), catalogue.len());
        let left_out = left_out(all - open);
        let mut entries = catalogue.stories(&kafka, 0..open)?;
        entries.extend(catalogue.stories(&kafka, open + left_out..all)?);
        Ok(Listed { entries, left_out, words: catalogue.words })
    })
    .await
}

const fn left_out(finished: usize) -> usize {
    finished.saturating_sub(FINISHED_MAX)
}

/// Where the stories of the commands that are meant lie, the oldest first.
///
/// # Errors
/// Where the journal cannot be read to its end.
pub async fn catalogue(kafka: &Kafka, filter: Filter) -> Result<Arc<Catalogue>, Error> {
    let kafka = kafka.clone();
    let by_age = move |entry: &Entry| filter.fits(entry).then_some(0);
    aside(move || Catalogue::read(&kafka, by_age).map(Arc::new)).await
}

/// The stories of a part of them.
///
/// # Errors
/// Where one cannot be read again.
pub async fn stories(
    kafka: &Kafka,
    catalogue: &Arc<Catalogue>,
    part: Range<usize>,
) -> Result<Vec<Entry>, Error> {
    let (kafka, catalogue) = (kafka.clone(), Arc::clone(catalogue));
    aside(move || catalogue.stories(&kafka, part)).await
}

const fn urgency(status: &Status) -> u8 {
    match status {
        Status::Parked => 0,
        Status::InDoubt { .. } => 1,
        Status::Intended(_) | Status::NotSent { .. } | Status::Received => 2,
        Status::Done { .. }
        | Status::Declined
        | Status::Rejected
        | Status::Expired
        | Status::Resolved { .. } => FINISHED,
    }
}

/// One command in a line.
#[derive(Debug, Serialize)]
pub struct Row {
    command_id: String,
    connection: String,
    reference_no: String,
    r#type: String,
    amount: Option<String>,
    status: &'static str,
    attempts: i32,
    /// Results published so far.
    sequence: i32,
    received_at: String,
    last_at: String,
    /// What somebody decided and no sink has acted on yet.
    decision: Option<Decided>,
    /// What to type where somebody must decide.
    next: Option<String>,
}

/// A decision that no sink has acted on yet.
#[derive(Debug, Serialize)]
pub struct Decided {
    /// The outcome of the result that it will publish.
    pub outcome: &'static str,
    /// Who decided.
    pub actor: String,
    /// How they know.
    pub evidence: String,
    /// When.
    pub at: String,
}

impl Decided {
    /// What was decided about a command.
    pub fn about(entry: &Entry, words: &Words) -> Option<Self> {
        let Resolve { outcome: found, actor, evidence, at } = words.decision(entry)?.clone();
        Some(Self { outcome: outcome(found), actor, evidence, at: at.to_rfc3339() })
    }
}

impl Row {
    /// The line of a command.
    pub fn of(entry: &Entry, words: &Words) -> Self {
        let (key, outline, status) = (entry.key(), entry.outline(), entry.status());
        let decision = Decided::about(entry, words);
        let next = (*status == Status::Parked && decision.is_none()).then(|| next(key));
        Self {
            command_id: key.command_id.to_string(),
            connection: key.connection.to_string(),
            reference_no: key.reference_no.to_string(),
            r#type: outline.kind.to_string(),
            amount: outline.amount.map(|amount| amount.to_string()),
            status: status.word(),
            attempts: entry.attempts(),
            sequence: entry.sequence(),
            received_at: entry.first_at().to_rfc3339(),
            last_at: entry.last_at().to_rfc3339(),
            decision,
            next,
        }
    }
}

/// With the reference, since the id may have been used for another payment too.
fn next(key: &CommandKey) -> String {
    format!(
        "commands resolve {} --connection={} --reference={} --outcome executed|not-executed \
         --evidence TEXT --actor NAME",
        key.command_id,
        key.connection,
        quoted(&key.reference_no)
    )
}

/// A word as a shell takes it.
fn quoted(word: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:@+,".contains(c);
    if word.chars().all(is_plain) && !word.is_empty() {
        return Cow::Borrowed(word);
    }
    Cow::Owned(format!("'{}'", word.replace('\'', r"'\''")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::tests::{
        approved, doubted, intended, key_of, parked, received_as, refund, story_of,
    };

    #[test]
    fn the_list_says_what_to_type_for_this_very_payment() {
        let story = [intended(1, 1), doubted(), parked()];
        let next = |reference: &str, events: usize| {
            let entry = received_as(key_of(reference, 1), refund("10.00"));
            let entry = story_of(entry, story[..events].to_vec());
            Row::of(&entry, &Words::default()).next
        };
        let said = next("REF-1", 3).unwrap();
        assert!(said.contains("0001 --connection=acme --reference=REF-1 --outcome"), "{said}");
        let said = next("$(x) it's", 3).unwrap();
        assert!(said.contains(r"--reference='$(x) it'\''s' --outcome"), "{said}");
        assert_eq!(next("REF-1", 2), None, "nobody is needed");
    }

    #[test]
    fn a_command_is_meant_by_its_state_its_connection_and_its_reference() {
        let done = [intended(1, 1), approved()];
        let doubt = [intended(1, 1), doubted(), parked()];
        let entry = |events: &[_]| {
            story_of(received_as(key_of("REF-1", 1), refund("10.00")), events.to_vec())
        };
        let all = [entry(&[]), entry(&doubt[..2]), entry(&doubt), entry(&done)];
        let fits = |filter: Filter| all.each_ref().map(|entry| filter.fits(entry));
        let of = |state| fits(Filter { state, ..Filter::default() });
        assert_eq!(of(Wanted::Open), [true, true, true, false]);
        assert_eq!(of(Wanted::InDoubt), [false, true, true, false]);
        assert_eq!(of(Wanted::Parked), [false, false, true, false]);
        assert_eq!(of(Wanted::Finished), [false, false, false, true]);
        assert_eq!(of(Wanted::All), [true; 4]);
        let state = Wanted::All;
        for (connection, reference, fit) in [
            (Some("acme"), Some("REF-1"), true),
            (Some("beta"), None, false),
            (None, Some("REF-2"), false),
        ] {
            let (connection, reference) =
                (connection.map(str::to_owned), reference.map(str::to_owned));
            assert_eq!(fits(Filter { state, connection, reference }), [fit; 4]);
        }
        assert_eq!(all.each_ref().map(|entry| urgency(entry.status())), [2, 1, 0, FINISHED]);
    }

    #[test]
    fn a_list_has_a_bound() {
        assert_eq!((left_out(0), left_out(FINISHED_MAX)), (0, 0));
        assert_eq!(left_out(FINISHED_MAX + 7), 7);
    }
}
