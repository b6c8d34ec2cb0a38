//! Whose call failed, in words: an entity's error may come of a call that was not its own.
//!
//! | what failed | the message begins with |
//! |---|---|
//! | the call for this entity's rows | nothing more |
//! | the call for all accounts, or rows of it | `by the connection-wide feed:` |
//! | the sign-in that all streams of an API share | `login:` |
//! | another call, whose refusal stands for the whole API | `not asked, …:` |

use crate::{
    api,
    domain::ids::{EntityKey, Stream},
};

use super::entity::Failure;

const BY_FEED: &str = "by the connection-wide feed: ";
const LOGIN: &str = "login: ";
const HELD: &str = "not asked, another call found access refused, which holds for the whole API: ";

/// Who asked for the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asker {
    /// The entity's own poller.
    Itself,
    /// The feed that asks for all accounts at once.
    Feed,
}

/// Why an entity fails: the error with the call that really failed, and what that has to do with
/// this entity.
pub(super) fn explain(key: &EntityKey, asker: Asker, failure: &Failure) -> String {
    let is_feed = key.stream == Stream::BankTransactions && &*key.entity == EntityKey::WHOLE;
    let by_feed = asker == Asker::Feed || is_feed;
    let feed = if by_feed { BY_FEED } else { "" };
    let call = match failure {
        Failure::Api(error) => operation(error),
        Failure::Refused(_) | Failure::Gone(_) => None,
    };
    let whose = match call {
        Some("bank_token" | "virtual_pos_token" | "tos_token") => LOGIN,
        Some(call) if !own_calls(key.stream, by_feed).contains(&call) => HELD,
        Some(_) | None => "",
    };
    format!("{feed}{whose}{failure}")
}

/// The calls that have the rows of a stream.
pub(super) const fn own_calls(stream: Stream, by_feed: bool) -> &'static [&'static str] {
    match (stream, by_feed) {
        (Stream::BankTransactions, true) => &["connection_transactions", "account_transactions"],
        (Stream::BankTransactions, false) => &["account_transactions"],
        (Stream::PosTransactions, _) => &["station_transactions"],
        (Stream::VirtualPosTransactions, _) => &["virtual_pos_transactions"],
        (Stream::TosPayments, _) => &["tos_payments"],
        (Stream::Banks, _) => &["banks"],
        (Stream::Accounts, _) => &["accounts", "bank_accounts", "account"],
        (Stream::Terminals, _) => &["terminals"],
        (Stream::TransactionTypes, _) => &["transaction_types"],
        (Stream::Installments, _) => &["installments"],
        (Stream::Customers, _) => &["customers", "customer"],
    }
}

const fn operation(error: &api::Error) -> Option<&'static str> {
    use api::Error::*;
    match error {
        Setup { .. } => None,
        NotConfigured { at, .. }
        | Secret { at, .. }
        | Connect { at, .. }
        | Timeout { at }
        | Broken { at, .. }
        | Server { at, .. }
        | RateLimited { at, .. }
        | Unauthorized { at, .. }
        | TokenRefused { at, .. }
        | Forbidden { at, .. }
        | IpRefused { at, .. }
        | Redirected { at, .. }
        | LockedOut { at, .. }
        | KeyLocked { at }
        | RefusalsNotKept { at, .. }
        | DatesRequired { at, .. }
        | Rejected { at, .. }
        | NotFound { at, .. }
        | NotJson { at, .. }
        | Protocol { at, .. }
        | TooLarge { at, .. }
        | Interrupted { at } => Some(at.operation),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{api::At, domain::ids::ConnectionId};

    fn said(stream: Stream, entity: &str, asker: Asker, call: &'static str) -> String {
        let connection = ConnectionId::try_new("acme").unwrap();
        let key = EntityKey { connection: connection.clone(), stream, entity: entity.into() };
        let at = At { connection, operation: call };
        let error = api::Error::Forbidden { at, status: 403, message: None };
        let text = explain(&key, asker, &Failure::Api(error.clone()));
        let prefix = text.strip_suffix(&error.to_string()).expect("the call that failed is named");
        prefix.to_owned()
    }

    #[test]
    fn a_call_of_its_own_needs_no_words() {
        let own = |stream, entity, call| said(stream, entity, Asker::Itself, call);
        assert_eq!(own(Stream::BankTransactions, "73", "account_transactions"), "");
        assert_eq!(own(Stream::PosTransactions, "1", "station_transactions"), "");
        for stream in Stream::ALL.into_iter().skip(2) {
            assert_eq!(own(stream, "all", stream.name()), "");
        }
    }

    #[test]
    fn the_feed_the_login_and_another_streams_refusal_are_told_as_such() {
        let bank = Stream::BankTransactions;
        assert_eq!(said(bank, "all", Asker::Itself, "connection_transactions"), BY_FEED);
        assert_eq!(said(bank, "73", Asker::Feed, "connection_transactions"), BY_FEED);
        for token in ["bank_token", "virtual_pos_token", "tos_token"] {
            assert_eq!(said(Stream::Accounts, "all", Asker::Itself, token), LOGIN);
        }
        assert_eq!(said(bank, "all", Asker::Itself, "bank_token"), format!("{BY_FEED}{LOGIN}"));
        assert_eq!(said(bank, "73", Asker::Itself, "station_transactions"), HELD);
        assert_eq!(said(Stream::Banks, "all", Asker::Itself, "accounts"), HELD);
    }
}
