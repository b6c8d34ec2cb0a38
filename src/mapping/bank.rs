//! Bank rows.

use std::borrow::Cow;

use xxhash_rust::xxh3::xxh3_64;

use crate::{
    config::model::DateType,
    domain::{
        content::Content,
        ids::SourceId,
        meta::EventMeta,
        money::Money,
        transactions::{BankTransaction, Tag},
        vocabulary::{Direction, RejectionReason},
        warnings::{Warning, Warnings},
    },
    mapping::{
        dates,
        json::{Fields, Key, Mask::*, Scalar, elements, keys},
        reader::{Problem, Reader},
        reference::{AccountKey, BankEntityKey},
        row::{Body, Head, RowContext, id_text},
        words,
    },
};

keys! {
    BankKey {
        Id = "id", Figure, "transaction_id";
        Category = "vms_transaction_type", Code, "category_raw";
        AccountId = "bank_account_id", Figure, "account_id";
        SourceKey = "key", Code, "source_key";
        TransactionType = "transaction_type", Code, "bank_transaction_code";
        Mt940 = "mt940transaction_type", Code, "mt940_code";
        SystemDate = "system_date", Figure, "booked_at_local";
        AccountingDate = "accounting_date", Figure, "accounting_at_local";
        SenderIdentity = "sender_identity_number", Tail, "sender_national_id";
        SenderName = "sender_name", Stars, "sender_name";
        SenderBranch = "sender_branch", Tail, "sender_branch_or_account";
        SenderTitle = "sender_title", Stars, "sender_title";
        SenderIban = "sender_iban", Iban, "sender_iban";
        SenderTaxNo = "sender_taxno", Tail, "sender_tax_no";
        RecieverIban = "reciever_iban", Iban, "receiver_iban";
        OpponentTitle = "opponent_title", Stars, "counterparty_title";
        OpponentIban = "opponent_iban", Iban, "counterparty_iban";
        OpponentTaxNo = "opponent_taxno", Tail, "counterparty_tax_no";
        VoucherNo = "fis_no", Code, "voucher_no";
        PayerTaxNo = "payer_tax_no", Tail, "payer_tax_no";
        Description = "description", Free, "description";
        Currency = "fec_name", Figure, "currency_raw";
        Amount = "amount", Figure, "amount";
        Balance = "current_balance", Figure, "balance_after";
        ResourceCode = "resource_code", Code, "document_no";
        Type = "type", Code, "direction_raw";
        Note = "note", Free, "note";
        Order = "order", Figure, "bank_order";
        CreatedAt = "created_at", Figure, "ingested_at_local";
        Tags = "tags", Nested(TagKey::FIELDS), "tags";
        Account = "account", Nested(AccountKey::FIELDS), "";
        ReceiverIban = "receiver_iban", Iban, "receiver_iban";
        Bank = "bank", Nested(BankEntityKey::FIELDS), "";
    }
}

keys! {
    TagKey {
        TagId = "tag_id", Figure, "";
        DetailId = "detail_id", Figure, "";
        Tag = "tag", Nested(TagNameKey::FIELDS), "";
    }
}

keys! {
    TagNameKey {
        Id = "id", Figure, "";
        Name = "name", Free, "";
    }
}

/// Maps a bank row.
pub(super) fn map<'a>(
    reader: &mut Reader<'_, 'a>,
    ctx: &RowContext<'_>,
    head: &mut Head,
) -> Result<Body<'a>, Problem> {
    let id = reader.id(BankKey::Id);
    head.source_id = id.as_ref().ok().copied().flatten().map(SourceId::Number);
    let account_id = account_id(reader, ctx);
    head.key = account_id.as_ref().ok().map(|id| id_text(*id).as_ref().into());
    let booked = reader.time(BankKey::SystemDate)?;
    let accounting = reader.time(BankKey::AccountingDate)?;
    let deciding = match ctx.date_type {
        DateType::SystemDate => &booked,
        DateType::AccountingDate => &accounting,
    };
    head.day = deciding.text.as_deref().and_then(dates::local_day);
    head.window_days[0] = head.day;
    head.newest_at = deciding.at;
    let transaction_id = id?.ok_or_else(|| Problem::missing("id"))?;
    let account_id = account_id?;

    let amount = reader.money(BankKey::Amount)?.ok_or_else(|| Problem::missing("amount"))?;
    let direction_raw = reader.text(BankKey::Type)?;
    let direction = words::direction(direction_raw.as_deref());
    warn_of_sign(amount, direction, &mut reader.warnings);
    let (currency, currency_raw) = currency(reader, ctx)?;
    let category_raw = reader.text(BankKey::Category)?;
    let ingested = reader.time(BankKey::CreatedAt)?;
    let source_key = reader.text(BankKey::SourceKey)?;
    let record = BankTransaction {
        meta: EventMeta::default(),
        transaction_id,
        account_id,
        category: words::category(category_raw.as_deref()),
        category_raw,
        bank_transaction_code: reader.text(BankKey::TransactionType)?,
        mt940_code: reader.text(BankKey::Mt940)?,
        direction,
        direction_raw,
        amount,
        balance_after: reader.money(BankKey::Balance)?,
        currency,
        currency_raw,
        booked_at: booked.at,
        booked_at_local: booked.text,
        accounting_at: accounting.at,
        accounting_at_local: accounting.text,
        ingested_at: ingested.at,
        ingested_at_local: ingested.text,
        sender_national_id: reader.national_id(BankKey::SenderIdentity)?,
        sender_tax_no: reader.tax_no(BankKey::SenderTaxNo)?,
        payer_tax_no: reader.tax_no(BankKey::PayerTaxNo)?,
        sender_name: reader.text(BankKey::SenderName)?,
        sender_title: reader.text(BankKey::SenderTitle)?,
        sender_branch_or_account: reader.text(BankKey::SenderBranch)?,
        sender_iban: reader.iban(BankKey::SenderIban)?,
        receiver_iban: receiver_iban(reader)?,
        counterparty_iban: reader.iban(BankKey::OpponentIban)?,
        counterparty_title: reader.text(BankKey::OpponentTitle)?,
        counterparty_tax_no: reader.tax_no(BankKey::OpponentTaxNo)?,
        voucher_no: reader.text(BankKey::VoucherNo)?,
        document_no: reader.text(BankKey::ResourceCode)?,
        description: reader.shown_text(BankKey::Description, Warning::UnreadableDescription),
        note: reader.shown_text(BankKey::Note, Warning::UnreadableNote),
        bank_order: reader.shown_order(BankKey::Order, Warning::UnreadableBankOrder),
        tags: tags(reader),
        source_key,
    };
    Ok(Body {
        key: id_text(account_id),
        source_key: record.source_key.as_deref().map(|key| xxh3_64(key.as_bytes())),
        record: Content::Bank(record),
    })
}

/// The row's account, else the one that was asked for.
fn account_id(reader: &mut Reader<'_, '_>, ctx: &RowContext<'_>) -> Result<i64, Problem> {
    if let Some(id) = reader.id(BankKey::AccountId)? {
        return Ok(id);
    }
    ctx.entity.parse().map_err(|_| Problem::missing("bank_account_id"))
}

/// The row's currency, else the account's; an amount without one means nothing.
fn currency<'a>(
    reader: &mut Reader<'_, 'a>,
    ctx: &RowContext<'_>,
) -> Result<(Cow<'a, str>, Option<Cow<'a, str>>), Problem> {
    if let Some(currency) = reader.currency(BankKey::Currency)? {
        return Ok((currency.code, Some(currency.raw)));
    }
    let code = ctx.entity_currency.ok_or(Problem {
        reason: RejectionReason::MissingField,
        field: "fec_name",
        detail: Cow::Borrowed("the row has no currency and the account's is not known"),
    })?;
    Ok((Cow::Owned(code.to_owned()), None))
}

/// Money out is negative and money in positive; a contradiction is told and left alone.
fn warn_of_sign(amount: Money, direction: Direction, warnings: &mut Warnings) {
    let contradicts = match direction {
        Direction::Debit => amount > Money::ZERO,
        Direction::Credit => amount < Money::ZERO,
        Direction::Unknown => false,
    };
    if contradicts {
        warnings.insert(Warning::SignMismatch);
    }
}

/// Either spelling; where both are there and differ, the documented one stands.
fn receiver_iban<'a>(reader: &mut Reader<'_, 'a>) -> Result<Option<Cow<'a, str>>, Problem> {
    let documented = reader.iban(BankKey::RecieverIban)?;
    let corrected = reader.iban(BankKey::ReceiverIban)?;
    if documented.is_some() && corrected.is_some() && documented != corrected {
        reader.warnings.insert(Warning::ConflictingIban);
    }
    Ok(documented.or(corrected))
}

/// Labels as objects or plain texts, in an array or an object of them; a plain text is one of them. What
/// cannot be read is left out with a warning: a movement must not be missing for the sake of a label.
fn tags<'a>(reader: &mut Reader<'_, 'a>) -> Vec<Tag<'a>> {
    let raw = reader.raw(BankKey::Tags);
    let elements = match raw.as_bytes().first() {
        Some(b'[' | b'{') => elements(raw),
        Some(b'"') if raw != "\"\"" => vec![raw],
        None | Some(b'"' | b'n') => Vec::new(),
        Some(_) => {
            reader.warnings.insert(Warning::UnreadableTags);
            Vec::new()
        }
    };
    elements.into_iter().filter_map(|element| tag(element, &mut reader.warnings)).collect()
}

fn tag<'a>(raw: &'a str, warnings: &mut Warnings) -> Option<Tag<'a>> {
    let name = match Scalar::of(raw).0 {
        Scalar::Absent | Scalar::Null => return None,
        Scalar::Text(name) => name,
        Scalar::Number(digits) => Cow::Borrowed(digits),
        Scalar::Bool(_) => Cow::Borrowed(raw),
        Scalar::Other(_) => return Some(nested_tag(raw, warnings)),
    };
    Some(Tag { name: Some(name), ..Tag::default() })
}

fn nested_tag<'a>(raw: &'a str, warnings: &mut Warnings) -> Tag<'a> {
    let Some(fields) = nested::<TagKey>(raw) else { return Tag::default() };
    let mut reader = Reader::new(&fields);
    let unreadable = Warning::UnreadableTags;
    let name_fields = nested::<TagNameKey>(reader.raw(TagKey::Tag));
    let name = match &name_fields {
        Some(fields) => {
            let mut reader = Reader::new(fields);
            let name = reader.shown_text(TagNameKey::Name, unreadable);
            *warnings = warnings.union(reader.warnings);
            name
        }
        // A tag may be its name alone.
        None => reader.shown_text(TagKey::Tag, unreadable),
    };
    let tag = Tag {
        tag_id: reader.shown_order(TagKey::TagId, unreadable),
        detail_id: reader.shown_order(TagKey::DetailId, unreadable),
        name,
    };
    *warnings = warnings.union(reader.warnings);
    tag
}

/// The fields of a nested object, where it is one.
pub(super) fn nested<K: Key>(raw: &str) -> Option<Fields<'_>> {
    if !raw.starts_with('{') {
        return None;
    }
    Fields::read(raw, K::FIELDS, false)
}
