//! Bank movements.

use std::borrow::Cow;

use crate::domain::{
    fields::record,
    meta::EventMeta,
    money::Money,
    time::Timestamp,
    vocabulary::{Category, Direction},
};

use super::Tag;

record! {
    /// A movement on a bank account, as the bank API lists it.
    BankTransaction = "BankTransaction" with meta {
        /// Id of the movement. Source: id.
        transaction_id: i64,
        /// Id of the account that moved. Source: bank_account_id, else the account that was asked
        /// for.
        account_id: i64,
        /// The source's own key of the movement (hex). Source: key.
        source_key: Option<Cow<'a, str>>,
        /// Kind of movement as Vomsis classifies it. Source: vms_transaction_type.
        category: Category,
        /// The source's own text of the kind. Source: vms_transaction_type.
        category_raw: Option<Cow<'a, str>>,
        /// The bank's code of the kind. Source: transaction_type.
        bank_transaction_code: Option<Cow<'a, str>>,
        /// The kind as the statement spells it; free text, not a SWIFT code. Source:
        /// mt940transaction_type.
        mt940_code: Option<Cow<'a, str>>,
        /// Whether the account was debited or credited. Source: type.
        direction: Direction,
        /// The source's own text of the direction. Source: type.
        direction_raw: Option<Cow<'a, str>>,
        /// Amount in units of currency, signed as sent. Source: amount.
        amount: Money,
        /// Balance after the movement, in units of currency. Source: current_balance.
        balance_after: Option<Money>,
        /// Currency code, upper case, TL as TRY. Source: fec_name, else the account's currency.
        currency: Cow<'a, str>,
        /// The source's own text of the currency. Source: fec_name.
        currency_raw: Option<Cow<'a, str>>,
        /// When the bank made the movement, UTC; read as Europe/Istanbul. Source: system_date.
        booked_at: Option<Timestamp>,
        /// The source's own text of that time. Source: system_date.
        booked_at_local: Option<Cow<'a, str>>,
        /// Accounting time, UTC; read as Europe/Istanbul. Source: accounting_date.
        accounting_at: Option<Timestamp>,
        /// The source's own text of that time. Source: accounting_date.
        accounting_at_local: Option<Cow<'a, str>>,
        /// When Vomsis stored the movement, UTC; read as Europe/Istanbul. Source: created_at.
        ingested_at: Option<Timestamp>,
        /// The source's own text of that time. Source: created_at.
        ingested_at_local: Option<Cow<'a, str>>,
        /// National identity number of the sender. Source: sender_identity_number.
        sender_national_id: Option<Cow<'a, str>>,
        /// Tax number of the sender. Source: sender_taxno.
        sender_tax_no: Option<Cow<'a, str>>,
        /// Tax number of the payer. Source: payer_tax_no.
        payer_tax_no: Option<Cow<'a, str>>,
        /// Name of the sender. Source: sender_name.
        sender_name: Option<Cow<'a, str>>,
        /// Title of the sender. Source: sender_title.
        sender_title: Option<Cow<'a, str>>,
        /// Branch or account number of the sender; the source mixes them. Source: sender_branch.
        sender_branch_or_account: Option<Cow<'a, str>>,
        /// IBAN of the sender, without spaces, upper case; may be foreign or masked. Source:
        /// sender_iban.
        sender_iban: Option<Cow<'a, str>>,
        /// IBAN of the receiver, without spaces, upper case; may be foreign or masked. Source:
        /// reciever_iban or receiver_iban.
        receiver_iban: Option<Cow<'a, str>>,
        /// IBAN of the other side, without spaces, upper case; may be foreign or masked. Source:
        /// opponent_iban.
        counterparty_iban: Option<Cow<'a, str>>,
        /// Title of the other side. Source: opponent_title.
        counterparty_title: Option<Cow<'a, str>>,
        /// Tax number of the other side. Source: opponent_taxno.
        counterparty_tax_no: Option<Cow<'a, str>>,
        /// Number of the voucher. Source: fis_no.
        voucher_no: Option<Cow<'a, str>>,
        /// Number of the bank's document. Source: resource_code.
        document_no: Option<Cow<'a, str>>,
        /// The bank's description. Source: description.
        description: Option<Cow<'a, str>>,
        /// The customer's note. Source: note.
        note: Option<Cow<'a, str>>,
        /// Position of the movement within its instant, as the bank orders it. Source: order.
        bank_order: Option<i64>,
        /// Labels that the customer gave the movement. Source: tags.
        tags: Vec<Tag<'a>>,
    }
}
