//! The journal: what happened to each command, as events that one function folds.
//!
//! An event is in the journal before what it allows is done, and a result is published in the
//! transaction that writes its event. What a restart finds here is all that it may rely on.

pub mod codec;
pub mod entry;
pub mod event;
pub mod records;
pub mod status;

pub use entry::Entry;
pub use event::{Arrival, JournalEvent};
pub use status::{IllegalTransition, Intent, Status};
