//! What every published record has in common.

use std::fmt;

use serde::{Serialize, Serializer};

/// What happened to the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// First content of the row.
    Created,
    /// Another content than the last.
    Updated,
    /// Gone from two complete reads; only in `RowDeletion`.
    Deleted,
}

impl Op {
    /// Every op.
    pub const ALL: [Self; 3] = [Self::Created, Self::Updated, Self::Deleted];

    /// The word as it stands in events; `ce_type` has it in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "CREATED",
            Self::Updated => "UPDATED",
            Self::Deleted => "DELETED",
        }
    }
}

/// A plain string: Avro enums are not used (see the event model).
impl Serialize for Op {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
