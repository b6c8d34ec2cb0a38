//! A source that does not stand still: rows come, come late and are edited while a test goes on.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use vomsis_connect::{domain::ids::Stream, sandbox::ledger::Load};

use super::{STREAMS, tail::Tail};
use crate::harness::{
    random::Random,
    source::{SAMPLES, Source},
};

/// How far below a known id a late one may lie.
const LATE_STEPS: i64 = 40;

/// A few hundred rows of every source, of days that every look-back reaches.
pub(crate) const SMALL: Load = Load {
    accounts: 6,
    rows_per_account: 40,
    terminals: 3,
    rows_per_terminal: 30,
    virtual_pos: 25,
    tos: 15,
    customers: 2,
    days: 5,
    seed: Some(3),
};

/// Changes the ledger, one thing at a time.
///
/// A row is edited only after its present content is visible for every connection: then each
/// content of the ledger must be published, and exactly once.
pub(super) struct Churn<'a> {
    source: &'a Source,
    connections: &'a [&'a str],
    entities: Vec<(Stream, String)>,
    random: Random,
    edits: u32,
}

impl<'a> Churn<'a> {
    pub(super) fn new(source: &'a Source, connections: &'a [&'a str], random: Random) -> Self {
        let ledger = source.simulator.ledger();
        let mut entities = BTreeSet::new();
        for stream in STREAMS {
            let rows = ledger.rows(stream).into_iter().filter(|row| !SAMPLES.contains(&row.id));
            entities.extend(rows.map(|row| (stream, row.entity)));
        }
        drop(ledger);
        let entities = entities.into_iter().collect();
        Self { source, connections, entities, random, edits: 0 }
    }

    /// One new row, late row or edit.
    pub(super) fn step(&mut self, tail: &Tail<'_>) {
        match self.random.below(10) {
            0..=4 => {
                let (stream, entity) = self.random.pick(&self.entities).clone();
                let days = self.random.below(4);
                if stream == Stream::BankTransactions && days > 0 {
                    self.add_backdated(&entity, i64::try_from(days).unwrap());
                } else {
                    self.add(stream, &entity, json!({}));
                }
            }
            5..=6 => self.add_late(),
            _ => self.edit(tail),
        }
    }

    /// A new row of an account, booked that many days ago.
    fn add_backdated(&self, account: &str, days: i64) {
        let day = self.source.simulator.ledger().now() - chrono::TimeDelta::days(days);
        let date = day.format("%Y-%m-%d 10:00:00").to_string();
        self.add(Stream::BankTransactions, account, json!({"system_date": date}));
    }

    /// A new row of each account, booked that many days ago: in the order of their dates the rows'
    /// ids go up and down.
    pub(super) fn backdate(&self, days: i64) {
        let banks = self.entities.iter().filter(|(s, _)| *s == Stream::BankTransactions);
        banks.for_each(|(_, account)| self.add_backdated(account, days));
    }

    /// That many new rows for each account.
    pub(super) fn flood(&self, rows_each: usize) {
        let mut ledger = self.source.simulator.ledger();
        let banks = self.entities.iter().filter(|(s, _)| *s == Stream::BankTransactions);
        for (stream, account) in banks {
            let rows = (0..rows_each).map(|_| serde_json::Map::new()).collect();
            ledger.add_rows(*stream, account, rows).unwrap();
        }
    }

    /// Accounts and terminals whose rows change.
    pub(super) fn entity_counts(&self) -> (u64, u64) {
        let count = |of| self.entities.iter().filter(|(stream, _)| *stream == of).count() as u64;
        (count(Stream::BankTransactions), count(Stream::PosTransactions))
    }

    /// How many events there must be: one for each content of each row and connection.
    pub(super) fn wanted(&self) -> usize {
        let ledger = self.source.simulator.ledger();
        let rows = STREAMS.into_iter().flat_map(|stream| ledger.rows(stream));
        let rows = rows.filter(|row| !SAMPLES.contains(&row.id));
        rows.map(|row| row.contents.len()).sum::<usize>() * self.connections.len()
    }

    fn add(&self, stream: Stream, entity: &str, fields: Value) {
        let Value::Object(fields) = fields else { panic!("{fields}") };
        self.source.simulator.ledger().add_rows(stream, entity, vec![fields]).unwrap();
    }

    /// A row of today under an unused id below one that is there.
    fn add_late(&mut self) {
        let (stream, entity) = self.random.pick(&self.entities).clone();
        let rows = self.source.simulator.ledger().rows(stream);
        let used: BTreeSet<i64> = rows.iter().map(|row| row.id).collect();
        let own: Vec<i64> = rows.iter().filter(|row| row.entity == entity).map(|r| r.id).collect();
        let known = *self.random.pick(&own);
        let free =
            (1..LATE_STEPS).map(|step| known - step).find(|id| *id > 0 && !used.contains(id));
        let Some(id) = free else { return };
        let field = if stream == Stream::TosPayments { "TransactionObjectId" } else { "id" };
        self.add(stream, &entity, json!({field: id}));
    }

    fn edit(&mut self, tail: &Tail<'_>) {
        let stream = *self.random.pick(&STREAMS);
        let rows = self.source.simulator.ledger().rows(stream);
        let is_settled = |id: i64, contents: usize| {
            let mut all = self.connections.iter();
            all.all(|connection| tail.versions(connection, stream, id) == contents)
        };
        let settled: Vec<i64> = rows
            .iter()
            .filter(|row| !SAMPLES.contains(&row.id) && is_settled(row.id, row.contents.len()))
            .map(|row| row.id)
            .collect();
        if settled.is_empty() {
            return;
        }
        let id = *self.random.pick(&settled);
        self.edits += 1;
        let field = match stream {
            Stream::BankTransactions => "note",
            Stream::PosTransactions => "transaction_no",
            Stream::VirtualPosTransactions => "aciklama",
            _ => "ExtractExplanation",
        };
        let Value::Object(change) = json!({field: format!("edit {}", self.edits)}) else { return };
        self.source.simulator.ledger().edit_row(stream, id, change).unwrap();
    }
}
