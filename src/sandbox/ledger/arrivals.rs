//! Rows that come by themselves: a bulk of history, and arrivals while somebody watches.

use chrono::{NaiveDateTime, TimeDelta, Timelike as _};
use serde::Deserialize;
use serde_json::json;

use super::{
    error::LedgerError,
    rows::{Ledger, Made},
    samples,
};
use crate::{
    domain::{ids::Stream, money::Money, payment::Change},
    sandbox::{
        generator::{
            bank,
            entities::{Fields, fields},
            people,
        },
        random::Random,
    },
};

/// A bulk of history to generate.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Load {
    /// New accounts.
    pub accounts: u32,
    /// Rows of each new account.
    pub rows_per_account: u32,
    /// New terminals.
    pub terminals: u32,
    /// Rows of each new terminal.
    pub rows_per_terminal: u32,
    /// Rows of the virtual-POS list.
    pub virtual_pos: u32,
    /// TOS payments.
    pub tos: u32,
    /// New virtual-POS customers.
    pub customers: u32,
    /// Over how many past days the rows are spread.
    pub days: u32,
    /// Starts the random source anew where it is given.
    pub seed: Option<u64>,
}

impl Default for Load {
    fn default() -> Self {
        Self {
            accounts: 0,
            rows_per_account: 0,
            terminals: 0,
            rows_per_terminal: 0,
            virtual_pos: 0,
            tos: 0,
            customers: 0,
            days: 20,
            seed: None,
        }
    }
}

/// What arrivals are made of, in thousandths; the rest are plain new rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mix {
    /// Rows that become visible only after rows with higher ids.
    pub late: u32,
    /// New rows whose booking date lies days back.
    pub backdated: u32,
    /// Edits of recent rows: notes, tags, statuses.
    pub edits: u32,
    /// Deletions of recent rows.
    pub deletions: u32,
}

impl Default for Mix {
    fn default() -> Self {
        Self { late: 30, backdated: 10, edits: 40, deletions: 5 }
    }
}

/// A row that has its id and its share of the balance, and is not visible yet.
#[derive(Debug)]
pub(super) struct Held {
    stream: Stream,
    entity: String,
    id: i64,
    made: Made,
    arrivals_left: u64,
}

/// How many rows count as recent.
const RECENT_MAX: usize = 500;

impl Ledger {
    /// Generates history: rows of all entities together in the order of their dates and ids.
    pub fn load(&mut self, load: &Load) -> Result<(), LedgerError> {
        if let Some(seed) = load.seed {
            self.random = Random::new(seed);
        }
        for _ in 0..load.customers {
            self.add_entity(Stream::Customers, Fields::new())?;
        }
        let accounts = self.open(Stream::Accounts, load.accounts)?;
        let terminals = self.open(Stream::Terminals, load.terminals)?;
        let whole = [samples::WHOLE.to_owned()];
        let institution = [samples::INSTITUTION.to_owned()];
        self.history(Stream::BankTransactions, &accounts, load.rows_per_account, load.days)?;
        self.history(Stream::PosTransactions, &terminals, load.rows_per_terminal, load.days)?;
        self.history(Stream::VirtualPosTransactions, &whole, load.virtual_pos, load.days)?;
        self.history(Stream::TosPayments, &institution, load.tos, load.days)
    }

    fn open(&mut self, stream: Stream, count: u32) -> Result<Vec<String>, LedgerError> {
        (0..count)
            .map(|_| self.add_entity(stream, Fields::new()).map(|id| id.to_string()))
            .collect()
    }

    fn history(
        &mut self,
        stream: Stream,
        entities: &[String],
        rows_each: u32,
        days: u32,
    ) -> Result<(), LedgerError> {
        let now = self.now();
        let mut plan = Vec::with_capacity(entities.len() * rows_each as usize);
        for entity in entities {
            plan.extend((0..rows_each).map(|_| (self.past_time(now, days), entity)));
        }
        plan.sort_unstable();
        for (at, entity) in plan {
            let id = self.next_id(stream)?;
            let made = self.make(stream, entity, id, at)?;
            self.put(stream, entity, id, made)?;
            self.remember(stream, id);
        }
        Ok(())
    }

    /// A time of the last days; nights are quiet.
    fn past_time(&mut self, now: NaiveDateTime, days: u32) -> NaiveDateTime {
        let at = now - TimeDelta::seconds(self.random.between(60, i64::from(days) * 86_400 + 60));
        let day_time = at + TimeDelta::hours(9);
        if at.hour() < 7 && day_time < now { day_time } else { at }
    }

    fn remember(&mut self, stream: Stream, id: i64) {
        if self.recent.len() == RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back((stream, id));
    }

    /// Lets that many things happen now; answers how many rows became visible or changed.
    pub fn tick(&mut self, count: u32) -> Result<u32, LedgerError> {
        let mut seen = 0;
        for _ in 0..count {
            seen += self.release_held()?;
            let Mix { edits, deletions, .. } = self.mix;
            let share = u32::try_from(self.random.below(1000)).unwrap_or(0);
            seen += if share < edits {
                self.edit_recent()?
            } else if share < edits + deletions {
                self.delete_recent()
            } else {
                self.arrive()?
            };
        }
        Ok(seen)
    }

    fn release_held(&mut self) -> Result<u32, LedgerError> {
        for held in &mut self.held {
            held.arrivals_left = held.arrivals_left.saturating_sub(1);
        }
        let due: Vec<Held> = self.held.extract_if(.., |held| held.arrivals_left == 0).collect();
        let mut released = 0;
        for Held { stream, entity, id, made, .. } in due {
            self.put(stream, &entity, id, made)?;
            self.remember(stream, id);
            released += 1;
        }
        Ok(released)
    }

    fn arrive(&mut self) -> Result<u32, LedgerError> {
        let Some((stream, entity)) = self.choose_entity() else { return Ok(0) };
        let mut at = self.now() - TimeDelta::seconds(self.random.between(0, 5));
        if self.random.per_mille(self.mix.backdated) {
            at -= TimeDelta::days(self.random.between(1, 5));
        }
        let id = self.next_id(stream)?;
        let made = self.make(stream, &entity, id, at)?;
        if self.random.per_mille(self.mix.late) {
            let arrivals_left = 3 + self.random.below(10);
            self.held.push(Held { stream, entity, id, made, arrivals_left });
            return Ok(0);
        }
        self.put(stream, &entity, id, made)?;
        self.remember(stream, id);
        Ok(1)
    }

    fn choose_entity(&mut self) -> Option<(Stream, String)> {
        let draw = self.random.below(100);
        let pick = |random: &mut Random, ids: &[i64]| {
            (!ids.is_empty()).then(|| random.pick(ids).to_string())
        };
        match draw {
            0..=59 => {
                Some((Stream::BankTransactions, pick(&mut self.random, &self.lively_accounts)?))
            }
            60..=84 => {
                Some((Stream::PosTransactions, pick(&mut self.random, &self.lively_terminals)?))
            }
            85..=94 => Some((Stream::VirtualPosTransactions, samples::WHOLE.to_owned())),
            _ => Some((Stream::TosPayments, samples::INSTITUTION.to_owned())),
        }
    }

    fn choose_recent(&mut self) -> Option<(usize, Stream, i64)> {
        let draw = self.random.below(self.recent.len() as u64);
        let index = usize::try_from(draw).ok()?;
        let (stream, id) = *self.recent.get(index)?;
        Some((index, stream, id))
    }

    fn edit_recent(&mut self) -> Result<u32, LedgerError> {
        let Some((_, stream, id)) = self.choose_recent() else { return Ok(0) };
        if stream == Stream::VirtualPosTransactions && self.change_some_payment(id) {
            return Ok(1);
        }
        let changes = self.changes(stream, id);
        match self.edit_row(stream, id, changes) {
            Ok(()) => Ok(1),
            // Somebody deleted it meanwhile.
            Err(LedgerError::Unknown { .. }) => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Somebody cancels or refunds a payment in the panel: by the rules that a command meets, so
    /// that no payment gets into a state which it could not have. False where that was declined.
    fn change_some_payment(&mut self, id: i64) -> bool {
        let cancel = self.random.below(2) == 0;
        let Some(reference) = self.reference_of(id) else { return false };
        let Some(state) = self.payment(&reference) else { return false };
        let [whole, before] = [state.amount, state.refunded].map(Option::unwrap_or_default);
        let rest = Money::from_unscaled(whole.unscaled() - before.unscaled());
        let change = if cancel { Change::Cancel } else { Change::Refund { amount: rest } };
        self.change_payment(&reference, change).is_ok()
    }

    /// What people and banks change afterwards.
    fn changes(&mut self, stream: Stream, id: i64) -> Fields {
        let random = &mut self.random;
        fields(match stream {
            Stream::BankTransactions => match random.below(3) {
                0 => json!({"note": format!("Kontrol no {}", random.digits(5))}),
                1 => json!({"tags": [bank::tag(random, id)]}),
                _ => json!({"opponent_taxno": people::tax_no(random)}),
            },
            Stream::PosTransactions => json!({"transaction_no": random.digits(9)}),
            Stream::VirtualPosTransactions => {
                json!({"aciklama": format!("Sipariş {}", random.digits(6))})
            }
            _ => json!({"ExtractExplanation": format!("Ekstre {}", random.digits(6))}),
        })
    }

    fn delete_recent(&mut self) -> u32 {
        let Some((index, stream, id)) = self.choose_recent() else { return 0 };
        self.recent.remove(index);
        u32::from(self.delete_row(stream, id).is_ok())
    }
}
