//! Which of the source's operations a request means.

use std::fmt;

/// One operation of the source systems: sign-ins, reads, and the one that changes a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// `POST /api/v2/authenticate`
    Authenticate,
    /// `GET /api/v2/banks`
    Banks,
    /// `GET /api/v2/accounts`
    Accounts,
    /// `GET /api/v2/banks/{id}/accounts`
    BankAccounts,
    /// `GET /api/v2/accounts/{id}`
    Account,
    /// `GET /api/v2/accounts/{id}/transactions`
    AccountTransactions,
    /// `GET /api/v2/transactions`
    Transactions,
    /// `GET /api/v2/transaction_types`
    TransactionTypes,
    /// `GET /api/v2/pos-rapor/stations`
    Stations,
    /// `GET /api/v2/pos-rapor/stations/{id}/transactions`
    StationTransactions,
    /// `POST /api/vpos/v3/auth/token`
    VirtualPosToken,
    /// `POST /api/vpos/v3/installments`
    Installments,
    /// `GET /api/vpos/v3/transactions-list`
    TransactionsList,
    /// `GET /api/vpos/v3/transaction/find`
    TransactionFind,
    /// `POST /api/vpos/v3/transaction`, the only one that changes anything.
    ChangePayment,
    /// `GET /api/vpos/v3/customers`
    Customers,
    /// `GET /api/vpos/v3/customers/{id}`
    Customer,
    /// `POST /auth/oauth/v2/token`
    TosToken,
    /// `POST /tos/query`
    TosQuery,
}

/// Whose sign-in an operation needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Surface {
    Bank,
    VirtualPos,
    Tos,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 19] = [
        Self::Authenticate,
        Self::Banks,
        Self::Accounts,
        Self::BankAccounts,
        Self::Account,
        Self::AccountTransactions,
        Self::Transactions,
        Self::TransactionTypes,
        Self::Stations,
        Self::StationTransactions,
        Self::VirtualPosToken,
        Self::Installments,
        Self::TransactionsList,
        Self::TransactionFind,
        Self::ChangePayment,
        Self::Customers,
        Self::Customer,
        Self::TosToken,
        Self::TosQuery,
    ];

    /// The name in fault specs and request counts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Authenticate => "authenticate",
            Self::Banks => "banks",
            Self::Accounts => "accounts",
            Self::BankAccounts => "bank_accounts",
            Self::Account => "account",
            Self::AccountTransactions => "account_transactions",
            Self::Transactions => "transactions",
            Self::TransactionTypes => "transaction_types",
            Self::Stations => "stations",
            Self::StationTransactions => "station_transactions",
            Self::VirtualPosToken => "virtual_pos_token",
            Self::Installments => "installments",
            Self::TransactionsList => "transactions_list",
            Self::TransactionFind => "transaction_find",
            Self::ChangePayment => "change_payment",
            Self::Customers => "customers",
            Self::Customer => "customer",
            Self::TosToken => "tos_token",
            Self::TosQuery => "tos_query",
        }
    }

    /// Finds an operation by its name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.name() == name)
    }

    /// Whether it hands out a token.
    pub const fn is_sign_in(self) -> bool {
        matches!(self, Self::Authenticate | Self::VirtualPosToken | Self::TosToken)
    }

    pub(super) const fn surface(self) -> Surface {
        match self {
            Self::Authenticate
            | Self::Banks
            | Self::Accounts
            | Self::BankAccounts
            | Self::Account
            | Self::AccountTransactions
            | Self::Transactions
            | Self::TransactionTypes
            | Self::Stations
            | Self::StationTransactions => Surface::Bank,
            Self::VirtualPosToken
            | Self::Installments
            | Self::TransactionsList
            | Self::TransactionFind
            | Self::ChangePayment
            | Self::Customers
            | Self::Customer => Surface::VirtualPos,
            Self::TosToken | Self::TosQuery => Surface::Tos,
        }
    }

    /// The operation behind a method and path, with the id that stands in the path.
    pub(super) fn route(method: &str, path: &str) -> Option<(Self, String)> {
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        let (operation, id) = match (method, segments.as_slice()) {
            ("POST", ["api", "v2", "authenticate"]) => (Self::Authenticate, ""),
            ("GET", ["api", "v2", "banks"]) => (Self::Banks, ""),
            ("GET", ["api", "v2", "accounts"]) => (Self::Accounts, ""),
            ("GET", ["api", "v2", "banks", id, "accounts"]) => (Self::BankAccounts, *id),
            ("GET", ["api", "v2", "accounts", id]) => (Self::Account, *id),
            ("GET", ["api", "v2", "accounts", id, "transactions"]) => {
                (Self::AccountTransactions, *id)
            }
            ("GET", ["api", "v2", "transactions"]) => (Self::Transactions, ""),
            ("GET", ["api", "v2", "transaction_types"]) => (Self::TransactionTypes, ""),
            ("GET", ["api", "v2", "pos-rapor", "stations"]) => (Self::Stations, ""),
            ("GET", ["api", "v2", "pos-rapor", "stations", id, "transactions"]) => {
                (Self::StationTransactions, *id)
            }
            ("POST", ["api", "vpos", "v3", "auth", "token"]) => (Self::VirtualPosToken, ""),
            ("POST", ["api", "vpos", "v3", "installments"]) => (Self::Installments, ""),
            ("GET", ["api", "vpos", "v3", "transactions-list"]) => (Self::TransactionsList, ""),
            ("GET", ["api", "vpos", "v3", "transaction", "find"]) => (Self::TransactionFind, ""),
            ("POST", ["api", "vpos", "v3", "transaction"]) => (Self::ChangePayment, ""),
            ("GET", ["api", "vpos", "v3", "customers"]) => (Self::Customers, ""),
            ("GET", ["api", "vpos", "v3", "customers", id]) => (Self::Customer, *id),
            ("POST", ["auth", "oauth", "v2", "token"]) => (Self::TosToken, ""),
            ("POST", ["tos", "query"]) => (Self::TosQuery, ""),
            _ => return None,
        };
        Some((operation, id.to_owned()))
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        for operation in Operation::ALL {
            assert_eq!(Operation::parse(operation.name()), Some(operation));
        }
    }

    #[test]
    fn other_writing_paths_lead_nowhere() {
        for (method, path) in [
            ("POST", "/api/vpos/v3/payment"),
            ("POST", "/api/v2/transactions/create"),
            ("DELETE", "/api/v2/transactions/1/delete"),
            ("POST", "/api/vpos/v3/bin-check"),
            ("POST", "/api/vpos/v3/customers/store"),
            ("DELETE", "/api/vpos/v3/customers/1"),
            ("PUT", "/api/vpos/v3/transaction"),
        ] {
            assert_eq!(Operation::route(method, path), None, "{method} {path}");
        }
    }
}
