//! The rows of one entity: kept as finished JSON, found by id and by date.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{NaiveDate, NaiveDateTime};
use serde_json::Value;

use crate::{domain::ids::Stream, sandbox::generator::DATE_TIME};

/// One row with every content it ever had.
#[derive(Debug)]
pub(in crate::sandbox) struct Row {
    /// The content that is served.
    pub(in crate::sandbox) json: Box<str>,
    facts: Facts,
    /// Former contents, oldest first.
    pub(in crate::sandbox) past: Vec<Box<str>>,
    pub(in crate::sandbox) deleted: bool,
}

/// What the source needs to know of a row to find it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sandbox) struct Facts {
    /// Seconds of local time: the booking date, and the other date that may be asked by.
    pub(in crate::sandbox) at: [i64; 2],
    /// The virtual POS's status; empty elsewhere.
    pub(in crate::sandbox) label: Box<str>,
    /// The virtual POS's reference of the payment; empty elsewhere.
    pub(in crate::sandbox) reference: Box<str>,
}

impl Facts {
    /// Reads a row; a row without a date that can be read counts as of `fallback`.
    pub(in crate::sandbox) fn read(stream: Stream, row: &Value, fallback: NaiveDateTime) -> Self {
        let field = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default();
        let [first, second] = match stream {
            Stream::BankTransactions => ["system_date", "accounting_date"],
            Stream::PosTransactions => ["date", "date"],
            Stream::VirtualPosTransactions => ["islem_tarihi", "islem_tarihi"],
            _ => ["PaymentDate", "PaymentDate"],
        };
        let fallback = read_time(field("created_at")).unwrap_or(fallback);
        let at = |name| seconds(read_time(field(name)).unwrap_or(fallback));
        let label = row.pointer("/status_detail/status").and_then(Value::as_str);
        Self {
            at: [at(first), at(second)],
            label: label.unwrap_or_default().into(),
            reference: field("referans_kodu").into(),
        }
    }
}

/// Seconds of a local time on a line without zones.
pub(in crate::sandbox) const fn seconds(at: NaiveDateTime) -> i64 {
    at.and_utc().timestamp()
}

/// Reads the three forms of time that rows carry.
pub(in crate::sandbox) fn read_time(text: &str) -> Option<NaiveDateTime> {
    NaiveDateTime::parse_from_str(text, DATE_TIME)
        .or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S"))
        .or_else(|_| {
            NaiveDate::parse_from_str(text, "%d.%m.%Y").map(|date| date.and_time(<_>::default()))
        })
        .ok()
}

/// What a read asks for.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::sandbox) struct Filter {
    /// First and last second, both inside.
    pub(in crate::sandbox) window: Option<(i64, i64)>,
    /// Which of the two dates the window means.
    pub(in crate::sandbox) date: usize,
    /// Only ids above this one.
    pub(in crate::sandbox) above: Option<i64>,
}

/// All rows of an account, a terminal, an institution or a list.
#[derive(Debug, Default)]
pub(in crate::sandbox) struct Shelf {
    rows: BTreeMap<i64, Row>,
    by_date: [BTreeSet<(i64, i64)>; 2],
    by_reference: HashMap<Box<str>, i64>,
}

impl Shelf {
    /// Puts a new row in, or new content under an id that was deleted; false where it stands.
    pub(in crate::sandbox) fn insert(&mut self, id: i64, json: Box<str>, facts: Facts) -> bool {
        match self.rows.get(&id) {
            Some(row) if !row.deleted => return false,
            Some(_) => self.replace(id, json, facts),
            None => {
                self.index(id, &facts);
                let row = Row { json, facts, past: Vec::new(), deleted: false };
                self.rows.insert(id, row);
            }
        }
        true
    }

    /// Gives a row another content; the former stays in its history.
    pub(in crate::sandbox) fn replace(&mut self, id: i64, json: Box<str>, facts: Facts) {
        let Some(row) = self.rows.get_mut(&id) else { return };
        let former_facts = std::mem::replace(&mut row.facts, facts.clone());
        row.deleted = false;
        if row.json != json {
            let former = std::mem::replace(&mut row.json, json);
            row.past.push(former);
        }
        self.unindex(id, &former_facts);
        self.index(id, &facts);
    }

    /// Takes a row out of every answer; its history stays.
    pub(in crate::sandbox) fn delete(&mut self, id: i64) -> bool {
        let Some(row) = self.rows.get_mut(&id).filter(|row| !row.deleted) else { return false };
        row.deleted = true;
        let facts = row.facts.clone();
        self.unindex(id, &facts);
        true
    }

    fn index(&mut self, id: i64, facts: &Facts) {
        for (index, at) in self.by_date.iter_mut().zip(facts.at) {
            index.insert((at, id));
        }
        if !facts.reference.is_empty() {
            self.by_reference.insert(facts.reference.clone(), id);
        }
    }

    fn unindex(&mut self, id: i64, facts: &Facts) {
        for (index, at) in self.by_date.iter_mut().zip(facts.at) {
            index.remove(&(at, id));
        }
        if self.by_reference.get(&facts.reference) == Some(&id) {
            self.by_reference.remove(&facts.reference);
        }
    }

    /// A row that is served.
    pub(in crate::sandbox) fn get(&self, id: i64) -> Option<&Row> {
        self.rows.get(&id).filter(|row| !row.deleted)
    }

    /// The payment of a reference; of several the newest.
    pub(in crate::sandbox) fn by_reference(&self, reference: &str) -> Option<(i64, &Row)> {
        let id = *self.by_reference.get(reference)?;
        Some((id, self.get(id)?))
    }

    /// Every row ever, deleted ones too.
    pub(in crate::sandbox) fn all(&self) -> impl Iterator<Item = (i64, &Row)> {
        self.rows.iter().map(|(id, row)| (*id, row))
    }

    /// The ids of the rows that are served now.
    pub(in crate::sandbox) fn live_ids(&self) -> impl Iterator<Item = i64> + '_ {
        self.all().filter(|(_, row)| !row.deleted).map(|(id, _)| id)
    }

    /// The rows that a read asks for, in no particular order.
    pub(in crate::sandbox) fn select<'a>(
        &'a self,
        filter: &Filter,
        found: &mut Vec<(i64, &'a Row)>,
    ) {
        let above = filter.above.unwrap_or(i64::MIN);
        match filter.window {
            Some((first, last)) if first <= last => {
                let range = (first, i64::MIN)..=(last, i64::MAX);
                let ids = self.by_date[filter.date].range(range).map(|(_, id)| *id);
                let rows = ids.filter(|id| *id > above);
                found.extend(rows.filter_map(|id| Some((id, self.get(id)?))));
            }
            Some(_) => {}
            None => {
                let start = above.saturating_add(1);
                let rows = self.rows.range(start..).filter(|(_, row)| !row.deleted);
                found.extend(rows.map(|(id, row)| (*id, row)));
            }
        }
    }
}

impl Row {
    /// The virtual POS's status.
    pub(in crate::sandbox) fn label(&self) -> &str {
        &self.facts.label
    }
}
