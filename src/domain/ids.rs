//! Names of connections, streams, entities and source rows.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

/// One customer's set of credentials; part of every key, so it holds only `[A-Za-z0-9._-]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(Arc<str>);

impl ConnectionId {
    /// Accepts 1–64 characters of `[A-Za-z0-9._-]`, the first no `_`; anything else would make keys
    /// ambiguous: those of the connector's own records begin with `_`.
    pub fn try_new(text: &str) -> Result<Self, InvalidId> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if text.is_empty() || text.len() > 64 || text.starts_with('_') || !text.chars().all(allowed)
        {
            return Err(InvalidId { text: text.to_owned() });
        }
        Ok(Self(text.into()))
    }

    /// The id as it stands in keys and labels.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A connection id with a character that keys cannot carry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("connection id {text:?} must be {}", Self::RULE)]
pub struct InvalidId {
    text: String,
}

impl InvalidId {
    /// What an id is, for all who refuse one.
    pub const RULE: &str = "1 to 64 characters of A-Z a-z 0-9 . _ -, the first of them no _";
}

/// One kind of data of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// Rows of bank accounts.
    BankTransactions,
    /// Rows of POS terminals.
    PosTransactions,
    /// The virtual-POS list.
    VirtualPosTransactions,
    /// VakıfBank bulk payments.
    TosPayments,
    /// Banks of the connection.
    Banks,
    /// Bank accounts of the connection.
    Accounts,
    /// POS terminals of the connection.
    Terminals,
    /// Codes of bank transaction types.
    TransactionTypes,
    /// Instalment options of the virtual POS.
    Installments,
    /// Virtual-POS customers.
    Customers,
}

impl Stream {
    /// Every stream, transactions first.
    pub const ALL: [Self; 10] = [
        Self::BankTransactions,
        Self::PosTransactions,
        Self::VirtualPosTransactions,
        Self::TosPayments,
        Self::Banks,
        Self::Accounts,
        Self::Terminals,
        Self::TransactionTypes,
        Self::Installments,
        Self::Customers,
    ];

    /// The name in configuration, keys, metrics and event ids.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BankTransactions => "bank_transactions",
            Self::PosTransactions => "pos_transactions",
            Self::VirtualPosTransactions => "virtual_pos_transactions",
            Self::TosPayments => "tos_payments",
            Self::Banks => "banks",
            Self::Accounts => "accounts",
            Self::Terminals => "terminals",
            Self::TransactionTypes => "transaction_types",
            Self::Installments => "installments",
            Self::Customers => "customers",
        }
    }

    /// The topic without its prefix.
    pub const fn topic_suffix(self) -> &'static str {
        match self {
            Self::BankTransactions => "bank.transactions",
            Self::PosTransactions => "pos.transactions",
            Self::VirtualPosTransactions => "virtual-pos.transactions",
            Self::TosPayments => "tos.payments",
            Self::Banks => "reference.banks",
            Self::Accounts => "reference.accounts",
            Self::Terminals => "reference.terminals",
            Self::TransactionTypes => "reference.transaction-types",
            Self::Installments => "reference.installments",
            Self::Customers => "reference.customers",
        }
    }

    /// Whether the stream describes things (compacted topics) rather than movements.
    pub const fn is_reference(self) -> bool {
        match self {
            Self::BankTransactions
            | Self::PosTransactions
            | Self::VirtualPosTransactions
            | Self::TosPayments => false,
            Self::Banks
            | Self::Accounts
            | Self::Terminals
            | Self::TransactionTypes
            | Self::Installments
            | Self::Customers => true,
        }
    }

    /// Finds a stream by its name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stream| stream.name() == name)
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The id that the source gives a row; a number wherever it is integral.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SourceId {
    /// An integral id, as all of Vomsis' are.
    Number(i64),
    /// Any other id: a TOS code pair, a reference number, an instalment key.
    Text(Box<str>),
}

impl SourceId {
    /// A text that is an id, or the key of a record, has no more bytes: both stand whole in the
    /// memory of seen rows, of which many are one record of the state topic.
    pub const BYTES_MAX: usize = 1024;

    /// The number behind an integral id; only those order a `lastId` cursor.
    pub const fn number(&self) -> Option<i64> {
        match self {
            Self::Number(id) => Some(*id),
            Self::Text(_) => None,
        }
    }
}

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(id) => write!(f, "{id}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// What one poller task follows: an account, a terminal, an institution, or the connection itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntityKey {
    /// Whose credentials.
    pub connection: ConnectionId,
    /// Which kind of data.
    pub stream: Stream,
    /// Account id, station id or institution code; [`EntityKey::WHOLE`] for the connection itself.
    pub entity: Arc<str>,
}

impl EntityKey {
    /// The entity of streams that are read as one list.
    pub const WHOLE: &'static str = "all";
}

impl fmt::Display for EntityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.connection, self.stream, self.entity)
    }
}
