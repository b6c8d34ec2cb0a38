//! Refused TOS tokens, as they are remembered over restarts: five lock the bank's key. Pure.

use serde::{Deserialize, Serialize};

/// Refused tokens after which nobody asks by itself any more.
pub const STOP_AT: u32 = 2;
/// Refused tokens after which not even a person's word (`--tos-again`) asks: the next would lock.
pub const LAST: u32 = 4;
/// The count that stands for a key that the bank has locked.
pub const LOCKED: u32 = 5;

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

/// Whether a token may be asked for after so many refusals; `again` is a person's word that it is
/// worth one more. With a locked key that word can do no harm, and only an answer tells whether the
/// bank has unlocked it.
pub const fn may_ask(refused: u32, again: bool) -> bool {
    refused < STOP_AT || (again && (refused < LAST || refused >= LOCKED))
}

/// The count after one more refusal. A key that was locked and now refuses again was unlocked, so
/// the bank counts anew; it is still taken for one that nobody asks for by itself.
pub const fn after_refusal(refused: u32) -> u32 {
    if refused >= LOCKED { STOP_AT } else { refused + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_asks_after_two_refusals_and_a_person_never_brings_about_the_fifth() {
        let asked = |again| (0..=LOCKED).filter(|refused| may_ask(*refused, again)).collect();
        let by_itself: Vec<u32> = asked(false);
        let by_a_person: Vec<u32> = asked(true);
        assert_eq!(by_itself, [0, 1]);
        assert_eq!(by_a_person, [0, 1, 2, 3, LOCKED]);
        let most = by_a_person.iter().map(|refused| after_refusal(*refused)).max();
        assert!(most < Some(LOCKED), "what is counted is never taken for a locked key");
    }
}
