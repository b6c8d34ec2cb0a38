//! Refused TOS tokens, as they are remembered over restarts: five lock the bank's key.

use serde::{Deserialize, Serialize};

/// How often one secret was refused. The digest is keyed with a random salt and cut so short that
/// it tells a changed secret from the old one and nothing more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TosRefusals {
    /// Tokens refused in a row.
    pub refused: u32,
    /// What the digest is keyed with, made anew with each record.
    pub salt: String,
    /// Four bytes of a keyed hash of the credentials, in hex.
    pub digest: String,
}
