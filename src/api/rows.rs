//! The rows of one answer: the body, and where in it each row stands.

use std::{fmt, ops::Range};

use crate::domain::time::Timestamp;

/// One answer's rows. Nothing is re-serialised: a row is the text that the API sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Rows {
    body: String,
    spans: Vec<Range<u32>>,
    /// The body held invalid UTF-8, which was replaced by U+FFFD.
    pub replaced_text: bool,
    /// When the answer was complete.
    pub fetched_at: Timestamp,
    /// `Header.ObjectID` of the TOS gateway.
    pub gateway_object_id: Option<String>,
    /// The operation that answered, as in the metrics.
    pub operation: &'static str,
}

impl Rows {
    pub(crate) fn new(body: String, spans: Vec<Range<u32>>, fetched_at: Timestamp) -> Self {
        let (replaced_text, gateway_object_id, operation) = (false, None, "");
        Self { body, spans, replaced_text, fetched_at, gateway_object_id, operation }
    }

    /// Rows from JSON texts of their own.
    pub fn from_texts<S: AsRef<str>>(
        texts: impl IntoIterator<Item = S>,
        fetched_at: Timestamp,
    ) -> Self {
        let (mut body, mut spans) = (String::new(), Vec::new());
        for text in texts {
            let start = offset(body.len());
            body.push_str(text.as_ref());
            spans.push(start..offset(body.len()));
        }
        Self::new(body, spans, fetched_at)
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The JSON text of each row, in the order of the answer.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.spans.iter().map(|span| self.text(span))
    }

    /// The JSON text of the row at a place of the answer.
    pub fn get(&self, place: usize) -> Option<&str> {
        self.spans.get(place).map(|span| self.text(span))
    }

    fn text(&self, span: &Range<u32>) -> &str {
        self.body.get(span.start as usize..span.end as usize).unwrap_or_default()
    }

    /// Whether it is this answer that a row was cut out of.
    pub(crate) fn holds(&self, row: &str) -> bool {
        self.body.as_bytes().as_ptr_range().contains(&row.as_ptr())
    }

    /// The size of the whole body.
    pub fn body_bytes(&self) -> usize {
        self.body.len()
    }
}

/// Bodies end at 64 MiB, so every offset fits.
pub(crate) fn offset(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

/// Rows are personal data: only their number is shown.
impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows")
            .field("rows", &self.spans.len())
            .field("body_bytes", &self.body.len())
            .field("replaced_text", &self.replaced_text)
            .field("fetched_at", &self.fetched_at)
            .field("gateway_object_id", &self.gateway_object_id)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back_as_they_went_in_and_are_not_shown() {
        let rows = Rows::from_texts([r#"{"id":1}"#, r#"{"id":"ş"}"#], Timestamp(5));
        assert_eq!(rows.iter().collect::<Vec<_>>(), [r#"{"id":1}"#, r#"{"id":"ş"}"#]);
        assert_eq!(rows.len(), 2);
        assert!(!format!("{rows:?}").contains("id\""));
    }
}
