//! What must be true when everything has come to its end.

use std::collections::BTreeSet;

use crate::{
    domain::{money::Money, vocabulary::Outcome},
    sink::{
        command::Kind,
        journal::{Entry, Status, codec},
    },
};

use super::world::World;

pub(super) fn check(world: &World) -> Result<Vec<&'static str>, String> {
    let mut ends = Vec::new();
    let shared = &world.shared;
    if let Some(key) = shared.too_late.first() {
        return Err(format!("money moved for {key} after its story was over"));
    }
    let mut listed = Money::ZERO;
    for command in &shared.commands {
        let key = &command.key;
        let bytes = shared.journal.get(key).ok_or_else(|| format!("{key} was lost"))?;
        let read = codec::decode(&key.to_string(), bytes).map_err(|e| e.to_string())?;
        let codec::Record::Command(entry) = read else {
            return Err(format!("{key} is no command"));
        };
        if world.owner.entries.get(key) != Some(&*entry) {
            return Err(format!("{key} is not in the journal as its owner knows it"));
        }
        if codec::encode_entry(&entry) != *bytes {
            return Err(format!("{key} is written in two ways"));
        }
        check_requests(world, &entry)?;
        check_results(world, &entry)?;
        ends.push(end_of(world, &entry));
    }
    let mut counted = BTreeSet::new();
    for (_, key, kind) in &shared.api.moves {
        if !counted.insert(key) {
            return Err(format!("{key} moved money twice"));
        }
        if let Kind::Refund { amount } = kind {
            listed = Money::from_unscaled(listed.unscaled() + amount.unscaled());
        }
    }
    for by_hand in shared.api.by_hand {
        listed = Money::from_unscaled(listed.unscaled() + by_hand.unscaled());
    }
    if listed != shared.api.refunded() {
        return Err(format!("{listed} was asked for, {} was refunded", shared.api.refunded()));
    }
    Ok(ends)
}

/// How a command ended, as the schedules are counted.
fn end_of(world: &World, entry: &Entry) -> &'static str {
    let moved = world.shared.api.moves.iter().any(|(_, key, _)| key == entry.key());
    let intents = entry.events().iter().filter(|event| event.name() == "Intended").count();
    match entry.status() {
        Status::Done { inferred: true } => "Done, inferred",
        Status::Done { inferred: false } if intents > 1 => "Done, not at the first attempt",
        Status::Parked if moved => "Parked, moved",
        other => other.name(),
    }
}

/// One request at most, and the money moved exactly where the story says so.
fn check_requests(world: &World, entry: &Entry) -> Result<(), String> {
    let key = entry.key();
    let api = &world.shared.api;
    let posts = api.posts.get(key).copied().unwrap_or_default();
    if posts > 1 {
        return Err(format!("{posts} requests left for {key}"));
    }
    if i64::from(posts) > i64::from(entry.attempts()) {
        return Err(format!("a request left for {key} that its story does not know"));
    }
    let moved = api.moves.iter().any(|(_, other, _)| other == key);
    let wanted = match entry.status() {
        Status::Done { .. } => Some(true),
        Status::Declined | Status::Rejected | Status::Expired => Some(false),
        // A parked command may have moved money or not: a person finds out.
        Status::Parked => None,
        Status::Received
        | Status::Intended(_)
        | Status::NotSent { .. }
        | Status::InDoubt { .. }
        | Status::Resolved { .. } => {
            return Err(format!("{key} is still {}", entry.status().name()));
        }
    };
    match wanted {
        Some(wanted) if wanted != moved => {
            Err(format!("{key} is {}, moved: {moved}", entry.status().name()))
        }
        Some(_) | None => Ok(()),
    }
}

/// Exactly one final result, the last one, however often it was published.
fn check_results(world: &World, entry: &Entry) -> Result<(), String> {
    let key = entry.key();
    let seen = world.shared.results.get(key).map_or(&[][..], Vec::as_slice);
    let finals: BTreeSet<_> = seen.iter().filter(|s| s.is_final).map(|s| s.id).collect();
    if finals.len() != 1 {
        return Err(format!("{key} has {} final results", finals.len()));
    }
    let last = seen.iter().max_by_key(|seen| seen.sequence);
    let Some(last) = last.filter(|last| last.is_final) else {
        return Err(format!("the newest result of {key} is not final"));
    };
    let expected = match entry.status() {
        Status::Done { .. } => Outcome::Succeeded,
        Status::Declined => Outcome::Declined,
        Status::Rejected => Outcome::Rejected,
        Status::Expired => Outcome::Expired,
        Status::Parked => Outcome::Parked,
        Status::Received
        | Status::Intended(_)
        | Status::NotSent { .. }
        | Status::InDoubt { .. }
        | Status::Resolved { .. } => Outcome::Unknown,
    };
    if last.outcome != expected {
        return Err(format!("{key} is {}, told: {}", entry.status().name(), last.outcome));
    }
    Ok(())
}
