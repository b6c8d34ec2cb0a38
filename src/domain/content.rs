//! One published record: a row of any stream, or the result of a payment command.

use serde::{Serialize, Serializer};

use crate::domain::{
    commands::PaymentResult,
    fields::FieldMut,
    meta::EventMeta,
    reference::{Account, BankEntity, Customer, InstallmentOption, Terminal, TransactionType},
    transactions::{BankTransaction, PosTransaction, TosPayment, VirtualPosTransaction},
};

macro_rules! content {
    ($($(#[$doc:meta])* $variant:ident($record:ident),)*) => {
        /// A row as the record that its topic carries.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Content<'a> {
            $($(#[$doc])* $variant($record<'a>),)*
        }

        impl<'a> Content<'a> {
            /// Puts identity, version and origin in.
            pub fn set_meta(&mut self, meta: EventMeta<'a>) {
                *self.meta_mut() = meta;
            }

            /// Identity, version and origin.
            pub fn meta(&self) -> &EventMeta<'a> {
                match self {
                    $(Self::$variant(record) => &record.meta,)*
                }
            }

            /// Identity, version and origin, to be changed.
            pub fn meta_mut(&mut self) -> &mut EventMeta<'a> {
                match self {
                    $(Self::$variant(record) => &mut record.meta,)*
                }
            }

            /// The record's name in its schema.
            pub const fn record_name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $record::NAME,)*
                }
            }

            /// The fields in schema order, without `meta`.
            pub const fn field_names(&self) -> &'static [&'static str] {
                match self {
                    $(Self::$variant(_) => $record::FIELDS,)*
                }
            }

            /// The field at a position of [`Self::field_names`].
            pub fn field_mut(&mut self, position: usize) -> Option<FieldMut<'_, 'a>> {
                match self {
                    $(Self::$variant(record) => record.field_mut(position),)*
                }
            }
        }

        impl Serialize for Content<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    $(Self::$variant(record) => record.serialize(serializer),)*
                }
            }
        }
    };
}

content! {
    /// A movement on a bank account.
    Bank(BankTransaction),
    /// A card transaction on a terminal.
    Pos(PosTransaction),
    /// A virtual-POS payment.
    VirtualPos(VirtualPosTransaction),
    /// A bulk payment.
    Tos(TosPayment),
    /// A bank.
    BankEntity(BankEntity),
    /// A bank account.
    Account(Account),
    /// A POS terminal.
    Terminal(Terminal),
    /// A kind of bank movement.
    TransactionType(TransactionType),
    /// An instalment option.
    InstallmentOption(InstallmentOption),
    /// A virtual-POS customer.
    Customer(Customer),
    /// What became of a payment command.
    PaymentResult(PaymentResult),
}
