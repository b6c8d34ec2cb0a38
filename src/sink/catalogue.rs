//! Every command that is meant, in an order, without all of their stories in memory.
//!
//! Millions of finished commands may be told of. A first reading of the journal keeps some 50 bytes of
//! each: what they are sorted by, and where the newest story lies. The stories are read again by their
//! places, a part at a time.

use std::{
    collections::{BTreeMap, HashMap},
    ops::{ControlFlow, Range},
    time::Duration,
};

use crate::{
    config::model::Kafka,
    domain::time::Timestamp,
    kafka::{
        reading::{self, Stretch, Terms, read_while},
        topics,
    },
};

use super::{
    finished::{Hash, Place, hash_of},
    held,
    inspect::{News, Words},
    journal::{
        Entry,
        codec::{self, Line, Record},
    },
};

/// Places are told to be committed, or to count as said, so nothing is waited for: see `held`.
const TERMS: Terms =
    Terms { uncommitted: true, deadline: Duration::from_secs(120), held_max: None };
/// Readings of one partition for one part at most: each begins with a client of its own.
const READINGS_MAX: i64 = 64;
/// Offsets that are sooner read over than jumped over.
const GAP_MIN: i64 = 5_000;

/// A command that is meant: what it is sorted by, and where its newest story lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Row {
    class: u8,
    partition: i32,
    first_at: Timestamp,
    offset: i64,
}

/// The commands that are meant, and what people said.
#[derive(Debug)]
pub struct Catalogue {
    /// By class, then by age, the oldest first; those of one instant by the hashes of their keys.
    rows: Vec<(Hash, Row)>,
    /// What people said.
    pub words: Words,
}

impl Catalogue {
    /// Reads the whole journal; `class` tells those that are meant, as they stand at the end. Blocks.
    ///
    /// # Errors
    /// Where it cannot be read to its end, or a record of it cannot be understood.
    pub fn read(
        kafka: &Kafka,
        class: impl Fn(&Entry) -> Option<u8>,
    ) -> Result<Self, reading::Error> {
        let mut draft = Draft::default();
        for stretch in reading::stretches(kafka, &kafka.topic(topics::JOURNAL))? {
            let partition = stretch.partition;
            held::read(
                kafka,
                &stretch,
                || true,
                |_, offset, line| draft.take(Place { partition, offset }, line, &class),
            )?;
        }
        Ok(draft.sorted())
    }

    /// How many are meant.
    pub const fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether none is.
    pub const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// How many of them are of an earlier class than this one.
    pub fn before(&self, class: u8) -> usize {
        self.rows.partition_point(|(_, row)| row.class < class)
    }

    /// The stories of a part of them, in their order. Blocks.
    ///
    /// # Errors
    /// Where one cannot be read again.
    pub fn stories(&self, kafka: &Kafka, part: Range<usize>) -> Result<Vec<Entry>, reading::Error> {
        let rows = self.rows.get(part).unwrap_or_default();
        let topic = kafka.topic(topics::JOURNAL);
        let mut stories: Vec<Option<Entry>> = vec![None; rows.len()];
        for (partition, wanted) in by_partition(rows) {
            for run in runs(&wanted) {
                read_run(kafka, &topic, partition, run, &mut stories)?;
            }
        }
        Ok(stories.into_iter().flatten().collect())
    }
}

/// A wanted record: its offset, and which of the part it is.
type Wanted = (i64, usize);

/// By partition, in the order of offsets.
fn by_partition(rows: &[(Hash, Row)]) -> BTreeMap<i32, Vec<Wanted>> {
    let mut all: BTreeMap<i32, Vec<Wanted>> = BTreeMap::new();
    for (at, (_, row)) in rows.iter().enumerate() {
        all.entry(row.partition).or_default().push((row.offset, at));
    }
    all.values_mut().for_each(|wanted| wanted.sort_unstable());
    all
}

/// What is read in one go: without long ways over what nobody wants.
fn runs(wanted: &[Wanted]) -> impl Iterator<Item = &[Wanted]> {
    let span = match (wanted.first(), wanted.last()) {
        (Some((first, _)), Some((last, _))) => last - first,
        (None, _) | (_, None) => 0,
    };
    let gap = GAP_MIN.max(span / READINGS_MAX);
    wanted.chunk_by(move |(before, _), (after, _)| after - before <= gap)
}

/// Puts the stories of one run where they belong.
fn read_run(
    kafka: &Kafka,
    topic: &str,
    partition: i32,
    run: &[Wanted],
    stories: &mut [Option<Entry>],
) -> Result<(), reading::Error> {
    let (Some((from, _)), Some((last, _))) = (run.first(), run.last()) else { return Ok(()) };
    let stretch = Stretch { topic: topic.to_owned(), partition, from: *from, end: last + 1 };
    let mut wanted = run.iter().peekable();
    read_while(
        kafka,
        &stretch,
        TERMS,
        || true,
        |offset, key, value| {
            if let Some((_, at)) = wanted.next_if(|(wanted, _)| *wanted == offset)
                && let Some(place) = stories.get_mut(*at)
            {
                *place = Some(story(key, value)?);
            }
            let is_beyond = wanted.peek().is_none_or(|(wanted, _)| *wanted <= offset);
            Ok(if is_beyond { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        },
    )?;
    match wanted.next() {
        None => Ok(()),
        Some((offset, _)) => Err(reading::Error::Record {
            topic: stretch.topic,
            partition,
            offset: *offset,
            reason: "was compacted away while the journal was read; ask again".to_owned(),
        }),
    }
}

fn story(key: &[u8], value: Option<&[u8]>) -> Result<Entry, String> {
    match codec::read_line(key, value).map_err(|error| error.to_string())? {
        Line::Said(Record::Command(entry)) => Ok(*entry),
        Line::Said(
            Record::Identity(_) | Record::Owner(_) | Record::Stop(_) | Record::Resolve(..),
        )
        | Line::Forgotten(_)
        | Line::Undecided(_)
        | Line::TakenBack => Err("was another record when the journal was read first".to_owned()),
    }
}

/// The commands that are meant, as far as the journal is read.
#[derive(Debug, Default)]
struct Draft {
    rows: HashMap<Hash, Row>,
    words: Words,
}

impl Draft {
    fn take(&mut self, place: Place, line: Line, class: &impl Fn(&Entry) -> Option<u8>) {
        match self.words.take(line) {
            Some(News::Told(entry)) => {
                let (hash, first_at) = (hash_of(entry.key()), entry.first_at());
                let Place { partition, offset } = place;
                match class(&entry) {
                    Some(class) => {
                        self.rows.insert(hash, Row { class, partition, first_at, offset });
                    }
                    // It may have been meant as it stood before.
                    None => drop(self.rows.remove(&hash)),
                }
            }
            Some(News::Forgotten(key)) => drop(self.rows.remove(&hash_of(&key))),
            None => {}
        }
    }

    fn sorted(self) -> Catalogue {
        let Self { rows, words } = self;
        let mut rows: Vec<_> = rows.into_iter().collect();
        rows.sort_unstable_by_key(|(hash, row)| (row.class, row.first_at, *hash));
        Catalogue { rows, words }
    }
}

#[cfg(test)]
#[path = "catalogue_tests.rs"]
mod tests;
