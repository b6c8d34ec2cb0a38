//! What the event of a source row must say, field by field: tables of its own, which share
//! nothing with `src/mapping`.
//!
//! They know what the sandbox's rows hold, and no more: a row is in the source's current zone,
//! its texts carry no card number, its IBANs no spaces.

use serde_json::{Map, Value, json};
use vomsis_connect::domain::ids::Stream;

use self::Form::*;

/// How a source field becomes an event field.
#[derive(Debug, Clone, Copy)]
enum Form {
    /// Texts and numbers as text; blank is nothing.
    Text,
    /// An integer, as it is or from a text.
    Int,
    /// A flag as it is.
    Flag,
    /// An amount with five decimals.
    Money,
    /// A percentage with six decimals.
    Rate,
    /// Local time in UTC.
    Time,
    /// `DD.MM.YYYY` or `YYYY-MM-DD…` as `YYYY-MM-DD`.
    Day,
    /// TL is TRY.
    Currency,
    /// A word of the event for a word of the source.
    Word(&'static [(&'static str, &'static str)]),
    /// Nothing, whatever the row says.
    Nothing,
}

type Table = &'static [(&'static str, Form, &'static str)];

const DIRECTION: Form = Word(&[("borclu", "DEBIT"), ("alacakli", "CREDIT")]);
const BRAND: Form =
    Word(&[("MASTERCARD", "MASTERCARD"), ("VISA", "VISA"), ("TROY", "TROY"), ("AMEX", "AMEX")]);
const POS_KIND: Form = Word(&[("Satış", "SALE"), ("İade", "REFUND"), ("İptal", "VOID")]);
const STATUS: Form = Word(&[
    ("successful", "SUCCESSFUL"),
    ("failed", "FAILED"),
    ("cancel", "CANCELLED"),
    ("refund", "REFUNDED"),
]);
const TOS_TYPE: Form = Word(&[("1", "TO_ACCOUNT"), ("2", "TO_NAME")]);

const BANK: Table = &[
    ("transaction_id", Int, "id"),
    ("account_id", Int, "bank_account_id"),
    ("source_key", Text, "key"),
    // The sandbox uses categories of the document, which are their own names.
    ("category", Text, "vms_transaction_type"),
    ("category_raw", Text, "vms_transaction_type"),
    ("bank_transaction_code", Text, "transaction_type"),
    ("mt940_code", Text, "mt940transaction_type"),
    ("direction", DIRECTION, "type"),
    ("direction_raw", Text, "type"),
    ("amount", Money, "amount"),
    ("balance_after", Money, "current_balance"),
    ("currency", Currency, "fec_name"),
    ("currency_raw", Text, "fec_name"),
    ("booked_at", Time, "system_date"),
    ("booked_at_local", Text, "system_date"),
    ("accounting_at", Time, "accounting_date"),
    ("accounting_at_local", Text, "accounting_date"),
    ("ingested_at", Time, "created_at"),
    ("ingested_at_local", Text, "created_at"),
    ("sender_national_id", Text, "sender_identity_number"),
    ("sender_tax_no", Text, "sender_taxno"),
    ("payer_tax_no", Text, "payer_tax_no"),
    ("sender_name", Text, "sender_name"),
    ("sender_title", Text, "sender_title"),
    ("sender_branch_or_account", Text, "sender_branch"),
    ("sender_iban", Text, "sender_iban"),
    ("receiver_iban", Text, "reciever_iban"),
    ("counterparty_iban", Text, "opponent_iban"),
    ("counterparty_title", Text, "opponent_title"),
    ("counterparty_tax_no", Text, "opponent_taxno"),
    ("voucher_no", Text, "fis_no"),
    ("document_no", Text, "resource_code"),
    ("description", Text, "description"),
    ("note", Text, "note"),
    ("bank_order", Int, "order"),
];

const POS: Table = &[
    ("transaction_id", Int, "id"),
    ("source_key", Text, "key"),
    ("terminal_no", Text, "station"),
    ("merchant_no", Text, "workplace"),
    ("card_masked", Text, "card_number"),
    ("card_type_raw", Text, "card_type"),
    ("card_brand", BRAND, "sub_card_type"),
    ("card_brand_raw", Text, "sub_card_type"),
    ("kind", POS_KIND, "transaction_type"),
    ("kind_raw", Text, "transaction_type"),
    ("gross_amount", Money, "gross_amount"),
    ("commission_amount", Money, "commission"),
    ("net_amount", Money, "net_amount"),
    ("commission_rate_pct", Rate, "commission_rate"),
    ("currency", Currency, "exchange"),
    ("currency_raw", Text, "exchange"),
    ("installment_count", Int, "installments_count"),
    ("installment_no", Int, "installments_order"),
    // The sandbox's `date` and `time` are those of `system_date`.
    ("transaction_at", Time, "system_date"),
    ("transaction_date", Day, "date"),
    ("system_at", Time, "system_date"),
    ("system_at_local", Text, "system_date"),
    ("end_of_day_date", Day, "end_of_day_date"),
    ("registration_date", Day, "registration_date"),
    ("value_date", Day, "valor"),
    ("authorization_date", Day, "provision_date"),
    ("authorization_date_raw", Text, "provision_date"),
    ("blocked_date", Day, "blocked_date"),
    ("blocked_date_raw", Text, "blocked_date"),
    ("transaction_end_date", Day, "transaction_end_date"),
    ("transaction_end_date_raw", Text, "transaction_end_date"),
    ("settled_date", Day, "transfer_to_account_date"),
    ("settled_date_raw", Text, "transfer_to_account_date"),
    ("block_time_raw", Text, "block_time"),
    ("blocked_no", Text, "blocked_no"),
    ("batch_no", Text, "batchn"),
    ("chain_no", Text, "chain_no"),
    ("authorization_no", Text, "provision_no"),
    ("confirmation_no", Text, "confirmation_number"),
    ("reference_no", Text, "reference_number"),
    ("bank_transaction_no", Text, "transaction_no"),
    ("award_contribution", Text, "award_contribution"),
    ("extra_award_contribution", Text, "extra_award_contribution"),
    ("sm_award_contribution", Text, "sm_award_contribution"),
    ("workplace_social_contribution", Text, "workplace_social_contribution"),
    ("service_com", Text, "service_com"),
    ("iklcom_chip", Text, "iklcom_chip"),
    ("kesilen_chip", Text, "kesilen_chip"),
    ("net_chip", Text, "net_chip"),
    ("vrcom_chip", Text, "vrcom_chip"),
    ("product_class", Text, "product_class"),
    ("description", Text, "description"),
];

const VIRTUAL_POS: Table = &[
    ("transaction_id", Int, "id"),
    ("pos_id", Int, "pos_id"),
    ("customer_id", Int, "musteri_id"),
    ("collection_id", Int, "tahsilat_id"),
    ("dealer_id", Int, "bayi_id"),
    ("invoice_info_id", Int, "invoiceInfoId"),
    ("reference_no", Text, "referans_kodu"),
    ("order_id", Text, "order_id"),
    ("bank_transaction_id", Text, "trans_id"),
    ("transacted_at", Time, "islem_tarihi"),
    ("transacted_at_local", Text, "islem_tarihi"),
    ("created_at", Time, "created_at"),
    ("created_at_local", Text, "created_at"),
    ("amount", Money, "tutar"),
    ("charged_total", Money, "taksit_tutar"),
    ("refunded_amount", Money, "iade_tutar"),
    ("commission_rate_pct", Rate, "taksit_oran"),
    ("discount_rate_pct", Rate, "discountRate"),
    ("currency", Currency, "para_birimi"),
    ("installment_count", Int, "taksit"),
    ("status", STATUS, "/status_detail/status"),
    ("status_raw", Text, "/status_detail/status"),
    ("durum_raw", Text, "durum"),
    ("kind", Word(&[("islem", "PAYMENT")]), "tur"),
    ("kind_raw", Text, "tur"),
    ("result_code", Text, "hata_kodu"),
    ("result_message", Text, "hata_mesaji"),
    ("card_masked", Text, "kredi_kart_no"),
    ("issuer_bank", Text, "kredi_kart_banka"),
    ("card_family", Text, "cc_family"),
    ("card_org_raw", Text, "cc_org"),
    ("card_type_raw", Text, "cc_type"),
    ("pos_name", Text, "pos_name"),
    ("client_ip", Text, "ip_adresi"),
    ("description", Text, "aciklama"),
    ("invoice_type", Text, "invoiceType"),
    ("invoice_title", Text, "invoiceTitle"),
    ("invoice_tax_office", Text, "invoiceTaxOffice"),
    ("invoice_tax_number", Text, "invoiceTaxNumber"),
    ("invoice_name", Text, "invoiceName"),
    ("invoice_phone", Text, "invoicePhone"),
    ("invoice_email", Text, "invoiceEmail"),
    ("invoice_address", Text, "invoiceAddress"),
    ("info_emails", Text, "infoEmails"),
];

const TOS: Table = &[
    ("transaction_object_id", Text, "TransactionObjectId"),
    ("institution_code", Text, "InstitutionCode"),
    ("package_no", Text, "InstitutionPackageNo"),
    ("institution_transaction_code", Text, "InstitutionTransactionCode"),
    ("query_no", Text, "TransactionQueryNo"),
    ("type", TOS_TYPE, "TransactionType"),
    ("type_raw", Int, "TransactionType"),
    ("amount", Money, "Amount"),
    ("currency", Currency, "CurrencyType"),
    ("succeeded", Flag, "Result"),
    ("error_code", Int, "ErrorCode"),
    ("error_text", Text, "ErrorExplanation"),
    ("payment_date", Day, "PaymentDate"),
    ("transferred_at", Time, "TransferDate"),
    ("transferred_at_local", Text, "TransferDate"),
    ("returned_at", Time, "ReturnDate"),
    ("returned_at_local", Text, "ReturnDate"),
    ("return_payment_at", Time, "ComingReturnPaymentDate"),
    ("return_payment_at_local", Text, "ComingReturnPaymentDate"),
    ("sender_account_no", Text, "SenderAccountNo"),
    ("sender_branch_code", Text, "SenderBranchCode"),
    ("receiver_iban_or_account", Text, "ReceivertAccountIbanNo"),
    ("card_masked", Nothing, ""),
    ("receiver_bank_code", Text, "ReceiverBankCode"),
    ("receiver_branch_code", Text, "ReceiverBranchCode"),
    ("receiver_bank_name", Text, "ReceiverBankName"),
    ("receiver_name_surname", Text, "ReceiverNameSurname"),
    ("receiver_address", Text, "ReceiverAddress"),
    ("receiver_telephone", Text, "ReceiverTelephone"),
    ("receiver_email", Text, "ReceiverEmail"),
    // Dropped unless somebody asks for it.
    ("receiver_father_name", Nothing, "ReceiverFatherName"),
    ("receiver_national_id", Text, "ReceiverIdentityNo"),
    ("receiver_tax_no", Text, "ReceiverTaxNo"),
    ("receiver_tax_office", Text, "ReceiverAdministrationTax"),
    ("tax_identity_check", Flag, "TaxIdentityCheck"),
    ("credit_use", Flag, "CreditUse"),
    ("return_query_no", Text, "ComingReturnTransactionQueryNo"),
    ("return_transaction_object_id", Text, "ReturnTransactionObjectId"),
    ("explanation", Text, "Explanation"),
    ("statement_text", Text, "ExtractExplanation"),
];

/// The event of a row of `entity`, without its `meta`, in the form of the tests' decoder.
pub(super) fn body(stream: Stream, entity: &str, row: &str) -> Map<String, Value> {
    let row: Value = serde_json::from_str(row).unwrap();
    let table = match stream {
        Stream::BankTransactions => BANK,
        Stream::PosTransactions => POS,
        Stream::VirtualPosTransactions => VIRTUAL_POS,
        Stream::TosPayments => TOS,
        other => panic!("no table for {other}"),
    };
    let mut body: Map<_, _> =
        table.iter().map(|(to, form, from)| ((*to).to_owned(), value(*form, &row, from))).collect();
    match stream {
        Stream::BankTransactions => drop(body.insert("tags".to_owned(), tags(&row))),
        Stream::PosTransactions => {
            body.insert("station_id".to_owned(), json!(entity.parse::<i64>().unwrap()));
        }
        _ => {}
    }
    body
}

/// The record's key behind `connection/`.
pub(super) fn key(stream: Stream, entity: &str, row: &str) -> String {
    match stream {
        Stream::VirtualPosTransactions => {
            let row: Value = serde_json::from_str(row).unwrap();
            row["referans_kodu"].as_str().unwrap().to_owned()
        }
        _ => entity.to_owned(),
    }
}

/// The Avro record of a stream.
pub(super) const fn record(stream: Stream) -> &'static str {
    match stream {
        Stream::BankTransactions => "BankTransaction",
        Stream::PosTransactions => "PosTransaction",
        Stream::VirtualPosTransactions => "VirtualPosTransaction",
        _ => "TosPayment",
    }
}

/// `meta.source` of a stream.
pub(super) const fn source(stream: Stream) -> &'static str {
    match stream {
        Stream::BankTransactions | Stream::PosTransactions => "VOMSIS_BANK_V2",
        Stream::VirtualPosTransactions => "VOMSIS_VIRTUAL_POS_V3",
        _ => "VAKIFBANK_TOS",
    }
}

fn value(form: Form, row: &Value, from: &str) -> Value {
    let found = if from.starts_with('/') { row.pointer(from) } else { row.get(from) };
    let text = match found {
        None | Some(Value::Null) => return no_word(form),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    if text.trim().is_empty() {
        return no_word(form);
    }
    match form {
        Text => json!(text),
        Int => json!(text.parse::<i64>().unwrap()),
        Flag => json!(text == "true"),
        Money => json!(decimal(&text, 5)),
        Rate => json!(decimal(&text, 6)),
        Time => json!(utc(&text)),
        Day => json!(day(&text)),
        Currency => json!(if text == "TL" { "TRY" } else { &text }),
        Word(words) => {
            let word = words.iter().find(|(source, _)| *source == text);
            json!(word.unwrap_or_else(|| panic!("no word for {text:?}")).1)
        }
        Nothing => Value::Null,
    }
}

fn no_word(form: Form) -> Value {
    if matches!(form, Word(_)) { json!("UNKNOWN") } else { Value::Null }
}

/// `-12.3` with five decimals is `-12.30000`.
fn decimal(text: &str, scale: usize) -> String {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}.{fraction:0<scale$}")
}

/// The source's zone has been three hours ahead of UTC since 2016.
fn utc(text: &str) -> String {
    let local = chrono::NaiveDateTime::parse_from_str(&text.replace('T', " "), "%Y-%m-%d %H:%M:%S");
    (local.unwrap() - chrono::TimeDelta::hours(3)).format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn day(text: &str) -> String {
    match text.split('.').collect::<Vec<_>>()[..] {
        [day, month, year] => format!("{year}-{month}-{day}"),
        _ => text.chars().take(10).collect(),
    }
}

fn tags(row: &Value) -> Value {
    let tags = row["tags"].as_array().map(Vec::as_slice).unwrap_or_default();
    let tag = |tag: &Value| json!({"tag_id": tag["tag_id"], "detail_id": tag["detail_id"], "name": tag["tag"]["name"]});
    tags.iter().map(tag).collect()
}
