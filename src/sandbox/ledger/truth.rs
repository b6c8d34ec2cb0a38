//! The ground truth in a form that a test can compare with.

use std::fmt::Write as _;

use serde_json::json;

use super::{reference::Thing, rows::Ledger};
use crate::domain::ids::Stream;

/// Everything that was ever true of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowHistory {
    /// Account id, station id, institution code or `all`.
    pub entity: String,
    /// The row's id.
    pub id: i64,
    /// Whether the source serves it no longer.
    pub deleted: bool,
    /// Every content in order, the last one being the present one; neighbours always differ.
    pub contents: Vec<String>,
}

impl Ledger {
    /// Every row that a stream ever had.
    pub fn rows(&self, stream: Stream) -> Vec<RowHistory> {
        let mut all = Vec::new();
        for (entity, shelf) in self.shelves(stream) {
            all.extend(shelf.all().map(|(id, row)| RowHistory {
                entity: entity.to_string(),
                id,
                deleted: row.deleted,
                contents: row.past.iter().chain([&row.json]).map(ToString::to_string).collect(),
            }));
        }
        all
    }

    /// How many rows a stream serves.
    pub fn count(&self, stream: Stream) -> usize {
        self.shelves(stream).map(|(_, shelf)| shelf.live_ids().count()).sum()
    }

    /// The ledger as JSON: `streams.<name>[]` and `entities.<name>[]`.
    ///
    /// A million rows are written without a tree in between; `only` picks one stream, and
    /// `with_contents: false` leaves ids and counts.
    pub(in crate::sandbox) fn write_truth(
        &self,
        only: Option<Stream>,
        entity_only: Option<&str>,
        with_contents: bool,
    ) -> String {
        let mut out = String::from("{\"streams\":{");
        let wanted = |stream: &Stream| only.is_none_or(|one| one == *stream);
        let streams = Stream::ALL.into_iter().filter(|stream| !stream.is_reference());
        for (place, stream) in streams.filter(wanted).enumerate() {
            open(&mut out, place, stream);
            self.write_rows(&mut out, stream, entity_only, with_contents);
            out.push(']');
        }
        out.push_str("},\"entities\":{");
        let tables = [
            (Stream::Banks, &self.reference.banks),
            (Stream::Accounts, &self.reference.accounts),
            (Stream::Terminals, &self.reference.terminals),
            (Stream::Customers, &self.reference.customers),
        ];
        for (place, (stream, things)) in
            tables.into_iter().filter(|(stream, _)| wanted(stream)).enumerate()
        {
            open(&mut out, place, stream);
            for (index, (id, thing)) in things.iter().enumerate() {
                comma(&mut out, index);
                out.push_str(&describe(*id, thing));
            }
            out.push(']');
        }
        out.push_str("}}");
        out
    }

    fn write_rows(
        &self,
        out: &mut String,
        stream: Stream,
        entity_only: Option<&str>,
        with_contents: bool,
    ) {
        let mut index = 0;
        let shelves = self.shelves(stream);
        for (entity, shelf) in shelves.filter(|(e, _)| entity_only.is_none_or(|one| one == &***e)) {
            let entity = json!(entity).to_string();
            for (id, row) in shelf.all() {
                comma(out, index);
                index += 1;
                let (deleted, versions) = (row.deleted, row.past.len() + 1);
                write(
                    out,
                    format_args!(
                        "{{\"entity\":{entity},\"id\":{id},\"deleted\":{deleted},\"versions\":{versions}"
                    ),
                );
                if with_contents {
                    out.push_str(",\"contents\":[");
                    for (place, content) in row.past.iter().chain([&row.json]).enumerate() {
                        comma(out, place);
                        out.push_str(content);
                    }
                    out.push(']');
                }
                out.push('}');
            }
        }
    }
}

fn describe(id: i64, thing: &Thing) -> String {
    let contents: Vec<_> = thing.past.iter().chain([&thing.fields]).collect();
    json!({"id": id, "deleted": thing.deleted, "contents": contents}).to_string()
}

fn open(out: &mut String, place: usize, stream: Stream) {
    comma(out, place);
    write(out, format_args!("\"{stream}\":["));
}

fn comma(out: &mut String, place: usize) {
    if place > 0 {
        out.push(',');
    }
}

/// Writing to a `String` cannot fail.
fn write(out: &mut String, text: std::fmt::Arguments<'_>) {
    let written = out.write_fmt(text);
    debug_assert!(written.is_ok(), "a string takes every text");
}
