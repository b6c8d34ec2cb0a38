//! The journal, read by whoever asks: takes no lock and disturbs nobody.
//!
//! Whoever asks says which stories are wanted, and no other is kept: millions of finished ones may lie
//! there, and the question may be asked inside the container that executes payments.

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
        codec::{Line, Record},
        records::{Resolve, Stop},
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

/// What people said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words {
    /// The kill switch.
    pub stop: Option<Stop>,
    /// What was decided and no owner has acted on; of two decisions the first.
    decisions: BTreeMap<CommandKey, Resolve>,
}

/// The commands that were asked for, and what people said.
#[derive(Debug, Default)]
pub struct Inspected {
    /// Those that were asked for, as they stand now.
    pub commands: BTreeMap<CommandKey, Told>,
    /// What people said.
    pub words: Words,
}

/// Reads the whole journal and keeps the commands that `is_wanted`, each as it stands at the end. Blocks.
///
/// # Errors
/// Where it cannot be read to its end, or a record of it cannot be understood.
pub fn read(
    kafka: &Kafka,
    is_wanted: impl Fn(&Entry) -> bool,
) -> Result<Inspected, reading::Error> {
    let mut inspected = Inspected::default();
    for stretch in reading::stretches(kafka, &kafka.topic(topics::JOURNAL))? {
        let partition = stretch.partition;
        let take = |_, _, line| inspected.take(partition, line, &is_wanted);
        held::read(kafka, &stretch, || true, take)?;
    }
    Ok(inspected)
}

impl Inspected {
    fn take(&mut self, partition: i32, line: Line, is_wanted: &impl Fn(&Entry) -> bool) {
        match self.words.take(line) {
            Some(News::Told(entry)) if is_wanted(&entry) => {
                self.commands.insert(entry.key().clone(), Told { entry: *entry, partition });
            }
            // It may have been wanted as it stood before.
            Some(News::Told(entry)) => drop(self.commands.remove(entry.key())),
            Some(News::Forgotten(key)) => drop(self.commands.remove(&key)),
            None => {}
        }
    }
}

/// What a line of the journal says of one command.
#[derive(Debug)]
pub(super) enum News {
    /// How its story goes now.
    Told(Box<Entry>),
    /// It is forgotten.
    Forgotten(CommandKey),
}

impl Words {
    /// What somebody decided about a parked command, and no owner has acted on yet. What was said of one
    /// that is not parked is about nothing.
    pub fn decision(&self, entry: &Entry) -> Option<&Resolve> {
        let is_parked = matches!(entry.status(), Status::Parked);
        self.decisions.get(entry.key()).filter(|_| is_parked)
    }

    /// Takes over what a line says; hands back what is about one command's story.
    pub(super) fn take(&mut self, line: Line) -> Option<News> {
        match line {
            Line::Said(Record::Command(entry)) => {
                self.decisions.remove(entry.key());
                Some(News::Told(entry))
            }
            Line::Forgotten(key) => {
                self.decisions.remove(&key);
                Some(News::Forgotten(key))
            }
            Line::Said(Record::Stop(stop)) => {
                self.stop = Some(stop);
                None
            }
            Line::Said(Record::Resolve(key, decision)) => {
                self.decisions.entry(key).or_insert(decision);
                None
            }
            Line::Undecided(key) => {
                self.decisions.remove(&key);
                None
            }
            Line::Said(Record::Identity(_) | Record::Owner(_)) | Line::TakenBack => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::time::Timestamp,
        sink::{
            journal::{JournalEvent, records::Finding},
            tests::{approved, doubted, intended, key_of, parked, received_as, refund, story_of},
        },
    };

    fn told(n: u128, events: &[JournalEvent]) -> Line {
        let entry = story_of(received_as(key_of("REF-1", n), refund("10.00")), events.to_vec());
        Line::Said(Record::Command(Box::new(entry)))
    }

    fn taken(lines: impl IntoIterator<Item = Line>, is_wanted: fn(&Entry) -> bool) -> Inspected {
        let mut inspected = Inspected::default();
        lines.into_iter().for_each(|line| inspected.take(1, line, &is_wanted));
        inspected
    }

    #[test]
    fn what_is_not_wanted_is_not_kept_and_what_no_longer_is_goes() {
        let is_open = |entry: &Entry| !entry.status().is_finished();
        let done = [intended(1, 1), approved()];
        let lines = [told(1, &[]), told(2, &[]), told(3, &done), told(1, &done), told(4, &[])];
        let forgotten = Line::Forgotten(key_of("REF-1", 4));
        let inspected = taken(lines.into_iter().chain([forgotten]), is_open);
        let kept: Vec<_> = inspected.commands.into_keys().collect();
        assert_eq!(
            kept,
            [key_of("REF-1", 2)],
            "1 is finished by now, 3 was at once, 4 is forgotten"
        );
        let all = taken([told(1, &[]), told(1, &done)], |_| true);
        let story = &all.commands[&key_of("REF-1", 1)].entry;
        assert!(story.status().is_finished(), "{story:?}");
    }

    #[test]
    fn a_decision_is_about_a_parked_command_until_its_story_goes_on() {
        let story = [intended(1, 1), doubted(), parked()];
        let decide = |actor: &str| {
            let (evidence, at) = ("panel".to_owned(), Timestamp(0));
            let said =
                Resolve { outcome: Finding::Executed, evidence, actor: actor.to_owned(), at };
            Line::Said(Record::Resolve(key_of("REF-1", 1), said))
        };
        let actor = |lines: Vec<Line>| {
            let inspected = taken(lines, |_| true);
            let entry = &inspected.commands[&key_of("REF-1", 1)].entry;
            inspected.words.decision(entry).map(|decision| decision.actor.clone())
        };
        let both = || vec![told(1, &story), decide("ayse"), decide("mehmet")];
        assert_eq!(actor(both()).as_deref(), Some("ayse"), "the first one counts");
        assert_eq!(actor(vec![told(1, &story[..2]), decide("ayse")]), None, "nothing to decide");
        let gone = Line::Undecided(key_of("REF-1", 1));
        assert_eq!(actor(both().into_iter().chain([gone]).collect()), None);
    }
}
