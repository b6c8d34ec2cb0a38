//! Which accounts and terminals there are, read off the reference data.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    api::Rows,
    domain::{content::Content, ids::Stream},
    mapping::{RowContext, map_row},
};

/// One account or terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovered {
    /// Its id.
    pub id: i64,
    /// Whether the source still follows it.
    pub active: bool,
    /// Its currency, for rows that have none.
    pub currency: Option<Arc<str>>,
}

/// The entities of a complete reference read; rows that cannot be mapped are quarantined
/// elsewhere and name no entity.
pub fn discover(stream: Stream, answers: &[Rows]) -> Vec<Discovered> {
    let context = RowContext {
        entity: crate::domain::ids::EntityKey::WHOLE,
        date_type: crate::config::model::DateType::SystemDate,
        entity_currency: None,
        carry_extras: false,
        replaced_text: false,
        gateway_object_id: None,
    };
    let rows = answers.iter().flat_map(Rows::iter);
    rows.filter_map(|json| match map_row(stream, json, &context).ok()?.record {
        Content::Account(account) => Some(Discovered {
            id: account.account_id,
            active: account.active.unwrap_or(true),
            currency: Some(account.currency.as_ref().into()),
        }),
        Content::Terminal(terminal) => Some(Discovered {
            id: terminal.station_id,
            active: terminal.active.unwrap_or(true),
            currency: terminal.currency.as_deref().map(Into::into),
        }),
        _ => None,
    })
    .collect()
}

/// The account of a bank row, before anything else of it is looked at.
pub fn account_of(row: &str) -> Option<i64> {
    #[derive(Deserialize)]
    struct Row<'a> {
        #[serde(borrow)]
        bank_account_id: &'a RawValue,
    }
    let row: Row<'_> = serde_json::from_str(row).ok()?;
    row.bank_account_id.get().trim_matches('"').parse().ok()
}
