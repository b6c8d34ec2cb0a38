//! Which commands are meant, and each in one line: those first that need somebody.

use serde::Serialize;

use super::resolve::outcome;
use crate::{
    domain::time::Timestamp,
    sink::{
        inspect::Inspected,
        journal::{Entry, Status, records::Resolve},
    },
};

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
    /// Those that are meant: the most urgent first, then the oldest.
    pub fn chosen<'j>(&self, journal: &'j Inspected) -> Vec<&'j Entry> {
        let fits = |entry: &&Entry| {
            let key = entry.key();
            self.state.fits(entry.status())
                && self.connection.as_ref().is_none_or(|c| *c == key.connection.as_str())
                && self.reference.as_ref().is_none_or(|r| **r == *key.reference_no)
        };
        let told = journal.commands.values().map(|told| &told.entry);
        let mut chosen: Vec<&Entry> = told.filter(fits).collect();
        chosen.sort_by_key(|entry| rank(entry));
        chosen
    }
}

fn rank(entry: &Entry) -> (u8, Timestamp) {
    let urgency = match entry.status() {
        Status::Parked => 0,
        Status::InDoubt { .. } => 1,
        Status::Intended(_) | Status::NotSent { .. } | Status::Received => 2,
        Status::Done { .. }
        | Status::Declined
        | Status::Rejected
        | Status::Expired
        | Status::Resolved { .. } => 3,
    };
    (urgency, entry.first_at())
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
    pub fn about(entry: &Entry, journal: &Inspected) -> Option<Self> {
        let Resolve { outcome: found, actor, evidence, at } =
            journal.decision(entry.key())?.clone();
        Some(Self { outcome: outcome(found), actor, evidence, at: at.to_rfc3339() })
    }
}

impl Row {
    /// The line of a command.
    pub fn of(entry: &Entry, journal: &Inspected) -> Self {
        let (key, outline, status) = (entry.key(), entry.outline(), entry.status());
        let decision = Decided::about(entry, journal);
        let next = (*status == Status::Parked && decision.is_none()).then(|| {
            format!(
                "commands resolve {} --outcome executed|not-executed --evidence TEXT --actor NAME",
                key.command_id
            )
        });
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
