//! The journal, read by whoever asks: takes no lock and disturbs nobody.

use std::collections::BTreeMap;

use crate::{
    config::model::Kafka,
    kafka::{reading, topics},
};

use super::{
    command::CommandKey,
    held,
    journal::{
        Entry, Status,
        codec::{self, Line, Record},
        records::{Owner, Resolve, Stop},
    },
};

/// A command and the partition that its story lies in.
#[derive(Debug, Clone)]
pub struct Told {
    /// Its story.
    pub entry: Entry,
    /// Of the journal, and of the command topic.
    pub partition: i32,
}

/// Everything that the journal tells.
#[derive(Debug, Default)]
pub struct Inspected {
    /// Every command, finished ones included.
    pub commands: BTreeMap<CommandKey, Told>,
    /// The newest owner.
    pub owner: Option<Owner>,
    /// The kill switch.
    pub stop: Option<Stop>,
    /// What people decided and no owner has acted on; of two decisions the first.
    pub decisions: BTreeMap<CommandKey, Resolve>,
}

/// Reads the whole journal. Blocks.
///
/// # Errors
/// Where it cannot be read to its end, or a record of it cannot be understood.
pub fn read(kafka: &Kafka) -> Result<Inspected, reading::Error> {
    let mut inspected = Inspected::default();
    for stretch in reading::stretches(kafka, &kafka.topic(topics::JOURNAL))? {
        held::read(
            kafka,
            &stretch,
            || true,
            |_, _, key, value| {
                inspected.apply(stretch.partition, key, value).map_err(|error| error.to_string())
            },
        )?;
    }
    Ok(inspected)
}

impl Inspected {
    /// What somebody decided about a parked command, and no owner has acted on yet. What was said of one
    /// that is not parked is about nothing.
    pub fn decision(&self, key: &CommandKey) -> Option<&Resolve> {
        let told = self.commands.get(key)?;
        let is_parked = matches!(told.entry.status(), Status::Parked);
        self.decisions.get(key).filter(|_| is_parked)
    }

    fn apply(
        &mut self,
        partition: i32,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), codec::Error> {
        let record = match codec::read_line(key, value)? {
            Line::Said(record) => record,
            Line::Forgotten(key) => {
                self.commands.remove(&key);
                self.decisions.remove(&key);
                return Ok(());
            }
            Line::Undecided(key) => {
                self.decisions.remove(&key);
                return Ok(());
            }
            Line::TakenBack => return Ok(()),
        };
        match record {
            Record::Command(entry) => {
                let key = entry.key().clone();
                self.decisions.remove(&key);
                self.commands.insert(key, Told { entry: *entry, partition });
            }
            Record::Identity(_) => {}
            Record::Owner(owner) => self.owner = Some(owner),
            Record::Stop(stop) => self.stop = Some(stop),
            Record::Resolve(key, decision) => {
                self.decisions.entry(key).or_insert(decision);
            }
        }
        Ok(())
    }
}
