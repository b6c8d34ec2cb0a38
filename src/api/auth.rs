//! Tokens: one renewal at a time, one new token after a 401, and a stop where access is refused.

mod count;
mod counting;
mod grant;
mod token;

use std::{
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use secrecy::{ExposeSecret, SecretString};
use tokio::{
    sync::{Mutex as AsyncMutex, watch},
    time::Instant,
};

pub use self::count::Asker;
use self::{count::is_about, token::TokenShape};
pub(crate) use self::{
    count::{SharedCount, Turn},
    grant::Grant,
};
use super::{
    allow::Api,
    error::{At, Error, RetryClass},
    http::Payload,
    secrets::{Fingerprint, Pair, SecretFiles, SecretProblem},
    verdict::token::Judged,
};
use crate::domain::refusals::{self, TosRefusals};

/// A refusal is remembered that long: thousands of pollers then make one attempt, not thousands.
/// Shorter than the pollers' own 15 minutes, so that each of their rounds asks once.
pub(crate) const REFUSAL_HOLD: Duration = Duration::from_secs(10 * 60);

/// A refusal that no later call has confirmed is old news: pollers ask every 15 minutes.
const REFUSAL_NEWS: Duration = Duration::from_secs(20 * 60);

/// After a token request of which nobody knows what the API made of it, TOS is left alone that long:
/// it may have been a refusal, and five lock the key.
const REST_OF_TOS: Duration = Duration::from_secs(60);
/// The same for the other APIs, whose keys nothing is known to lock.
const REST: Duration = Duration::from_secs(5);

/// A token in use; the generation tells a fresh one from the one that was refused.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) value: SecretString,
    pub(crate) generation: u64,
    granted: Instant,
}

/// The access to one API of one connection.
#[derive(Debug)]
pub(crate) struct Access {
    pub(crate) api: Api,
    pub(crate) url: String,
    /// Where tokens come from: the base URL of the operation's path, or the TOS token URL.
    pub(crate) token_url: String,
    grant: Grant,
    files: SecretFiles,
    /// Held during a renewal: the others wait for its outcome.
    pub(crate) renewal: Arc<AsyncMutex<()>>,
    state: Mutex<State>,
    /// Refused TOS tokens, for whoever keeps them over restarts.
    refusals: watch::Sender<Option<TosRefusals>>,
    /// Where other processes count their refused TOS tokens too.
    shared: OnceLock<SharedCount>,
}

#[derive(Debug, Default)]
struct State {
    token: Option<(Token, Instant)>,
    next_generation: u64,
    refusal: Option<Refusal>,
    tos_refusals: u32,
    /// What was kept of an earlier run, until the secrets are read that it may be about.
    kept: Option<TosRefusals>,
    /// The refusals stand in the shared file as they are here.
    in_file: bool,
    /// When access was last refused, where no call has succeeded since.
    refused_at: Option<Instant>,
    /// The credentials that were last sent: what is refused, and what messages must not repeat.
    used: Option<Arc<Pair>>,
    /// Of the files when they were last read for a token.
    read: Option<Fingerprint>,
    /// Renewals that came to an end, and why the last one failed.
    rounds: u64,
    last_failure: Option<Error>,
    /// When the token ends, in seconds since 1970.
    ends_epoch: Option<i64>,
}

/// Why no token is asked for at present.
#[derive(Debug, Clone)]
struct Refusal {
    error: Error,
    at: Instant,
    /// How long it stands, where it ends by itself.
    hold: Duration,
    /// Nobody was refused: the API is left alone for a while.
    is_rest: bool,
    /// Of the files when access was refused.
    print: Fingerprint,
}

impl Token {
    /// Whether what is forbidden may be forbidden because the token ended: not every API says 401 then.
    /// One that was granted lately has not, and another would change nothing.
    pub(crate) fn may_have_ended(&self) -> bool {
        self.granted.elapsed() >= REFUSAL_HOLD
    }

    /// The bare token, to keep it out of messages.
    pub(crate) fn expose(&self) -> &str {
        self.value.expose_secret()
    }
}

/// A token request that is ready to be sent.
#[derive(Debug)]
pub(crate) struct TokenRequest {
    pub(crate) payload: Payload,
    pub(crate) pair: Arc<Pair>,
    /// The files hold other secrets than when they were last read.
    pub(crate) changed: bool,
}

impl Access {
    pub(crate) fn new(
        api: Api,
        url: String,
        token_url: String,
        grant: Grant,
        files: SecretFiles,
    ) -> Self {
        let renewal = Arc::new(AsyncMutex::new(()));
        let (refusals, _) = watch::channel(None);
        let (state, shared) = (Mutex::default(), OnceLock::new());
        Self { api, url, token_url, grant, files, renewal, state, refusals, shared }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is one assignment, so the state is whole whatever panics elsewhere.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The token in use, while it is good.
    pub(crate) fn current(&self) -> Option<Token> {
        let state = self.lock();
        state.token.as_ref().filter(|(_, ends)| Instant::now() < *ends).map(|(t, _)| t.clone())
    }

    /// Forgets a token that was refused, unless a newer one is already there.
    pub(crate) fn forget(&self, generation: u64) {
        let mut state = self.lock();
        if state.token.as_ref().is_some_and(|(token, _)| token.generation == generation) {
            state.token = None;
        }
    }

    /// Forgets the token where the files hold other secrets than those that it was granted for.
    pub(crate) async fn forget_of_other_secrets(&self) {
        let print = self.files.fingerprint().await;
        let mut state = self.lock();
        if state.read.is_some_and(|read| read != print) {
            state.token = None;
        }
    }

    /// The refusal that still stands: recent, and the secret files are as they were.
    pub(crate) async fn check_refusal(&self) -> Result<(), Error> {
        let Some(refusal) = self.lock().refusal.clone() else { return Ok(()) };
        if self.is_resumed().await {
            self.resume();
            return Ok(());
        }
        let locked = refusal.error.retry_class() == RetryClass::LockedOut;
        let due = !locked && refusal.at.elapsed() >= refusal.hold;
        if !due && self.files.fingerprint().await == refusal.print {
            return Err(refusal.error);
        }
        let mut state = self.lock();
        state.refusal = None;
        if !due {
            // Other secrets: the count of the old ones says nothing about them.
            state.tos_refusals = 0;
            state.in_file = false;
            state.token = None;
        }
        Ok(())
    }

    /// Reads the secrets and makes the request for a token.
    pub(crate) async fn prepare(&self, at: &At) -> Result<TokenRequest, Error> {
        let pair = match self.files.read().await {
            Ok(pair) => Arc::new(pair),
            Err(SecretProblem { file, problem, fingerprint }) => {
                self.lock().read = Some(fingerprint);
                return Err(Error::Secret { at: at.clone(), file, problem });
            }
        };
        let mut state = self.lock();
        let before = state.read.replace(pair.fingerprint);
        state.used = Some(Arc::clone(&pair));
        if let Some(kept) = state.kept.take()
            && is_about(&kept, &pair)
        {
            state.tos_refusals = state.tos_refusals.max(kept.refused);
        }
        drop(state);
        let changed = before.is_some_and(|before| before != pair.fingerprint);
        Ok(TokenRequest { payload: self.grant.payload(&pair), pair, changed })
    }

    /// The credentials that were last sent.
    pub(crate) fn used(&self) -> Option<Arc<Pair>> {
        self.lock().used.clone()
    }

    /// Takes the body of a successful token answer into use.
    pub(crate) fn accept(&self, body: &str, now_epoch: i64) -> Result<Token, String> {
        let shape = match self.api {
            Api::BankPos => TokenShape { names: &["token", "access_token"] },
            Api::VirtualPos | Api::Tos => TokenShape { names: &["access_token", "token"] },
        };
        let (value, lifetime) = shape.read(body, now_epoch)?;
        let mut state = self.lock();
        let granted = Instant::now();
        let token = Token { value, generation: state.next_generation, granted };
        state.next_generation += 1;
        state.token = Some((token.clone(), granted + lifetime));
        state.tos_refusals = 0;
        let seconds = i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX);
        state.ends_epoch = Some(now_epoch.saturating_add(seconds));
        drop(state);
        self.tell_refusals(None);
        Ok(token)
    }

    /// Notes a call that went well; true where access was refused until now.
    pub(crate) fn note_success(&self) -> bool {
        self.lock().refused_at.take().is_some()
    }

    /// Whether access is refused as far as is known: until a call succeeds, or for ever where nothing
    /// is asked any more. Otherwise no longer than [`REFUSAL_NEWS`], for nobody may ask again.
    pub(crate) fn is_refused(&self) -> bool {
        let state = self.lock();
        let standing = state.refusal.as_ref().filter(|refusal| !refusal.is_rest);
        let is_stopped =
            standing.is_some_and(|held| held.error.retry_class() == RetryClass::LockedOut);
        // A call that was under way when access was refused may succeed after it.
        let last = standing.map(|refusal| refusal.at).or(state.refused_at);
        is_stopped || last.is_some_and(|at| at.elapsed() < REFUSAL_NEWS)
    }

    /// Takes over what was kept of an earlier run; it counts if the secrets are still the same.
    pub(crate) fn recall(&self, kept: TosRefusals) {
        self.tell_refusals(Some(kept.clone()));
        self.lock().kept = Some(kept);
    }

    /// Refused tokens as they are to be kept.
    pub(crate) fn refusals(&self) -> watch::Receiver<Option<TosRefusals>> {
        self.refusals.subscribe()
    }

    fn tell_refusals(&self, now: Option<TosRefusals>) {
        self.refusals.send_if_modified(|told| {
            let differs = *told != now;
            *told = now;
            differs
        });
    }

    /// When the token in use ends, in seconds since 1970.
    pub(crate) fn ends_epoch(&self) -> Option<i64> {
        self.lock().ends_epoch
    }

    /// How many renewals have come to an end.
    pub(crate) fn rounds(&self) -> u64 {
        self.lock().rounds
    }

    /// Notes the end of a renewal.
    pub(crate) fn note_round(&self, failure: Option<&Error>) {
        let mut state = self.lock();
        state.rounds += 1;
        state.last_failure = failure.cloned();
    }

    /// Why the renewal failed that ended while this caller waited for it: it shares the outcome
    /// instead of making the next attempt at once.
    pub(crate) fn failure_since(&self, rounds: u64) -> Option<Error> {
        let state = self.lock();
        if state.rounds == rounds { None } else { state.last_failure.clone() }
    }

    /// Notes that access is refused, and gives the error that callers should see: the same, or the
    /// stop where one more attempt could lock the key.
    ///
    /// `counts`: it was a token request, and one that [`Access::counts`].
    pub(crate) async fn refuse(&self, at: &At, error: Error, counts: bool) -> Error {
        let print = self.print_of_read().await;
        let (error, refused) = self.note_refusal(at, error, print, counts);
        // A refusal by itself, or a stop that follows from others that may be known nowhere else.
        if counts || error.retry_class() == RetryClass::LockedOut {
            self.keep_refusals(at, refused).await;
        }
        error
    }

    /// Whether a token request counts as refused: TOS locks its key after five.
    pub(crate) fn counts(&self, judged: Judged) -> bool {
        let refused = self.lock().tos_refusals;
        self.api == Api::Tos
            && match judged {
                Judged::Yes => true,
                Judged::Perhaps => (1..refusals::LOCKED).contains(&refused),
                Judged::No => false,
            }
    }

    /// Leaves the API alone for a while after a token request that says nothing of the credentials.
    pub(crate) async fn rest(&self, error: &Error) {
        // What cannot have been heard may be said again, and the quota keeps the rest that was asked for.
        if matches!(error, Error::Connect { .. } | Error::RateLimited { .. }) {
            return;
        }
        let print = self.print_of_read().await;
        let hold = if self.api == Api::Tos { REST_OF_TOS } else { REST };
        self.lock().refusal =
            Some(Refusal { error: error.clone(), at: Instant::now(), hold, is_rest: true, print });
    }

    /// Of the files when they were last read. Not a new look: a file that changed since would never
    /// look changed again.
    async fn print_of_read(&self) -> Fingerprint {
        let read = self.lock().read;
        match read {
            Some(print) => print,
            None => self.files.fingerprint().await,
        }
    }

    /// The error that callers should see, and how many TOS tokens were refused by now.
    fn note_refusal(
        &self,
        at: &At,
        error: Error,
        print: Fingerprint,
        counts: bool,
    ) -> (Error, u32) {
        let mut state = self.lock();
        let tos = self.api == Api::Tos;
        let error = match error {
            Error::KeyLocked { at } if tos => {
                state.tos_refusals = refusals::LOCKED;
                Error::KeyLocked { at }
            }
            error if tos && counts => {
                state.tos_refusals = refusals::after_refusal(state.tos_refusals);
                if refusals::may_ask(state.tos_refusals, false) {
                    error
                } else {
                    Error::stop_of_tos(at.clone(), state.tos_refusals)
                }
            }
            other => other,
        };
        state.token = None;
        let (held, at) = (error.clone(), Instant::now());
        state.refused_at = Some(at);
        state.refusal =
            Some(Refusal { error: held, at, hold: REFUSAL_HOLD, is_rest: false, print });
        (error, state.tos_refusals)
    }

    /// What to compare with while waiting for another secret: the files as they were when access
    /// was refused, else as they are.
    pub(crate) async fn baseline(&self) -> Fingerprint {
        let refused = self.lock().refusal.as_ref().map(|refusal| refusal.print);
        match refused {
            Some(print) => print,
            None => self.files.fingerprint().await,
        }
    }

    /// What stands in the secret files.
    pub(crate) async fn fingerprint(&self) -> Fingerprint {
        self.files.fingerprint().await
    }
}

#[cfg(test)]
mod tests;
