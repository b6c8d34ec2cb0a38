//! One command's whole story.

use crate::{
    domain::time::Timestamp,
    sink::{
        command::{Command, CommandKey, Order, Outline},
        payload::Digest,
    },
};

use super::{
    event::{Arrival, JournalEvent},
    status::{IllegalTransition, Status, next_status},
};

/// Events of one command at most: the plan gives up long before.
pub const EVENTS_MAX: usize = 160;

/// A command's events and where they lead; never empty, never in contradiction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    key: CommandKey,
    /// What its first event says of the command.
    outline: Outline,
    events: Vec<JournalEvent>,
    status: Status,
}

impl Entry {
    /// Of a valid command that was read from its topic.
    pub fn received(command: Command, arrival: Arrival, at: Timestamp) -> Self {
        let Command { key, order } = command;
        let outline = order.outline();
        let event = JournalEvent::Received { at, order, arrival }.cleaned();
        Self { key, outline, events: vec![event], status: Status::Received }
    }

    /// Of an invalid command; its story ends where it begins.
    pub fn refused(key: CommandKey, outline: Outline, why: String, at: Timestamp) -> Self {
        let event = JournalEvent::Refused { at, outline: outline.clone(), why }.cleaned();
        Self { key, outline, events: vec![event], status: Status::Rejected }
    }

    /// Replays a story.
    ///
    /// # Errors
    /// Where an event cannot follow the one before it.
    pub fn from_events(
        key: CommandKey,
        events: Vec<JournalEvent>,
    ) -> Result<Self, IllegalTransition> {
        let empty = IllegalTransition { status: None, event: "the end", why: "a story has events" };
        let mut events = events.into_iter();
        let first = events.next().ok_or(empty)?;
        let mut entry = Self::begin(key, first)?;
        for event in events {
            entry.apply(event)?;
        }
        Ok(entry)
    }

    fn begin(key: CommandKey, first: JournalEvent) -> Result<Self, IllegalTransition> {
        let status = next_status(None, &first)?;
        let outline = match &first {
            JournalEvent::Received { order, .. } => order.outline(),
            JournalEvent::Refused { outline, .. } => outline.clone(),
            JournalEvent::Rejected { .. }
            | JournalEvent::Expired { .. }
            | JournalEvent::Intended { .. }
            | JournalEvent::NotSent { .. }
            | JournalEvent::Approved { .. }
            | JournalEvent::Declined { .. }
            | JournalEvent::Doubted { .. }
            | JournalEvent::Inferred { .. }
            | JournalEvent::Parked { .. }
            | JournalEvent::Resolved { .. } => {
                let why = "a story begins with its command";
                return Err(IllegalTransition { status: None, event: first.name(), why });
            }
        };
        Ok(Self { key, outline, events: vec![first.cleaned()], status })
    }

    /// Adds what happened next.
    ///
    /// # Errors
    /// Where it cannot follow; the entry is as before then.
    pub fn apply(&mut self, event: JournalEvent) -> Result<(), IllegalTransition> {
        if self.events.len() >= EVENTS_MAX {
            return Err(IllegalTransition {
                status: Some(self.status.name()),
                event: event.name(),
                why: "the story is too long",
            });
        }
        self.status = next_status(Some(&self.status), &event)?;
        self.events.push(event.cleaned());
        Ok(())
    }

    /// The same story with one more event; this one stays as it is.
    ///
    /// # Errors
    /// Where the event cannot follow.
    pub fn with(&self, event: JournalEvent) -> Result<Self, IllegalTransition> {
        let mut next = self.clone();
        next.apply(event)?;
        Ok(next)
    }

    /// Which command.
    pub const fn key(&self) -> &CommandKey {
        &self.key
    }

    /// What happened, in order.
    pub fn events(&self) -> &[JournalEvent] {
        &self.events
    }

    /// Where that leads.
    pub const fn status(&self) -> &Status {
        &self.status
    }

    /// What was asked for, as far as it could be read.
    pub const fn outline(&self) -> &Outline {
        &self.outline
    }

    /// What was asked for; nothing where the command was invalid.
    pub fn order(&self) -> Option<&Order> {
        self.received_as().map(|(order, _)| order)
    }

    /// Where the command stood in its topic; nothing where it was invalid.
    pub fn arrival(&self) -> Option<Arrival> {
        self.received_as().map(|(_, arrival)| arrival)
    }

    fn received_as(&self) -> Option<(&Order, Arrival)> {
        self.events.first().and_then(|event| match event {
            JournalEvent::Received { order, arrival, .. } => Some((order, *arrival)),
            JournalEvent::Refused { .. }
            | JournalEvent::Rejected { .. }
            | JournalEvent::Expired { .. }
            | JournalEvent::Intended { .. }
            | JournalEvent::NotSent { .. }
            | JournalEvent::Approved { .. }
            | JournalEvent::Declined { .. }
            | JournalEvent::Doubted { .. }
            | JournalEvent::Inferred { .. }
            | JournalEvent::Parked { .. }
            | JournalEvent::Resolved { .. } => None,
        })
    }

    /// Tells the same command again from another one under its id.
    pub const fn digest(&self) -> Digest {
        self.outline.digest
    }

    /// When its story began.
    pub fn first_at(&self) -> Timestamp {
        self.events.first().map_or(Timestamp(0), JournalEvent::at)
    }

    /// When the last thing happened.
    pub fn last_at(&self) -> Timestamp {
        self.events.last().map_or(Timestamp(0), JournalEvent::at)
    }

    /// Results published so far.
    pub fn sequence(&self) -> i32 {
        let count = self.events.iter().filter(|event| event.publishes()).count();
        i32::try_from(count).unwrap_or(i32::MAX)
    }

    /// Requests that may have been sent: intents that were not taken back.
    pub fn attempts(&self) -> i32 {
        self.events.iter().fold(0, |sum, event| match event {
            JournalEvent::Intended { .. } => sum + 1,
            JournalEvent::NotSent { .. } => sum - 1,
            JournalEvent::Received { .. }
            | JournalEvent::Refused { .. }
            | JournalEvent::Rejected { .. }
            | JournalEvent::Expired { .. }
            | JournalEvent::Approved { .. }
            | JournalEvent::Declined { .. }
            | JournalEvent::Doubted { .. }
            | JournalEvent::Inferred { .. }
            | JournalEvent::Parked { .. }
            | JournalEvent::Resolved { .. } => sum,
        })
    }

    /// When the last permission to send was given.
    pub fn intended_at(&self) -> Option<Timestamp> {
        self.events.iter().rev().find_map(|event| match event {
            JournalEvent::Intended { at, .. } => Some(*at),
            JournalEvent::Received { .. }
            | JournalEvent::Refused { .. }
            | JournalEvent::Rejected { .. }
            | JournalEvent::Expired { .. }
            | JournalEvent::NotSent { .. }
            | JournalEvent::Approved { .. }
            | JournalEvent::Declined { .. }
            | JournalEvent::Doubted { .. }
            | JournalEvent::Inferred { .. }
            | JournalEvent::Parked { .. }
            | JournalEvent::Resolved { .. } => None,
        })
    }

    /// The permission under which a request may be on its way.
    pub(in crate::sink) const fn intent(&self) -> Option<&super::status::Intent> {
        match &self.status {
            Status::Intended(intent) | Status::InDoubt { intent, .. } => Some(intent),
            Status::Received
            | Status::NotSent { .. }
            | Status::Done { .. }
            | Status::Declined
            | Status::Rejected
            | Status::Expired
            | Status::Parked
            | Status::Resolved { .. } => None,
        }
    }
}

#[cfg(test)]
#[path = "entry_tests.rs"]
mod tests;
