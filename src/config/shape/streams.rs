//! What is polled, and how often.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Section, Selection, rules};
use crate::config::duration::Span;

/// The streams of a connection.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Streams {
    /// Bank transactions, one poller an account. Runs where `bank_pos` is set.
    #[serde(skip_serializing_if = "Section::is_absent")]
    pub bank_transactions: Section<BankTransactions>,
    /// POS transactions, one poller a terminal. Runs where `bank_pos` is set.
    #[serde(skip_serializing_if = "Section::is_absent")]
    pub pos_transactions: Section<PosTransactions>,
    /// The virtual-POS list, read whole and compared. Runs where `virtual_pos` is set.
    #[serde(skip_serializing_if = "Section::is_absent")]
    pub virtual_pos_transactions: Section<VirtualPosTransactions>,
    /// TOS payments, one poller an institution. Runs where `tos` is set.
    #[serde(skip_serializing_if = "Section::is_absent")]
    pub tos_payments: Section<TosPayments>,
    /// Banks, accounts, terminals, transaction types, installments and customers.
    #[serde(skip_serializing_if = "Section::is_absent")]
    pub reference: Section<Reference>,
}

/// Bank transactions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BankTransactions {
    /// `false` switches the stream off, as `null` in place of the section does.
    pub enabled: bool,
    /// Between two live polls of one account. Vomsis documents 5m as the smallest.
    pub poll_interval: Span,
    /// How far back the first backfill reaches, in whole days: 0d to 3660d.
    #[schemars(extend("pattern" = rules::START))]
    pub start: Span,
    /// How far back rows are read again for late ones, edits and deletions, in whole days: 1d to
    /// 60d.
    #[schemars(extend("pattern" = rules::LOOKBACK))]
    pub lookback: Span,
    /// Between two look-backs of one account.
    pub lookback_interval: Span,
    /// The date that decides the window: `system_date` or `accounting_date`.
    pub date_type: DateType,
    /// `all`, or a list of account ids.
    pub accounts: Selection,
    /// How live rows are asked for: `account` (a call an account), `connection` (one call for
    /// all) or `auto` (by account while the quota serves that).
    pub feed: Feed,
    /// Where one call serves all accounts: between two looks at each account alone, above its own
    /// cursor and over the look-back. Each costs four calls with the default `lookback`.
    pub check_interval: Span,
    /// What becomes of rows that disappear: `ignore`, or `emit` a RowDeletion after two complete
    /// reads without the row.
    pub deletions: Deletions,
    /// Share of new bad rows, among at least 20 of one account, above which nothing is published.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_bad_ratio: f64,
    /// Age of the last successful poll above which the stream is stale (the gauge
    /// `vomsis_source_freshness_slo_seconds`); null is three poll intervals and a minute, 0s
    /// is off.
    pub freshness_slo: Option<Span>,
    /// Age of the newest row above which the stream is too quiet (the gauge
    /// `vomsis_source_quiet_slo_seconds`); 0s is off.
    pub quiet_slo: Span,
}

impl Default for BankTransactions {
    fn default() -> Self {
        Self {
            enabled: true,
            poll_interval: Span::minutes(5),
            start: Span::days(30),
            lookback: Span::days(14),
            lookback_interval: Span::hours(1),
            date_type: DateType::SystemDate,
            accounts: Selection::All,
            feed: Feed::Auto,
            check_interval: Span::days(1),
            deletions: Deletions::Ignore,
            max_bad_ratio: MAX_BAD_RATIO,
            freshness_slo: None,
            quiet_slo: Span::seconds(0),
        }
    }
}

const MAX_BAD_RATIO: f64 = 0.2;

/// POS transactions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PosTransactions {
    /// `false` switches the stream off, as `null` in place of the section does.
    pub enabled: bool,
    /// Between two live polls of one terminal.
    pub poll_interval: Span,
    /// How far back the first backfill reaches, in whole days: 0d to 3660d.
    #[schemars(extend("pattern" = rules::START))]
    pub start: Span,
    /// How far back rows are read again for late ones, edits and deletions, in whole days: 1d to
    /// 60d.
    #[schemars(extend("pattern" = rules::LOOKBACK))]
    pub lookback: Span,
    /// Between two look-backs of one terminal.
    pub lookback_interval: Span,
    /// `all`, or a list of station ids.
    pub terminals: Selection,
    /// What becomes of rows that disappear: `ignore`, or `emit` a RowDeletion after two complete
    /// reads without the row.
    pub deletions: Deletions,
    /// Share of new bad rows, among at least 20 of one terminal, above which nothing is published.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_bad_ratio: f64,
    /// Age of the last successful poll above which the stream is stale (the gauge
    /// `vomsis_source_freshness_slo_seconds`); null is three poll intervals and a minute, 0s
    /// is off.
    pub freshness_slo: Option<Span>,
    /// Age of the newest row above which the stream is too quiet (the gauge
    /// `vomsis_source_quiet_slo_seconds`); 0s is off.
    pub quiet_slo: Span,
}

impl Default for PosTransactions {
    fn default() -> Self {
        Self {
            enabled: true,
            poll_interval: Span::minutes(5),
            start: Span::days(30),
            lookback: Span::days(14),
            lookback_interval: Span::hours(1),
            terminals: Selection::All,
            deletions: Deletions::Ignore,
            max_bad_ratio: MAX_BAD_RATIO,
            freshness_slo: None,
            quiet_slo: Span::seconds(0),
        }
    }
}

/// The virtual-POS list; it has no cursor and no dates, so it is read whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct VirtualPosTransactions {
    /// `false` switches the stream off, as `null` in place of the section does.
    pub enabled: bool,
    /// Between two reads of the list.
    pub poll_interval: Span,
    /// What becomes of rows that disappear: `ignore`, or `emit` a RowDeletion after two complete
    /// reads without the row.
    pub deletions: Deletions,
    /// Share of new bad rows, among at least 20, above which nothing is published.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_bad_ratio: f64,
    /// Age of the last successful poll above which the stream is stale (the gauge
    /// `vomsis_source_freshness_slo_seconds`); null is three poll intervals and a minute, 0s
    /// is off.
    pub freshness_slo: Option<Span>,
    /// Age of the newest row above which the stream is too quiet (the gauge
    /// `vomsis_source_quiet_slo_seconds`); 0s is off.
    pub quiet_slo: Span,
}

impl Default for VirtualPosTransactions {
    fn default() -> Self {
        Self {
            enabled: true,
            poll_interval: Span::minutes(15),
            deletions: Deletions::Ignore,
            max_bad_ratio: MAX_BAD_RATIO,
            freshness_slo: None,
            quiet_slo: Span::seconds(0),
        }
    }
}

/// TOS payments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TosPayments {
    /// `false` switches the stream off, as `null` in place of the section does.
    pub enabled: bool,
    /// Between two live polls of one institution.
    pub poll_interval: Span,
    /// How far back the first backfill reaches, in whole days of payment: 0d to 3660d.
    #[schemars(extend("pattern" = rules::START))]
    pub start: Span,
    /// How far back payment days are read again, in whole days: 1d to 60d.
    #[schemars(extend("pattern" = rules::LOOKBACK))]
    pub lookback: Span,
    /// Between two look-backs of one institution.
    pub lookback_interval: Span,
    /// What becomes of rows that disappear: `ignore`, or `emit` a RowDeletion after two complete
    /// reads without the row.
    pub deletions: Deletions,
    /// Share of new bad rows, among at least 20 of one institution, above which nothing is published.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_bad_ratio: f64,
    /// Age of the last successful poll above which the stream is stale (the gauge
    /// `vomsis_source_freshness_slo_seconds`); null is three poll intervals and a minute, 0s
    /// is off.
    pub freshness_slo: Option<Span>,
    /// Age of the newest row above which the stream is too quiet (the gauge
    /// `vomsis_source_quiet_slo_seconds`); 0s is off.
    pub quiet_slo: Span,
}

impl Default for TosPayments {
    fn default() -> Self {
        Self {
            enabled: true,
            poll_interval: Span::minutes(15),
            start: Span::days(7),
            lookback: Span::days(7),
            lookback_interval: Span::hours(6),
            deletions: Deletions::Ignore,
            max_bad_ratio: MAX_BAD_RATIO,
            freshness_slo: None,
            quiet_slo: Span::seconds(0),
        }
    }
}

/// The reference streams: compacted topics of what the transactions refer to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Reference {
    /// `false` switches the streams off, as `null` in place of the section does.
    pub enabled: bool,
    /// Between two reads of each list.
    pub poll_interval: Span,
    /// Age of the last successful poll above which the stream is stale (the gauge
    /// `vomsis_source_freshness_slo_seconds`); null is three poll intervals and a minute, 0s
    /// is off.
    pub freshness_slo: Option<Span>,
    /// Age of the newest row above which the stream is too quiet (the gauge
    /// `vomsis_source_quiet_slo_seconds`); 0s is off.
    pub quiet_slo: Span,
}

impl Default for Reference {
    fn default() -> Self {
        Self {
            enabled: true,
            poll_interval: Span::hours(1),
            freshness_slo: None,
            quiet_slo: Span::seconds(0),
        }
    }
}

/// Which date of a bank row decides its window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum DateType {
    /// `system_date`.
    SystemDate,
    /// `accounting_date`.
    AccountingDate,
}

/// How live bank rows are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Feed {
    /// By account while the quota serves that.
    Auto,
    /// One call an account.
    Account,
    /// One call for the whole connection.
    Connection,
}

/// What becomes of rows that disappear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Deletions {
    /// Nothing is published.
    Ignore,
    /// A RowDeletion is published.
    Emit,
}
