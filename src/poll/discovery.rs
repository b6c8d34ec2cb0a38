//! Which accounts and terminals there are, read off the reference data.

use std::sync::Arc;

use crate::{
    api::Rows,
    domain::{
        content::Content,
        ids::{SourceId, Stream},
    },
    mapping::{RowContext, map_row},
};

use super::fields;

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

/// The entities of a complete reference read. One whose row cannot be mapped is quarantined
/// elsewhere; its id is enough to ask for its rows, so it counts as one that is followed.
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
    rows.filter_map(|json| match map_row(stream, json, &context) {
        Ok(mapped) => described(&mapped.record),
        Err(rejection) => {
            let id = rejection.source_id.as_ref().and_then(SourceId::number)?;
            Some(Discovered { id, active: true, currency: None })
        }
    })
    .collect()
}

fn described(record: &Content<'_>) -> Option<Discovered> {
    match record {
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
    }
}

/// The account of a bank row, before anything else of it is looked at.
pub fn account_of(row: &str) -> Option<i64> {
    fields::number(row, "bank_account_id")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;

    #[test]
    fn an_entity_whose_row_cannot_be_mapped_is_followed_all_the_same() {
        let rows = Rows::from_texts(
            [
                r#"{"id":7,"fec_name":"EUR","status":0}"#,
                r#"{"id":8,"fec_name":"TL","balance":"1.234,56"}"#,
                r#"{"id":"9","fec_name":null}"#,
                r#"{"fec_name":"TL"}"#,
            ],
            Timestamp(0),
        );
        let found = discover(Stream::Accounts, &[rows]);
        let shown: Vec<_> =
            found.iter().map(|found| (found.id, found.active, found.currency.as_deref())).collect();
        assert_eq!(shown, [(7, false, Some("EUR")), (8, true, None), (9, true, None)]);
    }
}
