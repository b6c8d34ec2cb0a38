//! Bank rows: the document's thirty fields in its order.

use chrono::{NaiveDateTime, TimeDelta};
use serde::Serialize;

use super::{bank_types, date_time, people};
use crate::sandbox::random::Random;

/// What the generator remembers of an account, so that balances add up.
#[derive(Debug, Clone)]
pub(in crate::sandbox) struct Book {
    pub(in crate::sandbox) account: i64,
    pub(in crate::sandbox) currency: String,
    pub(in crate::sandbox) iban: String,
    pub(in crate::sandbox) tax_no: String,
    /// The running balance in kuruş.
    pub(in crate::sandbox) balance: i64,
    /// Rows so far: the source's `order`.
    pub(in crate::sandbox) rows: i64,
}

/// One row of `/accounts/{id}/transactions`.
#[derive(Debug, Clone, Serialize)]
pub(in crate::sandbox) struct BankRow {
    pub(in crate::sandbox) id: i64,
    vms_transaction_type: &'static str,
    bank_account_id: i64,
    key: String,
    transaction_type: &'static str,
    mt940transaction_type: &'static str,
    system_date: String,
    accounting_date: String,
    sender_identity_number: Option<String>,
    sender_name: Option<String>,
    sender_branch: Option<String>,
    sender_title: String,
    sender_iban: String,
    sender_taxno: Option<String>,
    reciever_iban: Option<String>,
    opponent_title: String,
    opponent_iban: String,
    opponent_taxno: Option<String>,
    fis_no: String,
    payer_tax_no: Option<String>,
    description: String,
    fec_name: String,
    pub(in crate::sandbox) amount: String,
    current_balance: String,
    resource_code: String,
    #[serde(rename = "type")]
    direction: &'static str,
    note: Option<String>,
    order: i64,
    created_at: String,
    tags: Vec<Tag>,
}

/// A tag as the panel's users put it on a row.
#[derive(Debug, Clone, Serialize)]
pub(in crate::sandbox) struct Tag {
    tag_id: i64,
    detail_id: i64,
    tag: TagName,
}

#[derive(Debug, Clone, Serialize)]
struct TagName {
    id: i64,
    name: &'static str,
}

const TAG_NAMES: [&str; 5] = ["Virman", "Kira", "Maaş", "Tahsilat", "Kontrol Edildi"];

/// The tag that a panel user puts on the row with that id.
pub(in crate::sandbox) fn tag(random: &mut Random, detail_id: i64) -> Tag {
    let index = random.below(TAG_NAMES.len() as u64);
    let name = TAG_NAMES[usize::try_from(index).unwrap_or(0)];
    let id = index.cast_signed() + 2;
    Tag { tag_id: id, detail_id, tag: TagName { id, name } }
}

/// The other side of a row.
struct Party {
    name: String,
    iban: String,
    tax_no: Option<String>,
    national_id: Option<String>,
}

fn party(random: &mut Random) -> Party {
    let bank_code = random.pick(&people::BANKS).3;
    let iban = people::iban(random, bank_code);
    if random.per_mille(400) {
        let name = people::person(random);
        Party { name, iban, tax_no: None, national_id: Some(people::national_id(random)) }
    } else {
        let name = people::company(random);
        Party { name, iban, tax_no: Some(people::tax_no(random)), national_id: None }
    }
}

/// Writes the next row of an account and moves its balance.
pub(in crate::sandbox) fn bank_row(
    random: &mut Random,
    book: &mut Book,
    id: i64,
    at: NaiveDateTime,
) -> BankRow {
    let mut kind = bank_types::choose(random);
    let size = random.kurus(4, 7);
    if kind.outgoing && size > book.balance {
        kind = bank_types::incoming();
    }
    let kurus = if kind.outgoing { -size } else { size };
    book.balance += kurus;
    book.rows += 1;
    let other = party(random);
    let amount = people::amount(kurus);
    let mut row = BankRow {
        id,
        vms_transaction_type: kind.code,
        bank_account_id: book.account,
        key: random.hex32(),
        transaction_type: kind.bank_code,
        mt940transaction_type: kind.bank_code,
        system_date: date_time(at),
        accounting_date: date_time(at),
        sender_identity_number: None,
        sender_name: None,
        sender_branch: None,
        sender_title: String::new(),
        sender_iban: book.iban.clone(),
        sender_taxno: Some(book.tax_no.clone()),
        reciever_iban: None,
        opponent_title: other.name.clone(),
        opponent_iban: other.iban.clone(),
        opponent_taxno: other.tax_no.clone(),
        fis_no: format!("9300{}{}", at.format("%Y%m%d"), random.digits(10)),
        payer_tax_no: None,
        description: bank_types::description(random, kind, &other.name, &amount, &book.currency),
        fec_name: book.currency.clone(),
        current_balance: people::amount(book.balance),
        resource_code: format!("9300{}{}", at.format("%Y%m%d"), random.digits(10)),
        direction: if kind.outgoing { "borclu" } else { "alacakli" },
        note: random.per_mille(30).then(|| "Muhasebe kontrol etti".to_owned()),
        order: book.rows,
        created_at: date_time(at + TimeDelta::seconds(random.between(1, 90))),
        tags: if random.per_mille(60) { vec![tag(random, id)] } else { Vec::new() },
        amount,
    };
    if !kind.outgoing {
        turn_round(&mut row, other, &book.iban);
    }
    row
}

/// In an incoming row the other side is the sender.
fn turn_round(row: &mut BankRow, other: Party, own_iban: &str) {
    row.sender_identity_number = other.national_id;
    row.sender_name = Some(other.name);
    row.sender_iban = other.iban;
    row.payer_tax_no.clone_from(&other.tax_no);
    row.sender_taxno = other.tax_no;
    row.reciever_iban = Some(own_iban.to_owned());
}
