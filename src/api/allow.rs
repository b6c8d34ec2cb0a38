//! The calls that exist. A method and path that is not in this list cannot be built: every request
//! is made from an [`Operation`], and there is no other way to name a path.

use std::{borrow::Cow, fmt};

use reqwest::Method;

/// One of the three source systems.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Api {
    /// Bank and POS, v2.
    BankPos,
    /// Virtual POS, v3.
    VirtualPos,
    /// VakıfBank bulk payments.
    Tos,
}

impl Api {
    /// Every system.
    pub const ALL: [Self; 3] = [Self::BankPos, Self::VirtualPos, Self::Tos];

    /// The name of its section in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BankPos => "bank_pos",
            Self::VirtualPos => "virtual_pos",
            Self::Tos => "tos",
        }
    }
}

impl fmt::Display for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A call that the connector may make. All of them read, and the token calls change nothing but
/// tokens, with one exception: [`Operation::ChangePayment`] cancels and refunds, and is made by the
/// payment sink alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    BankToken,
    VirtualPosToken,
    TosToken,
    Banks,
    Accounts,
    /// The accounts of one bank.
    BankAccounts {
        bank: i64,
    },
    Account {
        account: i64,
    },
    TransactionTypes,
    AccountTransactions {
        account: i64,
    },
    ConnectionTransactions,
    Terminals,
    StationTransactions {
        station: i64,
    },
    VirtualPosList,
    Installments,
    Customers,
    Customer {
        customer: i64,
    },
    FindPayment,
    /// The only one that writes.
    ChangePayment,
    TosQuery,
}

impl Operation {
    /// The token call of a system.
    pub(crate) const fn token_of(api: Api) -> Self {
        match api {
            Api::BankPos => Self::BankToken,
            Api::VirtualPos => Self::VirtualPosToken,
            Api::Tos => Self::TosToken,
        }
    }

    /// Which system answers.
    pub(crate) const fn api(self) -> Api {
        match self {
            Self::BankToken
            | Self::Banks
            | Self::Accounts
            | Self::BankAccounts { .. }
            | Self::Account { .. }
            | Self::TransactionTypes
            | Self::AccountTransactions { .. }
            | Self::ConnectionTransactions
            | Self::Terminals
            | Self::StationTransactions { .. } => Api::BankPos,
            Self::VirtualPosToken
            | Self::VirtualPosList
            | Self::Installments
            | Self::Customers
            | Self::Customer { .. }
            | Self::FindPayment
            | Self::ChangePayment => Api::VirtualPos,
            Self::TosToken | Self::TosQuery => Api::Tos,
        }
    }

    /// Whether it moves money, so that sending it twice could move it twice.
    pub(crate) const fn writes(self) -> bool {
        match self {
            Self::ChangePayment => true,
            Self::BankToken
            | Self::VirtualPosToken
            | Self::TosToken
            | Self::Banks
            | Self::Accounts
            | Self::BankAccounts { .. }
            | Self::Account { .. }
            | Self::TransactionTypes
            | Self::AccountTransactions { .. }
            | Self::ConnectionTransactions
            | Self::Terminals
            | Self::StationTransactions { .. }
            | Self::VirtualPosList
            | Self::Installments
            | Self::Customers
            | Self::Customer { .. }
            | Self::FindPayment
            | Self::TosQuery => false,
        }
    }

    /// The name in metrics and messages; ids never stand in it, so labels stay few.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::BankToken => "bank_token",
            Self::VirtualPosToken => "virtual_pos_token",
            Self::TosToken => "tos_token",
            Self::Banks => "banks",
            Self::Accounts => "accounts",
            Self::BankAccounts { .. } => "bank_accounts",
            Self::Account { .. } => "account",
            Self::TransactionTypes => "transaction_types",
            Self::AccountTransactions { .. } => "account_transactions",
            Self::ConnectionTransactions => "connection_transactions",
            Self::Terminals => "terminals",
            Self::StationTransactions { .. } => "station_transactions",
            Self::VirtualPosList => "virtual_pos_transactions",
            Self::Installments => "installments",
            Self::Customers => "customers",
            Self::Customer { .. } => "customer",
            Self::FindPayment => "find_payment",
            Self::ChangePayment => "change_payment",
            Self::TosQuery => "tos_payments",
        }
    }

    /// The method, and the path below the system's base URL (the TOS token URL is configured whole).
    pub(crate) fn endpoint(self) -> (Method, Cow<'static, str>) {
        let fixed = Cow::Borrowed;
        match self {
            Self::BankToken => (Method::POST, fixed("/authenticate")),
            Self::VirtualPosToken => (Method::POST, fixed("/auth/token")),
            Self::TosToken => (Method::POST, fixed("")),
            Self::Banks => (Method::GET, fixed("/banks")),
            Self::Accounts => (Method::GET, fixed("/accounts")),
            Self::BankAccounts { bank } => (Method::GET, format!("/banks/{bank}/accounts").into()),
            Self::Account { account } => (Method::GET, format!("/accounts/{account}").into()),
            Self::TransactionTypes => (Method::GET, fixed("/transaction_types")),
            Self::AccountTransactions { account } => {
                (Method::GET, format!("/accounts/{account}/transactions").into())
            }
            Self::ConnectionTransactions => (Method::GET, fixed("/transactions")),
            Self::Terminals => (Method::GET, fixed("/pos-rapor/stations")),
            Self::StationTransactions { station } => {
                (Method::GET, format!("/pos-rapor/stations/{station}/transactions").into())
            }
            Self::VirtualPosList => (Method::GET, fixed("/transactions-list")),
            Self::Installments => (Method::POST, fixed("/installments")),
            Self::Customers => (Method::GET, fixed("/customers")),
            Self::Customer { customer } => (Method::GET, format!("/customers/{customer}").into()),
            Self::FindPayment => (Method::GET, fixed("/transaction/find")),
            Self::ChangePayment => (Method::POST, fixed("/transaction")),
            Self::TosQuery => (Method::POST, fixed("/tos/query")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Operation; 19] = [
        Operation::BankToken,
        Operation::VirtualPosToken,
        Operation::TosToken,
        Operation::Banks,
        Operation::Accounts,
        Operation::BankAccounts { bank: 5 },
        Operation::Account { account: 7 },
        Operation::TransactionTypes,
        Operation::AccountTransactions { account: 7 },
        Operation::ConnectionTransactions,
        Operation::Terminals,
        Operation::StationTransactions { station: 9 },
        Operation::VirtualPosList,
        Operation::Installments,
        Operation::Customers,
        Operation::Customer { customer: 3 },
        Operation::FindPayment,
        Operation::ChangePayment,
        Operation::TosQuery,
    ];

    #[test]
    fn the_whole_list_is_known_and_one_of_it_writes() {
        let listed: Vec<String> = ALL
            .iter()
            .map(|operation| {
                let (method, path) = operation.endpoint();
                let writes = if operation.writes() { " WRITES" } else { "" };
                format!("{} {method} {path}{writes}", operation.api())
            })
            .collect();
        assert_eq!(
            listed,
            [
                "bank_pos POST /authenticate",
                "virtual_pos POST /auth/token",
                "tos POST ",
                "bank_pos GET /banks",
                "bank_pos GET /accounts",
                "bank_pos GET /banks/5/accounts",
                "bank_pos GET /accounts/7",
                "bank_pos GET /transaction_types",
                "bank_pos GET /accounts/7/transactions",
                "bank_pos GET /transactions",
                "bank_pos GET /pos-rapor/stations",
                "bank_pos GET /pos-rapor/stations/9/transactions",
                "virtual_pos GET /transactions-list",
                "virtual_pos POST /installments",
                "virtual_pos GET /customers",
                "virtual_pos GET /customers/3",
                "virtual_pos GET /transaction/find",
                "virtual_pos POST /transaction WRITES",
                "tos POST /tos/query",
            ]
        );
    }

    #[test]
    fn names_carry_no_ids() {
        for operation in ALL {
            assert!(operation.name().bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
        }
    }
}
