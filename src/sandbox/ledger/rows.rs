//! Adding, editing and deleting rows.

use std::collections::{BTreeMap, VecDeque};

use chrono::NaiveDateTime;
use serde_json::{Value, json};

use super::{
    arrivals::{Held, Mix},
    error::LedgerError,
    reference::Reference,
    samples,
    shelf::{Facts, Filter, Row, Shelf, read_time, seconds},
};
use crate::{
    domain::{ids::Stream, time::SOURCE_ZONE},
    log_event,
    sandbox::{
        generator::{bank, bank::Book, entities::Fields, people, pos, tos, virtual_pos},
        random::Random,
    },
    telemetry::events::Event,
};

/// The rows and entities of the simulated source.
#[derive(Debug)]
pub struct Ledger {
    pub(super) random: Random,
    clock: Option<NaiveDateTime>,
    shelves: [BTreeMap<Box<str>, Shelf>; 4],
    last_ids: [i64; 4],
    pub(super) reference: Reference,
    pub(super) books: BTreeMap<i64, Book>,
    pub(super) lively_accounts: Vec<i64>,
    pub(super) lively_terminals: Vec<i64>,
    pub(super) held: Vec<Held>,
    pub(super) recent: VecDeque<(Stream, i64)>,
    /// The id of the last cancel or refund.
    pub(super) last_change: i64,
    /// What a tick is made of.
    pub mix: Mix,
}

/// A generated row before it is put on its shelf.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) json: String,
    pub(super) facts: Facts,
}

/// The place of a transaction stream in the arrays.
pub(super) const fn place(stream: Stream) -> Result<usize, LedgerError> {
    match stream {
        Stream::BankTransactions => Ok(0),
        Stream::PosTransactions => Ok(1),
        Stream::VirtualPosTransactions => Ok(2),
        Stream::TosPayments => Ok(3),
        other => Err(LedgerError::WrongStream(other)),
    }
}

/// What the ids of a run that begins `now` begin with: beyond those of any run before, which had some
/// hundreds for its history and two or three a second.
fn first_ids(now: NaiveDateTime) -> i64 {
    const BEGIN: i64 = 1_767_225_600;
    (seconds(now) - BEGIN).max(0) * 100
}

const fn id_field(stream: Stream) -> &'static str {
    match stream {
        Stream::TosPayments => "TransactionObjectId",
        _ => "id",
    }
}

const fn date_field(stream: Stream) -> &'static str {
    match stream {
        Stream::BankTransactions => "system_date",
        Stream::PosTransactions => "date",
        Stream::VirtualPosTransactions => "islem_tarihi",
        _ => "PaymentDate",
    }
}

impl Ledger {
    /// The documents' sample rows and nothing else; `clock` stands still where it is given.
    pub(in crate::sandbox) fn documented(seed: u64, clock: Option<NaiveDateTime>) -> Self {
        let mut ledger = Self {
            random: Random::new(seed),
            clock,
            shelves: <_>::default(),
            last_ids: [0; 4],
            reference: Reference::documented(),
            books: BTreeMap::new(),
            lively_accounts: Vec::new(),
            lively_terminals: Vec::new(),
            held: Vec::new(),
            recent: VecDeque::new(),
            last_change: samples::LAST_CHANGE,
            mix: Mix::default(),
        };
        let sampled = [
            (Stream::BankTransactions, samples::ACCOUNT, samples::BANK_ROWS),
            (Stream::PosTransactions, samples::STATION, samples::POS_ROWS),
            (Stream::VirtualPosTransactions, samples::WHOLE, samples::VIRTUAL_POS_ROWS),
            (Stream::TosPayments, samples::INSTITUTION, samples::TOS_ROWS),
        ];
        for (stream, entity, text) in sampled {
            for row in samples::read::<Vec<Value>>(text) {
                let id = row.get(id_field(stream)).and_then(Value::as_i64).unwrap_or(0);
                let facts = Facts::read(stream, &row, ledger.now());
                let made = Made { json: row.to_string(), facts };
                // A sample that stands there already is a broken build; the tests would show it.
                if let Err(error) = ledger.put(stream, entity, id, made) {
                    log_event!(Event::SandboxBroke, %error, "sample row could not be loaded");
                }
            }
        }
        if clock.is_none() {
            ledger.leave_out(first_ids(ledger.now()));
        }
        ledger
    }

    /// Begins with later ids: whoever kept a cursor of a simulator that ran before, in Compose or
    /// against a broker of one's own, sees rows above it, as of a source that was away.
    fn leave_out(&mut self, ids: i64) {
        for last in &mut self.last_ids {
            *last += ids;
        }
    }

    /// Now, in the source's zone.
    pub fn now(&self) -> NaiveDateTime {
        self.clock.unwrap_or_else(|| {
            let local = chrono::Utc::now().with_timezone(&SOURCE_ZONE).naive_local();
            chrono::DurationRound::duration_trunc(local, chrono::TimeDelta::seconds(1))
                .unwrap_or(local)
        })
    }

    /// Sets the clock to a time at which it stands still, or lets it run again.
    pub const fn set_clock(&mut self, clock: Option<NaiveDateTime>) {
        self.clock = clock;
    }

    /// Adds rows; fields that are left out are generated, those under `_omit` are left away.
    pub fn add_rows(
        &mut self,
        stream: Stream,
        entity: &str,
        rows: Vec<Fields>,
    ) -> Result<Vec<i64>, LedgerError> {
        rows.into_iter().map(|row| self.add_row(stream, entity, row)).collect()
    }

    fn add_row(
        &mut self,
        stream: Stream,
        entity: &str,
        mut given: Fields,
    ) -> Result<i64, LedgerError> {
        let id = match given.get(id_field(stream)).and_then(Value::as_i64) {
            Some(id) => id,
            None => self.next_id(stream)?,
        };
        let taken = LedgerError::Taken { stream, id };
        if self.entity_of(stream, id)?.is_some() {
            return Err(taken);
        }
        let now = self.now();
        let date = given.get(date_field(stream)).and_then(Value::as_str).and_then(read_time);
        let generated = self.make(stream, entity, id, date.unwrap_or(now))?;
        let mut row: Fields = serde_json::from_str(&generated.json)?;
        if stream == Stream::BankTransactions {
            self.settle(entity, &mut row, &given);
        }
        let omitted = given.shift_remove("_omit");
        row.extend(given);
        for name in omitted.iter().flat_map(|names| names.as_array()).flatten() {
            row.shift_remove(name.as_str().unwrap_or_default());
        }
        let row = Value::Object(row);
        let facts = Facts::read(stream, &row, now);
        self.put(stream, entity, id, Made { json: row.to_string(), facts })?;
        Ok(id)
    }

    /// Makes balance, direction and the accounting date follow an amount or a date that was given.
    fn settle(&mut self, entity: &str, row: &mut Fields, given: &Fields) {
        if let Some(date) = given.get("system_date") {
            row.insert("accounting_date".to_owned(), date.clone());
        }
        let text =
            |fields: &Fields| fields.get("amount").and_then(Value::as_str).and_then(people::kurus);
        let (Some(wanted), Some(generated)) = (text(given), text(row)) else { return };
        let Some(mut book) = entity.parse().ok().and_then(|account| self.book(account)) else {
            return;
        };
        book.balance += wanted - generated;
        let direction = if wanted < 0 { "borclu" } else { "alacakli" };
        row.insert("current_balance".to_owned(), json!(people::amount(book.balance)));
        row.insert("type".to_owned(), json!(direction));
        self.keep_book(book);
    }

    /// Changes fields of a row; its former content stays in the history.
    pub fn edit_row(
        &mut self,
        stream: Stream,
        id: i64,
        changes: Fields,
    ) -> Result<(), LedgerError> {
        let unknown = || LedgerError::Unknown { stream, id: id.to_string() };
        let entity = self.entity_of(stream, id)?.ok_or_else(unknown)?;
        let now = self.now();
        let shelf = self.shelves[place(stream)?].get_mut(&entity).ok_or_else(unknown)?;
        let former = shelf.get(id).ok_or_else(unknown)?;
        let mut row: Fields = serde_json::from_str(&former.json)?;
        row.extend(changes);
        let row = Value::Object(row);
        let facts = Facts::read(stream, &row, now);
        shelf.replace(id, row.to_string().into_boxed_str(), facts);
        Ok(())
    }

    /// Takes a row out of every answer.
    pub fn delete_row(&mut self, stream: Stream, id: i64) -> Result<(), LedgerError> {
        let shelves = &mut self.shelves[place(stream)?];
        if shelves.values_mut().any(|shelf| shelf.delete(id)) {
            return Ok(());
        }
        Err(LedgerError::Unknown { stream, id: id.to_string() })
    }

    fn entity_of(&self, stream: Stream, id: i64) -> Result<Option<Box<str>>, LedgerError> {
        let mut shelves = self.shelves[place(stream)?].iter();
        Ok(shelves.find(|(_, shelf)| shelf.get(id).is_some()).map(|(entity, _)| entity.clone()))
    }

    /// The next id of a stream; ids have gaps, as the source's have.
    pub(super) fn next_id(&mut self, stream: Stream) -> Result<i64, LedgerError> {
        let place = place(stream)?;
        self.last_ids[place] += self.random.between(1, 3);
        Ok(self.last_ids[place])
    }

    /// Generates a row without putting it anywhere.
    pub(super) fn make(
        &mut self,
        stream: Stream,
        entity: &str,
        id: i64,
        at: NaiveDateTime,
    ) -> Result<Made, LedgerError> {
        let number = entity.parse::<i64>().unwrap_or(-1);
        let unknown = |stream| LedgerError::Unknown { stream, id: entity.to_owned() };
        let whole_day = at.date().and_time(<_>::default());
        let facts = |first| Facts {
            at: [seconds(first); 2],
            label: Box::default(),
            reference: Box::default(),
        };
        match stream {
            Stream::BankTransactions => {
                let mut book = self.book(number).ok_or_else(|| unknown(Stream::Accounts))?;
                let row = bank::bank_row(&mut self.random, &mut book, id, at);
                self.keep_book(book);
                Ok(Made { json: serde_json::to_string(&row)?, facts: facts(at) })
            }
            Stream::PosTransactions => {
                let till = self.till(number).ok_or_else(|| unknown(Stream::Terminals))?;
                let row = pos::pos_row(&mut self.random, &till, id, at);
                Ok(Made { json: serde_json::to_string(&row)?, facts: facts(whole_day) })
            }
            Stream::VirtualPosTransactions => {
                let buyer = self.buyer();
                let row = virtual_pos::virtual_pos_row(&mut self.random, buyer, id, at);
                let (label, reference) = (row.status().into(), row.reference().into());
                let facts = Facts { label, reference, ..facts(at) };
                Ok(Made { json: serde_json::to_string(&row)?, facts })
            }
            Stream::TosPayments => {
                let row = tos::tos_row(&mut self.random, entity, id, at);
                Ok(Made { json: serde_json::to_string(&row)?, facts: facts(whole_day) })
            }
            other => Err(LedgerError::WrongStream(other)),
        }
    }

    /// Puts a row on its shelf.
    pub(super) fn put(
        &mut self,
        stream: Stream,
        entity: &str,
        id: i64,
        made: Made,
    ) -> Result<(), LedgerError> {
        let place = place(stream)?;
        let shelf = self.shelves[place].entry(entity.into()).or_default();
        if !shelf.insert(id, made.json.into_boxed_str(), made.facts) {
            return Err(LedgerError::Taken { stream, id });
        }
        self.last_ids[place] = self.last_ids[place].max(id);
        Ok(())
    }

    /// The rows of one entity that a read asks for, in no particular order.
    pub(in crate::sandbox) fn select(
        &self,
        stream: Stream,
        entity: &str,
        filter: &Filter,
    ) -> Vec<(i64, &Row)> {
        let mut found = Vec::new();
        let shelf = place(stream).ok().and_then(|place| self.shelves[place].get(entity));
        if let Some(shelf) = shelf {
            shelf.select(filter, &mut found);
        }
        found
    }

    /// The rows of every entity that a read asks for, each with its entity.
    pub(in crate::sandbox) fn select_all(
        &self,
        stream: Stream,
        filter: &Filter,
    ) -> Vec<(i64, &Row, &str)> {
        let mut all = Vec::new();
        let mut found = Vec::new();
        for (entity, shelf) in self.shelves(stream) {
            shelf.select(filter, &mut found);
            all.extend(found.drain(..).map(|(id, row)| (id, row, &**entity)));
        }
        all
    }

    pub(super) fn shelves(&self, stream: Stream) -> impl Iterator<Item = (&Box<str>, &Shelf)> {
        place(stream).ok().into_iter().flat_map(|place| &self.shelves[place])
    }
}
