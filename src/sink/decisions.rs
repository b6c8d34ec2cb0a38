//! What people decided about parked commands while no owner heard them.
//!
//! | the journal tells, in order                            | what counts          |
//! |--------------------------------------------------------|----------------------|
//! | a decision                                             | it                   |
//! | two decisions about one command                        | the first            |
//! | a decision, then a new standing of its command         | nothing: it was done, or was about nothing |

use std::collections::BTreeMap;

use super::{
    command::CommandKey,
    journal::{Entry, records::Resolve},
};

/// The decisions that nobody has acted on, those about one command in the order of the journal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decisions(BTreeMap<CommandKey, Vec<Resolve>>);

impl Decisions {
    /// Somebody decided. Only the first of them is an owner's to act on; the others are told.
    pub fn said(&mut self, key: CommandKey, decision: Resolve) {
        self.0.entry(key).or_default().push(decision);
    }

    /// A command's story went on after what was said of it so far.
    pub fn moved(&mut self, entry: &Entry) {
        self.0.remove(entry.key());
    }

    /// What was said of a command is forgotten, or the command is.
    pub fn forget(&mut self, key: &CommandKey) {
        self.0.remove(key);
    }

    /// Command by command.
    pub fn into_each(self) -> impl Iterator<Item = (CommandKey, Vec<Resolve>)> {
        self.0.into_iter()
    }
}
