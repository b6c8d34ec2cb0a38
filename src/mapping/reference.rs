//! Rows of the reference streams.

use std::borrow::Cow;

use crate::{
    domain::{
        content::Content,
        ids::SourceId,
        meta::EventMeta,
        reference::{Account, BankEntity, Customer, InstallmentOption, Terminal, TransactionType},
        warnings::Warning,
    },
    mapping::{
        json::{Key, Mask::*, keys},
        reader::{Problem, Reader},
        row::{Body, Head, id_text},
    },
};

keys! {
    BankEntityKey {
        Id = "id", Figure, "bank_id";
        Slug = "bank_name", Code, "bank_slug";
        Title = "bank_title", Code, "title";
        Order = "order", Figure, "order";
        CreatedAt = "created_at", Figure, "created_at";
        Code = "bank_code", Code, "bank_code";
    }
}

keys! {
    AccountKey {
        Id = "id", Figure, "account_id";
        BankId = "bank_id", Figure, "bank_id";
        BranchName = "branch_name", Code, "branch_name";
        Currency = "fec_name", Figure, "currency";
        AccountNumber = "account_number", Tail, "account_number";
        Balance = "balance", Figure, "balance";
        BranchId = "branch_id", Code, "branch_code";
        AddToBalance = "add_to_balance", Figure, "include_in_total";
        CustomIban = "custom_iban", Iban, "custom_iban";
        Iban = "iban", Iban, "iban";
        Status = "status", Figure, "active";
        Order = "b_order", Figure, "display_order";
        ProductCode = "product_code", Code, "product_code";
        CreatedAt = "created_at", Figure, "created_at";
        BlockedBalance = "blocked_balance", Figure, "blocked_balance";
        AvailableBalance = "available_balance", Figure, "available_balance";
        Bank = "bank", Nested(BankEntityKey::FIELDS), "";
        FormattedNumber = "formatted_account_number", Tail, "";
    }
}

keys! {
    TerminalKey {
        Id = "id", Figure, "station_id";
        BankName = "bank_name", Code, "bank_slug";
        BankTitle = "bank_title", Code, "bank_title";
        Status = "status", Figure, "active";
        WorkplaceNo = "workplace_no", Code, "merchant_no";
        StationNo = "station_no", Code, "terminal_no";
        WorkplaceName = "workplace_name", Stars, "merchant_name";
        Currency = "transaction_currency", Figure, "currency";
        CustomName = "custom_name", Free, "custom_name";
        CommissionRate = "commission_rate", Figure, "commission_rate_pct";
    }
}

keys! {
    TransactionTypeKey {
        Code = "type_no", Code, "code";
        Name = "type_name", Code, "name";
    }
}

keys! {
    InstallmentKey {
        Family = "family", Code, "card_family";
        BankSlug = "bank_slug", Code, "bank_slug";
        PosId = "pos_id", Figure, "pos_id";
        Currency = "currency", Figure, "currency";
        Installment = "installment", Figure, "installment";
        BlockRate = "block_rate", Figure, "block_rate_pct";
        Title = "title", Code, "title";
        Status = "status", Figure, "enabled";
        Rate = "rate", Figure, "block_rate_pct";
        ExtraInstallment = "extra_installment", Figure, "extra_installment";
        DiscountRate = "discount_rate", Figure, "discount_rate_pct";
        BankName = "bank_name", Code, "bank_slug";
    }
}

// Fields without a target are known and left out:
//
// | field | why |
// |---|---|
// | `bank` of an account | the bank is a row of `/banks` |
// | `formatted_account_number` | the account number once more, grouped for people |
// | `related`, `invoices` | lists whose elements no document describes; the event model has no place |
// | `invoiceInformation` | an input of `customers/store`; invoice data stand in the payments |
// | `password` | forbidden |
keys! {
    CustomerKey {
        Id = "id", Figure, "customer_id";
        DealerId = "bayi_id", Figure, "dealer_id";
        Title = "unvan", Stars, "title";
        LegalTitle = "resmi_unvan", Stars, "legal_title";
        ContactPerson = "yetkili_kisi", Stars, "contact_person";
        Mobile = "gsm", Stars, "mobile";
        Phone = "telefon", Stars, "phone";
        Email = "email", Stars, "email";
        Address = "adres", Stars, "address";
        TaxNo = "vergi_no", Tail, "tax_no";
        TaxOffice = "vergi_dairesi", Stars, "tax_office";
        CompanyTitle = "companyTitle", Stars, "title";
        PhoneEnglish = "phone", Stars, "phone";
        Related = "related", Stars, "";
        Invoices = "invoices", Stars, "";
        InvoiceInformation = "invoiceInformation", Stars, "";
        Password = "password", Forbidden, "";
    }
}

/// Maps a bank.
pub(super) fn map_bank<'a>(
    reader: &mut Reader<'_, 'a>,
    head: &mut Head,
) -> Result<Body<'a>, Problem> {
    let bank_id = numbered(reader, BankEntityKey::Id, head)?;
    let record = BankEntity {
        meta: EventMeta::default(),
        bank_id,
        bank_slug: reader.required_text(BankEntityKey::Slug)?,
        title: reader.text(BankEntityKey::Title)?,
        bank_code: reader.text(BankEntityKey::Code)?,
        order: reader.shown_order(BankEntityKey::Order, Warning::UnreadableOrder),
        created_at: reader.time(BankEntityKey::CreatedAt)?.at,
    };
    Ok(Body::plain(id_text(bank_id), Content::BankEntity(record)))
}

/// Maps an account.
pub(super) fn map_account<'a>(
    reader: &mut Reader<'_, 'a>,
    head: &mut Head,
) -> Result<Body<'a>, Problem> {
    let account_id = numbered(reader, AccountKey::Id, head)?;
    let currency =
        reader.currency(AccountKey::Currency)?.ok_or_else(|| Problem::missing("fec_name"))?;
    let record = Account {
        meta: EventMeta::default(),
        account_id,
        bank_id: reader.integer(AccountKey::BankId)?,
        branch_name: reader.text(AccountKey::BranchName)?,
        branch_code: reader.text(AccountKey::BranchId)?,
        currency: currency.code,
        account_number: reader.text(AccountKey::AccountNumber)?,
        iban: reader.iban(AccountKey::Iban)?,
        custom_iban: reader.iban(AccountKey::CustomIban)?,
        balance: reader.money(AccountKey::Balance)?,
        blocked_balance: reader.money(AccountKey::BlockedBalance)?,
        available_balance: reader.money(AccountKey::AvailableBalance)?,
        include_in_total: reader.flag(AccountKey::AddToBalance)?,
        active: reader.flag(AccountKey::Status)?,
        display_order: reader.shown_order(AccountKey::Order, Warning::UnreadableDisplayOrder),
        product_code: reader.text(AccountKey::ProductCode)?,
        created_at: reader.time(AccountKey::CreatedAt)?.at,
    };
    Ok(Body::plain(id_text(account_id), Content::Account(record)))
}

/// Maps a terminal.
pub(super) fn map_terminal<'a>(
    reader: &mut Reader<'_, 'a>,
    head: &mut Head,
) -> Result<Body<'a>, Problem> {
    let station_id = numbered(reader, TerminalKey::Id, head)?;
    let record = Terminal {
        meta: EventMeta::default(),
        station_id,
        bank_slug: reader.text(TerminalKey::BankName)?,
        bank_title: reader.text(TerminalKey::BankTitle)?,
        active: reader.flag(TerminalKey::Status)?,
        merchant_no: reader.text(TerminalKey::WorkplaceNo)?,
        terminal_no: reader.text(TerminalKey::StationNo)?,
        merchant_name: reader.text(TerminalKey::WorkplaceName)?,
        currency: reader.currency(TerminalKey::Currency)?.map(|currency| currency.code),
        custom_name: reader.text(TerminalKey::CustomName)?,
        commission_rate_pct: reader.rate(TerminalKey::CommissionRate)?,
    };
    Ok(Body::plain(id_text(station_id), Content::Terminal(record)))
}

/// Maps a kind of bank movement.
pub(super) fn map_transaction_type<'a>(
    reader: &mut Reader<'_, 'a>,
    head: &mut Head,
) -> Result<Body<'a>, Problem> {
    let code = reader.required_text(TransactionTypeKey::Code)?;
    head.source_id = Some(SourceId::Text(code.as_ref().into()));
    let record = TransactionType {
        meta: EventMeta::default(),
        code: code.clone(),
        name: reader.text(TransactionTypeKey::Name)?,
    };
    Ok(Body::plain(code, Content::TransactionType(record)))
}

/// Maps an instalment option; its key is made of what tells options apart.
pub(super) fn map_installment<'a>(
    reader: &mut Reader<'_, 'a>,
    head: &mut Head,
) -> Result<Body<'a>, Problem> {
    let card_family = reader.required_text(InstallmentKey::Family)?;
    let pos_id: Option<i64> = reader.integer(InstallmentKey::PosId)?;
    let bank_slug = reader.first_text(&[InstallmentKey::BankSlug, InstallmentKey::BankName])?;
    let installment: i32 = reader
        .integer(InstallmentKey::Installment)?
        .ok_or_else(|| Problem::missing("installment"))?;
    let currency = reader.currency(InstallmentKey::Currency)?.map(|currency| currency.code);
    let pos = match (pos_id, &bank_slug) {
        (Some(id), _) => id_text(id),
        (None, Some(slug)) => slug.clone(),
        (None, None) => return Err(Problem::missing("pos_id")),
    };
    let key =
        format!("{card_family}/{pos}/{installment}/{}", currency.as_deref().unwrap_or_default());
    head.source_id = Some(SourceId::Text(key.as_str().into()));
    let block_rate_pct = match reader.rate(InstallmentKey::BlockRate)? {
        Some(rate) => Some(rate),
        None => reader.rate(InstallmentKey::Rate)?,
    };
    let record = InstallmentOption {
        meta: EventMeta::default(),
        pos_id,
        bank_slug,
        card_family,
        installment,
        currency,
        block_rate_pct,
        title: reader.text(InstallmentKey::Title)?,
        enabled: reader.flag(InstallmentKey::Status)?,
        extra_installment: reader.integer(InstallmentKey::ExtraInstallment)?,
        discount_rate_pct: reader.rate(InstallmentKey::DiscountRate)?,
    };
    Ok(Body::plain(Cow::Owned(key), Content::InstallmentOption(record)))
}

/// Maps a customer; whoever finds one elsewhere than in the list marks it as partial.
pub(super) fn map_customer<'a>(
    reader: &mut Reader<'_, 'a>,
    head: &mut Head,
) -> Result<Body<'a>, Problem> {
    let customer_id = numbered(reader, CustomerKey::Id, head)?;
    let record = Customer {
        meta: EventMeta::default(),
        customer_id,
        dealer_id: reader.integer(CustomerKey::DealerId)?,
        title: reader.first_text(&[CustomerKey::Title, CustomerKey::CompanyTitle])?,
        legal_title: reader.text(CustomerKey::LegalTitle)?,
        contact_person: reader.text(CustomerKey::ContactPerson)?,
        mobile: reader.text(CustomerKey::Mobile)?,
        phone: reader.first_text(&[CustomerKey::Phone, CustomerKey::PhoneEnglish])?,
        email: reader.text(CustomerKey::Email)?,
        address: reader.text(CustomerKey::Address)?,
        tax_no: reader.tax_no(CustomerKey::TaxNo)?,
        tax_office: reader.text(CustomerKey::TaxOffice)?,
        partial: false,
    };
    Ok(Body::plain(id_text(customer_id), Content::Customer(record)))
}

fn numbered<K: Key>(reader: &mut Reader<'_, '_>, key: K, head: &mut Head) -> Result<i64, Problem> {
    let id = reader.required_id(key)?;
    head.source_id = Some(SourceId::Number(id));
    Ok(id)
}
