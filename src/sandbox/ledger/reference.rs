//! Banks, accounts, terminals, customers: things that rows belong to.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{error::LedgerError, rows::Ledger, samples};
use crate::{
    domain::ids::Stream,
    sandbox::generator::{
        bank::Book,
        entities::{self, Fields},
        people,
        pos::Till,
    },
};

/// One thing with every content it ever had.
#[derive(Debug)]
pub(super) struct Thing {
    pub(super) fields: Fields,
    pub(super) past: Vec<Fields>,
    pub(super) deleted: bool,
    /// No list shows it, and it is there when asked for by its id.
    pub(super) unlisted: bool,
}

/// Every reference stream that has ids, and the instalment table, which has none.
#[derive(Debug)]
pub(super) struct Reference {
    pub(super) banks: BTreeMap<i64, Thing>,
    pub(super) accounts: BTreeMap<i64, Thing>,
    pub(super) terminals: BTreeMap<i64, Thing>,
    pub(super) customers: BTreeMap<i64, Thing>,
    pub(super) installments: Value,
}

fn thing(fields: Fields) -> Thing {
    Thing { fields, past: Vec::new(), deleted: false, unlisted: false }
}

fn id_of(fields: &Fields) -> Option<i64> {
    fields.get("id").and_then(Value::as_i64)
}

fn sampled(text: &str) -> BTreeMap<i64, Thing> {
    let rows: Vec<Fields> = samples::read(text);
    rows.into_iter().filter_map(|row| Some((id_of(&row)?, thing(row)))).collect()
}

impl Reference {
    /// What the documents show, and the banks that generated accounts belong to.
    pub(super) fn documented() -> Self {
        let mut banks = sampled(samples::BANKS);
        for (order, (id, slug, title, _)) in people::BANKS.iter().enumerate() {
            let bank = entities::bank(*id, slug, title, order + 2);
            banks.entry(*id).or_insert_with(|| thing(bank));
        }
        // The nested view inside the sample row shows order 6 for this bank.
        if let Some(bank) = banks.get_mut(&22) {
            bank.fields.insert("order".to_owned(), json!(6));
        }
        Self {
            banks,
            accounts: sampled(samples::ACCOUNTS),
            terminals: sampled(samples::TERMINALS),
            customers: BTreeMap::new(),
            installments: samples::read(samples::INSTALLMENTS),
        }
    }

    fn table(&mut self, stream: Stream) -> Result<&mut BTreeMap<i64, Thing>, LedgerError> {
        match stream {
            Stream::Banks => Ok(&mut self.banks),
            Stream::Accounts => Ok(&mut self.accounts),
            Stream::Terminals => Ok(&mut self.terminals),
            Stream::Customers => Ok(&mut self.customers),
            other => Err(LedgerError::WrongStream(other)),
        }
    }

    fn known(&mut self, stream: Stream, id: i64) -> Result<&mut Thing, LedgerError> {
        let unknown = || LedgerError::Unknown { stream, id: id.to_string() };
        let found = self.table(stream)?.get_mut(&id).filter(|thing| !thing.deleted);
        found.ok_or_else(unknown)
    }

    /// Changes fields; the former content stays in the history.
    fn edit(&mut self, stream: Stream, id: i64, changes: Fields) -> Result<(), LedgerError> {
        let thing = self.known(stream, id)?;
        let former = thing.fields.clone();
        thing.fields.extend(changes);
        if thing.fields != former {
            thing.past.push(former);
        }
        Ok(())
    }
}

impl Ledger {
    /// Adds a bank, an account, a terminal or a customer; what is left out is generated.
    pub fn add_entity(&mut self, stream: Stream, given: Fields) -> Result<i64, LedgerError> {
        let now = self.now();
        let table = self.reference.table(stream)?;
        let last = table.keys().next_back().copied().unwrap_or(0);
        let id = id_of(&given).unwrap_or_else(|| last.max(100) + 1);
        if table.get(&id).is_some_and(|thing| !thing.deleted) {
            return Err(LedgerError::Taken { stream, id });
        }
        let mut fields = match stream {
            Stream::Accounts => entities::account(&mut self.random, id, now),
            Stream::Terminals => entities::terminal(&mut self.random, id),
            Stream::Customers => entities::customer(&mut self.random, id),
            _ => entities::bank(id, &format!("bank{id}"), &format!("Banka {id}"), 50),
        };
        fields.extend(given);
        self.reference.table(stream)?.insert(id, thing(fields));
        match stream {
            Stream::Accounts => self.lively_accounts.push(id),
            Stream::Terminals => self.lively_terminals.push(id),
            _ => {}
        }
        Ok(id)
    }

    /// Changes fields of an entity.
    pub fn edit_entity(
        &mut self,
        stream: Stream,
        id: i64,
        changes: Fields,
    ) -> Result<(), LedgerError> {
        self.reference.edit(stream, id, changes)
    }

    /// Closes an account or a terminal: `status` 0, and no more arrivals; its rows stay.
    pub fn close_entity(&mut self, stream: Stream, id: i64) -> Result<(), LedgerError> {
        self.edit_entity(stream, id, entities::fields(json!({"status": 0})))?;
        self.retire(stream, id);
        Ok(())
    }

    /// Takes an entity out of every list.
    pub fn delete_entity(&mut self, stream: Stream, id: i64) -> Result<(), LedgerError> {
        self.reference.known(stream, id)?.deleted = true;
        self.retire(stream, id);
        Ok(())
    }

    /// Takes an entity out of the lists, or puts it back; asked for by its id it is there.
    pub fn list_entity(
        &mut self,
        stream: Stream,
        id: i64,
        listed: bool,
    ) -> Result<(), LedgerError> {
        self.reference.known(stream, id)?.unlisted = !listed;
        Ok(())
    }

    fn retire(&mut self, stream: Stream, id: i64) {
        match stream {
            Stream::Accounts => self.lively_accounts.retain(|other| *other != id),
            Stream::Terminals => self.lively_terminals.retain(|other| *other != id),
            _ => {}
        }
    }

    /// The list of a reference stream as the source shows it.
    pub(in crate::sandbox) fn list(&self, stream: Stream) -> Vec<&Fields> {
        let table = match stream {
            Stream::Banks => &self.reference.banks,
            Stream::Terminals => &self.reference.terminals,
            Stream::Customers => &self.reference.customers,
            _ => &self.reference.accounts,
        };
        let shown = table.values().filter(|thing| !thing.deleted && !thing.unlisted);
        shown.map(|thing| &thing.fields).collect()
    }

    /// A customer, listed or not.
    pub(in crate::sandbox) fn customer(&self, id: i64) -> Option<&Fields> {
        let thing = self.reference.customers.get(&id).filter(|thing| !thing.deleted)?;
        Some(&thing.fields)
    }

    /// The instalment table.
    pub(in crate::sandbox) const fn installments(&self) -> &Value {
        &self.reference.installments
    }

    /// Replaces the instalment table: the value under `data`.
    pub fn set_installments(&mut self, data: Value) {
        self.reference.installments = data;
    }

    /// An account as the endpoints show it that know no `bank_id`.
    pub(in crate::sandbox) fn account(&self, id: i64) -> Option<Fields> {
        let thing = self.reference.accounts.get(&id).filter(|thing| !thing.deleted)?;
        let mut fields = thing.fields.clone();
        fields.shift_remove("bank_id");
        Some(fields)
    }

    /// The partial account that the connection-wide feed nests in each row.
    pub(in crate::sandbox) fn nested_account(&self, id: i64) -> Value {
        const FIELDS: [&str; 12] = [
            "id",
            "bank_id",
            "branch_name",
            "fec_name",
            "account_number",
            "balance",
            "branch_id",
            "iban",
            "custom_iban",
            "status",
            "b_order",
            "product_code",
        ];
        let Some(account) = self.reference.accounts.get(&id) else { return Value::Null };
        let copy = |thing: &Thing, names: &[&str]| -> Fields {
            let field = |name: &&str| Some(((*name).to_owned(), thing.fields.get(*name)?.clone()));
            names.iter().filter_map(field).collect()
        };
        let mut nested = copy(account, &FIELDS);
        let bank_id = account.fields.get("bank_id").and_then(Value::as_i64).unwrap_or(0);
        let bank = self.reference.banks.get(&bank_id);
        let bank = bank.map(|thing| copy(thing, &["id", "bank_name", "bank_title", "order"]));
        nested.insert("bank".to_owned(), bank.map_or(Value::Null, Value::Object));
        Value::Object(nested)
    }

    /// Takes the running balance of an account, begun from what the account says of itself;
    /// whoever takes it gives it back with [`Ledger::keep_book`].
    pub(super) fn book(&mut self, account: i64) -> Option<Book> {
        if let Some(book) = self.books.remove(&account) {
            return Some(book);
        }
        let thing = self.reference.accounts.get(&account)?;
        let text = |name: &str| thing.fields.get(name).and_then(Value::as_str).unwrap_or("");
        Some(Book {
            account,
            currency: text("fec_name").to_owned(),
            iban: text("iban").to_owned(),
            balance: people::kurus(text("balance")).unwrap_or(10_000_000),
            rows: 0,
            tax_no: people::tax_no(&mut self.random),
        })
    }

    /// Keeps a balance, and shows it in the account.
    pub(super) fn keep_book(&mut self, book: Book) {
        if let Some(thing) = self.reference.accounts.get_mut(&book.account) {
            let balance = Value::String(people::amount(book.balance));
            thing.fields.insert("balance".to_owned(), balance);
        }
        self.books.insert(book.account, book);
    }

    /// What rows of a terminal repeat of it.
    pub(super) fn till(&self, station: i64) -> Option<Till> {
        let thing = self.reference.terminals.get(&station)?;
        let text = |name: &str| thing.fields.get(name).and_then(Value::as_str).unwrap_or("");
        Some(Till {
            terminal_no: format!("VMS{station:05}"),
            merchant_no: text("workplace_no").to_owned(),
            currency: text("transaction_currency").to_owned(),
            commission_rate: people::kurus(text("commission_rate")).unwrap_or(100),
        })
    }

    /// A customer for a virtual-POS row: one of the list, or the documents' first.
    pub(super) fn buyer(&mut self) -> (i64, String) {
        let count = self.reference.customers.len() as u64;
        let index = usize::try_from(self.random.below(count)).unwrap_or(0);
        let Some((id, thing)) = self.reference.customers.iter().nth(index) else {
            return (1, "Örnek Birinci Müşteri".to_owned());
        };
        let title = thing.fields.get("companyTitle").and_then(Value::as_str);
        (*id, title.unwrap_or("Müşteri").to_owned())
    }
}
