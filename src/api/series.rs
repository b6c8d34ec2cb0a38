//! The series of a connection's calls, made to exist before the first call.

use super::{
    allow::{Api, Operation},
    client::Client,
    retry,
};
use crate::{config::model::Connection, domain::ids::ConnectionId, telemetry::metrics::Metrics};

/// Answers that alerts look for; others appear when they happen.
const CODES: [&str; 5] = ["200", "401", "429", "500", "error"];
pub(crate) const AUTH_OUTCOMES: [&str; 3] = ["success", "error", "unavailable"];

/// Makes every series exist: counters at 0, the token's end at `started_at` (seconds since 1970),
/// the rate limit as the configuration guesses it.
pub fn seed(connection: &Connection, metrics: &Metrics, started_at: f64) {
    let id = connection.id.as_str();
    for outcome in AUTH_OUTCOMES {
        metrics.api_auth_attempts.with_label_values(&[id, outcome]);
    }
    metrics.api_access_refused.with_label_values(&[id]);
    metrics.api_rate_limit_wait.with_label_values(&[id]);
    metrics.api_token_expiry.with_label_values(&[id]).set(started_at);
    let limit = f64::from(connection.quota.requests_per_minute);
    metrics.api_rate_limit_limit.with_label_values(&[id]).set(limit);
    metrics.api_rate_limit_remaining.with_label_values(&[id]).set(limit);
    let apis = [
        (Api::BankPos, connection.bank_pos.is_some()),
        (Api::VirtualPos, connection.virtual_pos.is_some()),
        (Api::Tos, connection.tos.is_some()),
    ];
    for (api, _) in apis.into_iter().filter(|(_, configured)| *configured) {
        for operation in polled(api) {
            seed_operation(metrics, id, *operation);
        }
    }
}

/// Shows whose access is refused, of the connections that this replica answers for: of another's it
/// would never hear that access is open again.
pub fn show_refusals<'a>(
    clients: impl Iterator<Item = &'a Client>,
    is_own: impl Fn(&ConnectionId) -> bool,
    metrics: &Metrics,
) {
    for client in clients {
        let id = client.connection();
        let refused = is_own(id) && client.is_refused();
        metrics.api_access_refused.with_label_values(&[id.as_str()]).set(i64::from(refused));
    }
}

/// Makes the series of the payment sink's own calls exist; the list and the token are polling's.
pub fn seed_payments(connection: &Connection, metrics: &Metrics) {
    for operation in [Operation::FindPayment, Operation::ChangePayment] {
        seed_operation(metrics, connection.id.as_str(), operation);
    }
}

/// What polling calls; the payment sink has calls of its own.
const fn polled(api: Api) -> &'static [Operation] {
    match api {
        Api::BankPos => &[
            Operation::BankToken,
            Operation::Banks,
            Operation::Accounts,
            Operation::BankAccounts { bank: 0 },
            Operation::Account { account: 0 },
            Operation::TransactionTypes,
            Operation::AccountTransactions { account: 0 },
            Operation::ConnectionTransactions,
            Operation::Terminals,
            Operation::StationTransactions { station: 0 },
        ],
        Api::VirtualPos => &[
            Operation::VirtualPosToken,
            Operation::VirtualPosList,
            Operation::Installments,
            Operation::Customers,
            Operation::Customer { customer: 0 },
        ],
        Api::Tos => &[Operation::TosToken, Operation::TosQuery],
    }
}

fn seed_operation(metrics: &Metrics, id: &str, operation: Operation) {
    let name = operation.name();
    for code in CODES {
        metrics.api_requests.with_label_values(&[id, name, code]);
    }
    // Asked whether it is there still: that it is not is an answer like any other.
    if matches!(operation, Operation::Account { .. } | Operation::Customer { .. }) {
        metrics.api_requests.with_label_values(&[id, name, "404"]);
    }
    for reason in retry::REASONS {
        metrics.api_retries.with_label_values(&[id, name, reason]);
    }
    metrics.api_request_duration.with_label_values(&[id, name]);
    if operation != Operation::token_of(operation.api()) {
        metrics.api_unknown_fields.with_label_values(&[id, name]);
    }
}
