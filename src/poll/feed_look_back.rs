//! The look-back of the connection-wide feed: every window for all accounts, late rows, edits and
//! what has disappeared.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use crate::{
    api::{Purpose, Rows},
    config::model::Deletions,
    domain::{ids::SourceId, time::Day},
    telemetry::clock::now,
};

use super::{
    absence::Span,
    digest::Reason,
    entity::{Advance, Entity, Failure},
    feed::{Feed, Round},
    plan::Window,
    task::published,
};

/// What a look-back has shown of the accounts that there were when it began.
struct Shown {
    accounts: Vec<(i64, Arc<Entity>)>,
    /// Rows of accounts whose disappearing rows count.
    present: HashMap<i64, HashSet<SourceId>>,
    /// Accounts that did not take part in each window: what they lack proves nothing, and what the
    /// later windows show of them closes no day of the earlier ones.
    unproven: HashSet<i64>,
    /// When the answers came.
    read: Option<Span>,
    /// No answer may have been cut.
    whole: bool,
}

impl Feed {
    /// Every window of the look-back, for all accounts, and what is missing from them.
    pub(super) async fn look_back(&mut self) -> Result<u64, Failure> {
        let today = now().local_day();
        let windows = self.schedule.lookback_windows(Day(i32::MIN), today);
        let (accounts, read) = (self.accounts(), None);
        let (present, unproven) = (HashMap::new(), HashSet::new());
        let mut shown = Shown { accounts, present, unproven, read, whole: true };
        let mut rows = 0;
        for (i, window) in windows.iter().enumerate() {
            let Some(read) = self.window(Purpose::Repair, *window).await? else {
                return Ok(rows);
            };
            shown.whole &= read.whole;
            let last = i + 1 == windows.len();
            let round = Round {
                reason: Reason::LookBack,
                window: Some(*window),
                advance: Advance::Nothing,
                first_kept: last.then(|| self.schedule.first_kept(None, today)),
                start: today,
            };
            self.take_unnamed(&read.answers, round).await?;
            rows += self.look_at(&read.answers, round, &mut shown).await?;
        }
        if let (Some(first), Some(last)) = (windows.first(), windows.last()) {
            rows += take_absences(&shown, Window { from: first.from, to: last.to }).await?;
        }
        Ok(rows)
    }

    /// One window of a look-back, for each account.
    async fn look_at(
        &self,
        answers: &[Rows],
        round: Round,
        shown: &mut Shown,
    ) -> Result<u64, Failure> {
        let mut rows = 0;
        shown.read = shown.read.into_iter().chain(Span::of(answers)).reduce(Span::and);
        let accounts = shown.accounts.iter().cloned();
        let (unproven, whole): (Vec<_>, Vec<_>) =
            accounts.partition(|(id, _)| shown.unproven.contains(id));
        let mut delivered = self.deliver(whole, answers, round).await;
        if !unproven.is_empty() {
            let round = Round { advance: Advance::Unproven, ..round };
            delivered.extend(self.deliver(unproven, answers, round).await);
        }
        for (id, entity, outcome) in delivered {
            match outcome {
                Ok(Some(digest)) => {
                    rows += published(&digest);
                    if entity.deletions == Deletions::Emit {
                        shown.present.entry(id).or_default().extend(digest.present);
                    }
                }
                Ok(None) => drop(shown.unproven.insert(id)),
                Err(Failure::Gone(gone)) => return Err(gone.into()),
                Err(failure) => {
                    entity.report_failure_by_feed(&failure);
                    entity.ask_alone.notify_one();
                    shown.unproven.insert(id);
                }
            }
        }
        Ok(rows)
    }
}

/// Rows that every window of a look-back lacked, of the accounts that took part in each.
async fn take_absences(shown: &Shown, days: Window) -> Result<u64, Failure> {
    let mut rows = 0;
    let Some(read) = shown.read.filter(|_| shown.whole) else { return Ok(0) };
    for (id, entity) in &shown.accounts {
        if let Some(present) = shown.present.get(id).filter(|_| !shown.unproven.contains(id)) {
            rows += entity.take_absences(present, days, read).await?;
        }
    }
    Ok(rows)
}
