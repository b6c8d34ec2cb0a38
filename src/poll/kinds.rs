//! What an event says of where it comes from and of what happened.

use crate::domain::{ids::Stream, record::Op, vocabulary::Source};

/// The CloudEvents type of a record and what happened to it.
pub(super) fn event_type(record: &str, op: Op) -> String {
    let op = match op {
        Op::Created => "created",
        Op::Updated => "updated",
        Op::Deleted => "deleted",
    };
    format!("io.vomsis.v1.{record}.{op}")
}

/// The API behind a stream.
pub(super) const fn source_of(stream: Stream) -> Source {
    match stream {
        Stream::BankTransactions
        | Stream::PosTransactions
        | Stream::Banks
        | Stream::Accounts
        | Stream::Terminals
        | Stream::TransactionTypes => Source::VomsisBankV2,
        Stream::VirtualPosTransactions | Stream::Installments | Stream::Customers => {
            Source::VomsisVirtualPosV3
        }
        Stream::TosPayments => Source::VakifbankTos,
    }
}
