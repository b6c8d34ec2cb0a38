//! An account that does not stand still against a plain map of what readers know: rows that come,
//! come late, are edited, edited back, deleted and come back, in answers of any order.

use std::collections::BTreeMap;

use proptest::{prelude::*, sample::Index};

use super::*;
use crate::{
    domain::ids::SourceId,
    mapping::event_id,
    poll::absence::{self, Span, Watch},
    publish::batch::EventRecord,
};

/// First of the ids: there is room for late ones below.
const FIRST_ID: i64 = 1_000;
/// Days that rows are booked on, and days that reads reach.
const DAYS: i64 = 4;

/// What happens next.
#[derive(Debug, Clone)]
enum Act {
    /// A row above all others, booked so many days ago.
    Add { days_ago: i64 },
    /// A row whose id lies below one that is there.
    AddLate { beside: Index, days_ago: i64 },
    /// Another note, of a few: a row may get one back that it had.
    Edit { row: Index, note: u8 },
    /// Away, or there again as it was.
    Turn { row: Index },
    /// Rows above the cursor.
    Live { order: Order },
    /// All rows.
    LookBack { order: Order },
}

#[derive(Debug, Clone)]
enum Order {
    Ascending,
    Descending,
    Shuffled(Vec<u16>),
}

fn order() -> impl Strategy<Value = Order> {
    prop_oneof![
        Just(Order::Ascending),
        Just(Order::Descending),
        prop::collection::vec(any::<u16>(), 8).prop_map(Order::Shuffled),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    let row = any::<Index>;
    prop_oneof![
        4 => (0..DAYS).prop_map(|days_ago| Act::Add { days_ago }),
        2 => (row(), 0..DAYS).prop_map(|(beside, days_ago)| Act::AddLate { beside, days_ago }),
        3 => (row(), 0_u8..3).prop_map(|(row, note)| Act::Edit { row, note }),
        2 => row().prop_map(|row| Act::Turn { row }),
        3 => order().prop_map(|order| Act::Live { order }),
        4 => order().prop_map(|order| Act::LookBack { order }),
    ]
}

/// A row at the source.
#[derive(Debug, Clone)]
struct Row {
    note: u8,
    days_ago: i64,
    is_there: bool,
}

/// What readers were told of a row.
#[derive(Debug, Clone, Default)]
struct Told {
    versions: u32,
    /// Its note; `None` where it is deleted, or was never told.
    note: Option<u8>,
    /// The last complete read lacked it.
    missed: bool,
}

/// An event that must come: the row, what it says, and the note where it says one.
type Due = (i64, &'static str, Option<u8>);

#[derive(Default)]
struct World {
    source: BTreeMap<i64, Row>,
    told: BTreeMap<i64, Told>,
    cursor: Option<i64>,
    state: EntityState,
    watch: Watch,
    reads: i64,
    event_ids: HashSet<uuid::Uuid>,
}

impl World {
    fn act(&mut self, act: Act) -> Result<(), TestCaseError> {
        match act {
            Act::Add { days_ago } => {
                let id = self.source.keys().next_back().map_or(FIRST_ID, |last| last + 10);
                self.add(id, days_ago);
            }
            Act::AddLate { beside, days_ago } => {
                let Some(known) = self.pick(&beside) else { return Ok(()) };
                self.add(known - 1 - i64::try_from(self.source.len()).unwrap() % 9, days_ago);
            }
            Act::Edit { row, note } => {
                let Some(id) = self.pick(&row) else { return Ok(()) };
                self.source.entry(id).and_modify(|row| row.note = note);
            }
            Act::Turn { row } => {
                let Some(id) = self.pick(&row) else { return Ok(()) };
                self.source.entry(id).and_modify(|row| row.is_there = !row.is_there);
            }
            Act::Live { order } => {
                let answer = self.answer(&order, self.cursor);
                let due = self.due(&answer);
                self.read(&answer, Reason::Live, &due)?;
                self.cursor = answer.iter().copied().max().max(self.cursor);
            }
            Act::LookBack { order } => {
                let answer = self.answer(&order, None);
                let due = self.due(&answer);
                self.read(&answer, Reason::LookBack, &due)?;
                self.delete(&answer)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, id: i64, days_ago: i64) {
        self.source.entry(id).or_insert(Row { note: 0, days_ago, is_there: true });
    }

    fn pick(&self, index: &Index) -> Option<i64> {
        let ids: Vec<i64> = self.source.keys().copied().collect();
        (!ids.is_empty()).then(|| *index.get(&ids))
    }

    /// Ids of the rows that are there, above `above`, as they are sent.
    fn answer(&self, order: &Order, above: Option<i64>) -> Vec<i64> {
        let there = self.source.iter().filter(|(_, row)| row.is_there).map(|(id, _)| *id);
        let mut ids: Vec<i64> = there.filter(|id| Some(*id) > above).collect();
        match order {
            Order::Ascending => {}
            Order::Descending => ids.reverse(),
            Order::Shuffled(keys) => {
                ids.sort_by_key(|id| keys[usize::try_from(*id).unwrap() % keys.len()]);
            }
        }
        ids
    }

    /// What readers do not know yet of these rows; from now on they do.
    fn due(&mut self, answer: &[i64]) -> Vec<Due> {
        let mut due = Vec::new();
        for id in answer {
            let (note, told) = (self.source[id].note, self.told.entry(*id).or_default());
            if told.note != Some(note) {
                let kind = if told.note.is_none() { "created" } else { "updated" };
                due.push((*id, kind, Some(note)));
                *told = Told { versions: told.versions + 1, note: Some(note), missed: told.missed };
            }
        }
        due
    }

    /// Digests an answer as a committed read would.
    fn read(&mut self, ids: &[i64], reason: Reason, due: &[Due]) -> Result<(), TestCaseError> {
        let texts = ids.iter().map(|id| {
            let Row { note, days_ago, .. } = self.source[id];
            let date = format!("2022-03-{:02} 09:00:00", 10 - days_ago);
            row(*id, &json!({"note": format!("note {note}"), "system_date": date}))
        });
        let texts: Vec<String> = texts.collect();
        let answers = [Rows::from_texts(texts, self.tick())];
        let answer = Answer::of(&answers, reason, None, None, FETCHED);
        let mut digest = digest(&target(), &self.state, &answer).unwrap();
        self.state.seen.apply(std::mem::take(&mut digest.staging));
        prop_assert_eq!(digest.highest_id, ids.iter().copied().max());
        let fetched = self.tick();
        let far = Day(FETCHED.local_day().0 - 100);
        let position = self.state.checkpoint.get_or_insert_with(|| Checkpoint {
            backfill_next: None,
            ..Checkpoint::initial(far, fetched)
        });
        if reason == Reason::Live {
            digest.highest_id.into_iter().for_each(|id| position.raise_cursor(id));
            self.watch.note(&digest.present, answers[0].fetched_at);
        }
        let events: Vec<_> = digest.parts.iter().flat_map(|part| part.events.clone()).collect();
        self.assert_told(&events, due)
    }

    /// What a complete read lacks for the second time is gone.
    fn delete(&mut self, answer: &[i64]) -> Result<(), TestCaseError> {
        let today = FETCHED.local_day();
        let days = Window { from: today.plus(-30), to: today };
        let present = answer.iter().map(|id| SourceId::Number(*id)).collect();
        let read = Span::at(self.tick());
        let (mut staging, mut events) = (Staging::default(), Vec::new());
        for (id, times) in self.watch.compare(&self.state.seen, &present, days, read) {
            let seen = &self.state.seen;
            let event = absence::deletion(&target(), seen, &id, times, &mut staging);
            events.extend(event.unwrap());
            self.watch.forget(&id);
        }
        self.state.seen.apply(staging);
        let mut due = Vec::new();
        for (id, told) in &mut self.told {
            let is_missing = !answer.contains(id) && told.note.is_some();
            if is_missing && told.missed {
                due.push((*id, "deleted", None));
                *told = Told { versions: told.versions + 1, ..Told::default() };
            } else {
                told.missed = is_missing;
            }
        }
        self.assert_told(&events, &due)
    }

    /// Exactly what was due is told, under ids that nothing else has, and memory is what was told.
    fn assert_told(&mut self, events: &[EventRecord], due: &[Due]) -> Result<(), TestCaseError> {
        let target = target();
        let mut expected = BTreeMap::new();
        for (id, kind, note) in due {
            let (row, _) = self.state.seen.get(&SourceId::Number(*id)).unwrap();
            let version = i32::try_from(self.told[id].versions).unwrap();
            let EntityKey { connection, stream, .. } = &target.key;
            let id =
                event_id(connection, stream.name(), &row.id, version, row.published.unwrap().hash);
            expected.insert(id, (*kind, note.map(|note| format!("note {note}"))));
        }
        prop_assert_eq!(events.len(), expected.len(), "{:?}", due);
        for event in events {
            let headers = event.headers.as_ref().unwrap();
            prop_assert!(self.event_ids.insert(headers.id), "one id for two events: {event:?}");
            let Some((kind, note)) = expected.get(&headers.id) else {
                return Err(TestCaseError::fail(format!("not due: {event:?}; due: {due:?}")));
            };
            prop_assert!(headers.kind.ends_with(&format!(".{kind}")), "{} {kind}", headers.kind);
            let value = String::from_utf8_lossy(event.value.as_deref().unwrap()).into_owned();
            prop_assert!(note.iter().all(|note| value.contains(note)), "{event:?} {note:?}");
        }
        for (id, told) in &self.told {
            let (row, _) = self.state.seen.get(&SourceId::Number(*id)).unwrap();
            prop_assert_eq!((row.version, row.deleted), (told.versions, told.note.is_none()));
        }
        Ok(())
    }

    /// A second later.
    fn tick(&mut self) -> Timestamp {
        self.reads += 1;
        Timestamp(FETCHED.0 + self.reads * 1_000)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn readers_are_told_each_content_of_each_row_once_in_whatever_order_it_is_sent(
        acts in prop::collection::vec(act(), 1..60),
    ) {
        let mut world = World::default();
        for act in acts {
            world.act(act)?;
        }
        // Whatever was missed on the way, one complete read tells the rest, and the next nothing.
        world.act(Act::LookBack { order: Order::Descending })?;
        let told = world.event_ids.len();
        for id in world.answer(&Order::Ascending, None) {
            prop_assert_eq!(world.told[&id].note, Some(world.source[&id].note));
        }
        world.act(Act::Live { order: Order::Ascending })?;
        prop_assert_eq!(world.event_ids.len(), told);
    }
}
