//! Before a token and after it: whether TOS may be asked, and what the answer adds to the count.

use std::sync::Arc;

use super::{
    Access, SharedCount, Turn,
    count::{Problem, is_about, record},
};
use crate::{
    api::{
        allow::Api,
        error::{At, Error, RetryClass},
        secrets::Pair,
    },
    domain::refusals,
    log_event,
    telemetry::events::Event,
};

impl Access {
    /// Counts refused TOS tokens together with every process that uses the same folder. The first
    /// word counts.
    pub(crate) fn share(&self, count: SharedCount) {
        // A second one could only come from this program, and the first is as good.
        self.shared.set(count).unwrap_or_default();
    }

    /// The file that holds the secret.
    pub(crate) fn secret_file(&self) -> &std::path::Path {
        self.files.secret_file()
    }

    /// The turn to ask for a token with these secrets, to be held until its answer is counted. Fails
    /// where so many were refused that one more is a risk, or where one more could not be counted.
    pub(crate) async fn begin(&self, at: &At, pair: &Pair) -> Result<Option<Turn>, Error> {
        if self.api != Api::Tos {
            return Ok(None);
        }
        let (mut turn, mut again) = (None, false);
        if let Some(shared) = self.shared.get() {
            again = shared.asker.again();
            let found = async {
                turn = Some(shared.take_turn().await?);
                shared.look(pair).await
            };
            match found.await {
                Ok(refused) => {
                    let mut state = self.lock();
                    state.tos_refusals = state.tos_refusals.max(refused);
                }
                Err(problem) if shared.asker.does_without() => {
                    not_kept(at, &problem);
                    let mut state = self.lock();
                    state.tos_refusals = state.tos_refusals.max(problem.refused);
                }
                Err(Problem { path, problem, .. }) => {
                    return Err(Error::RefusalsNotKept { at: at.clone(), path, problem });
                }
            }
        }
        let refused = self.lock().tos_refusals;
        if refusals::may_ask(refused, again) {
            Ok(turn)
        } else {
            Err(Error::stop_of_tos(at.clone(), refused))
        }
    }

    /// Writes down how often the secrets in use were refused, for this and every other process.
    pub(super) async fn keep_refusals(&self, at: &At, refused: u32) {
        let (Api::Tos, Some(pair)) = (self.api, self.used()) else { return };
        let same = |told: &refusals::TosRefusals| told.refused == refused && is_about(told, &pair);
        if !self.refusals.borrow().as_ref().is_some_and(same) {
            self.tell_refusals(Some(record(refused, &pair)));
        }
        let Some(shared) = self.shared.get() else { return };
        let kept = shared.keep(&pair, refused).await;
        self.lock().in_file = kept.is_ok();
        if let Err(problem) = kept {
            not_kept(at, &problem);
        }
    }

    /// Forgets the refusals of the secrets that were just accepted.
    pub(crate) async fn forget_refusals(&self, at: &At, pair: &Pair) {
        let (Api::Tos, Some(shared)) = (self.api, self.shared.get()) else { return };
        if let Err(problem) = shared.clear(pair).await {
            not_kept(at, &problem);
        }
    }

    /// Whether a command was granted a token with the secrets that this process no longer asks with.
    /// A file that only went away says nothing.
    pub(crate) async fn is_resumed(&self) -> bool {
        let Some(shared) = self.shared.get() else { return false };
        let pair = {
            let state = self.lock();
            let stopped = |error: &Error| error.retry_class() == RetryClass::LockedOut;
            let stopped = state.refusal.as_ref().is_some_and(|refusal| stopped(&refusal.error));
            state.used.as_ref().filter(|_| stopped && state.in_file).map(Arc::clone)
        };
        match pair {
            Some(pair) => shared.was_granted(&pair).await,
            None => false,
        }
    }

    /// Starts to ask again.
    pub(super) fn resume(&self) {
        let mut state = self.lock();
        (state.refusal, state.tos_refusals, state.in_file) = (None, 0, false);
        drop(state);
        self.tell_refusals(None);
    }
}

fn not_kept(at: &At, Problem { path, problem, .. }: &Problem) {
    log_event!(Event::ApiRefusalsNotKept, connection = %at.connection, file = %path.display(), problem, "refused TOS tokens are not counted there");
}
