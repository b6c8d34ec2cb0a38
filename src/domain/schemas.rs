//! The Avro schemas of everything that is published or consumed.

use crate::domain::ids::Stream;

/// One record's schema and the topics that carry it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordSchema {
    /// The record's name, without its namespace.
    pub name: &'static str,
    /// The topic without the configured prefix.
    pub topic_suffix: &'static str,
    /// The schema file's text.
    pub json: &'static str,
}

macro_rules! schemas {
    ($($constant:ident = $name:literal on $suffix:expr;)*) => {
        $(
            #[doc = concat!("`", $name, "`")]
            pub const $constant: RecordSchema = RecordSchema {
                name: $name,
                topic_suffix: $suffix,
                json: include_str!(concat!("../../schemas/", $name, ".avsc")),
            };
        )*

        /// Every schema.
        pub const ALL: &[RecordSchema] = &[$($constant),*];
    };
}

schemas! {
    BANK_TRANSACTION = "BankTransaction" on Stream::BankTransactions.topic_suffix();
    POS_TRANSACTION = "PosTransaction" on Stream::PosTransactions.topic_suffix();
    VIRTUAL_POS_TRANSACTION = "VirtualPosTransaction" on Stream::VirtualPosTransactions.topic_suffix();
    TOS_PAYMENT = "TosPayment" on Stream::TosPayments.topic_suffix();
    BANK = "Bank" on Stream::Banks.topic_suffix();
    ACCOUNT = "Account" on Stream::Accounts.topic_suffix();
    TERMINAL = "Terminal" on Stream::Terminals.topic_suffix();
    TRANSACTION_TYPE = "TransactionType" on Stream::TransactionTypes.topic_suffix();
    INSTALLMENT_OPTION = "InstallmentOption" on Stream::Installments.topic_suffix();
    CUSTOMER = "Customer" on Stream::Customers.topic_suffix();
    ROW_DELETION = "RowDeletion" on "deletions";
    QUARANTINED_ROW = "QuarantinedRow" on "quarantine";
    PAYMENT_COMMAND = "PaymentCommand" on "payment.commands";
    PAYMENT_RESULT = "PaymentResult" on "payment.results";
}

impl RecordSchema {
    /// The schema of a stream's rows.
    pub const fn of(stream: Stream) -> Self {
        match stream {
            Stream::BankTransactions => BANK_TRANSACTION,
            Stream::PosTransactions => POS_TRANSACTION,
            Stream::VirtualPosTransactions => VIRTUAL_POS_TRANSACTION,
            Stream::TosPayments => TOS_PAYMENT,
            Stream::Banks => BANK,
            Stream::Accounts => ACCOUNT,
            Stream::Terminals => TERMINAL,
            Stream::TransactionTypes => TRANSACTION_TYPE,
            Stream::Installments => INSTALLMENT_OPTION,
            Stream::Customers => CUSTOMER,
        }
    }

    /// The schema of a record by its name.
    pub fn named(name: &str) -> Option<Self> {
        ALL.iter().find(|schema| schema.name == name).copied()
    }
}

/// The schemas that a deployment needs; those of payments only with the sink.
pub fn needed(payments: bool) -> impl Iterator<Item = RecordSchema> {
    let wanted =
        move |schema: &&RecordSchema| payments || !schema.topic_suffix.starts_with("payment");
    ALL.iter().filter(wanted).copied()
}
