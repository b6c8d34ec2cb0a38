//! One call from its turn in the quota to its judged answer: tokens, repetitions, metrics.

use std::{sync::Arc, time::Duration};

use chrono::Utc;
use tokio::{sync::watch, time::Instant};

use super::{
    allow::{Api, Operation},
    auth::{Access, Token},
    envelope::Fault,
    error::{At, Error, RetryClass},
    http::{Answer, Http, NoAnswer, Payload, SendFault, Sieve},
    quota::{Permit, Purpose, Quota},
    retry,
    secrets::Pair,
    verdict::{
        self, Asked, Verdict,
        token::{self, NoToken},
    },
};
use crate::{
    config::model::Connection,
    log_event,
    telemetry::{events::Event, metrics::Metrics},
};

/// A call that is ready to be made, as often as it takes.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) operation: Operation,
    pub(crate) payload: Payload,
    /// `lastId` is sent without dates.
    pub(crate) last_id_alone: bool,
}

/// What a call is for, who wants to hear when its turn has come, and what of the answer is wanted.
#[derive(Clone, Copy)]
pub(crate) struct Turn<'a> {
    pub(crate) purpose: Purpose,
    /// Told right before the request leaves, each time that it is made.
    pub(crate) granted: &'a (dyn Fn() + Sync),
    /// Which rows are kept; without it every one.
    pub(crate) sieve: Option<Sieve<'a>>,
}

impl From<Purpose> for Turn<'_> {
    fn from(purpose: Purpose) -> Self {
        Self { purpose, granted: &|| (), sieve: None }
    }
}

/// Makes the calls of one connection.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) connection: Arc<Connection>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) http: Http,
    pub(crate) quota: Quota,
    pub(crate) accesses: Vec<Arc<Access>>,
    /// Stretches the back-off; 1 outside tests.
    pub(crate) pace: f64,
    /// Counts how often access that was refused was found open again.
    pub(crate) lifted: watch::Sender<u64>,
}

/// A try that failed, and with which token.
struct Failed {
    error: Error,
    token: Option<Token>,
    /// Where no token was to be had: each request for one may count towards a locked key, so only what
    /// cannot have reached the API is tried again at once.
    of_token: bool,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self { error, token: None, of_token: false }
    }
}

impl Failed {
    fn of_token(error: Error) -> Self {
        Self { of_token: true, ..Self::from(error) }
    }

    /// Whether it may be tried again within the call.
    fn is_worth_another_try(&self) -> bool {
        let unheard = matches!(self.error, Error::Connect { .. } | Error::RateLimited { .. });
        !self.of_token || unheard
    }
}

/// An exchange without a whole answer, and the status of the part that came.
struct Unanswered {
    error: Error,
    status: Option<u16>,
}

impl Caller {
    /// Makes the call until its answer is read, or until trying again makes no sense here.
    pub(crate) async fn call<T: Default>(
        self: &Arc<Self>,
        turn: impl Into<Turn<'_>>,
        call: &Call,
        read: impl Fn(&str) -> Result<T, Fault>,
    ) -> Result<(Answer, T), Error> {
        let turn = turn.into();
        let at = self.at(call.operation);
        let access = self.access(call.operation.api(), &at)?;
        let mut reauthenticated = false;
        let mut first_failure: Option<Instant> = None;
        for tries in 1.. {
            let failed = match self.attempt(turn, call, &at, access, &read).await {
                Ok(done) => return Ok(done),
                Err(failed) => failed,
            };
            let refused = match (&failed.error, &failed.token) {
                (Error::Unauthorized { .. }, token) => token.as_ref(),
                (Error::Forbidden { .. }, token) => {
                    token.as_ref().filter(|token| !reauthenticated && token.may_have_ended())
                }
                _ => None,
            };
            if let Some(token) = refused {
                // Words alone may be about something else, of one account: they stop nobody else.
                if reauthenticated && !failed.error.is_told_by_code() {
                    return Err(failed.error);
                }
                if reauthenticated {
                    return Err(self.refuse(access, &at, failed.error, false).await);
                }
                reauthenticated = true;
                access.forget(token.generation);
                self.count_retry(&at, "unauthorized");
                continue;
            }
            if !failed.is_worth_another_try() {
                return Err(failed.error);
            }
            let since = first_failure.get_or_insert_with(Instant::now).elapsed();
            let wait = retry::wait_before_retry(&failed.error, tries, since, retry::random());
            let (Some(wait), Some(reason)) = (wait, retry::retry_reason(&failed.error)) else {
                return Err(failed.error);
            };
            self.count_retry(&at, reason);
            tokio::time::sleep(wait.mul_f64(self.pace)).await;
        }
        Err(Error::Interrupted { at })
    }

    async fn attempt<T: Default>(
        self: &Arc<Self>,
        turn: Turn<'_>,
        call: &Call,
        at: &At,
        access: &Arc<Access>,
        read: &impl Fn(&str) -> Result<T, Fault>,
    ) -> Result<(Answer, T), Failed> {
        let token = self.token(turn.purpose, access).await.map_err(Failed::of_token)?;
        let permit = self.permit(turn.purpose, access.api, at).await?;
        // The wait may have been long: take what is in use now, and see whether that is still so.
        access.check_refusal().await?;
        let token = access.current().unwrap_or(token);
        (turn.granted)();
        // Boxed: thousands of calls may wait for their turn, and few are under way.
        let Call { operation, payload, .. } = call;
        let sending = self.send(*operation, at, &access.url, payload, Some(&token), turn.sieve);
        let answer = Box::pin(sending).await.map_err(|unanswered| unanswered.error);
        drop(permit);
        let pair = access.used();
        let [key, secret] = pair.as_deref().map(Pair::expose).unwrap_or_default();
        let secrets = [token.expose(), key, secret];
        let asked = Asked { at, last_id_alone: call.last_id_alone, secrets: &secrets };
        let judged = answer.and_then(|answer| judge(asked, answer, read));
        match judged {
            Ok(done) => {
                if access.note_success() {
                    self.lifted.send_modify(|times| *times += 1);
                }
                Ok(done)
            }
            Err(error) => {
                self.note(access, &error);
                let error =
                    if holds(&error) { self.refuse(access, at, error, false).await } else { error };
                Err(Failed { token: Some(token), ..Failed::from(error) })
            }
        }
    }

    /// The token in use, or a new one; however many ask, one request is made.
    pub(crate) async fn token(
        self: &Arc<Self>,
        purpose: Purpose,
        access: &Arc<Access>,
    ) -> Result<Token, Error> {
        access.check_refusal().await?;
        if let Some(token) = access.current() {
            return Ok(token);
        }
        let rounds_before = access.rounds();
        let guard = Arc::clone(&access.renewal).lock_owned().await;
        access.check_refusal().await?;
        if let Some(token) = access.current() {
            return Ok(token);
        }
        if let Some(error) = access.failure_since(rounds_before) {
            return Err(error);
        }
        // In a task of its own: a caller that gives up must not leave the API with a request whose
        // outcome nobody counts, for refused tokens add up to a locked key.
        let (caller, access) = (Arc::clone(self), Arc::clone(access));
        let at = self.at(Operation::token_of(access.api));
        let renewal = tokio::spawn(async move {
            let outcome = caller.renew(purpose, &access).await;
            access.note_round(outcome.as_ref().err());
            drop(guard);
            outcome
        });
        renewal.await.unwrap_or(Err(Error::Interrupted { at }))
    }

    async fn renew(&self, purpose: Purpose, access: &Access) -> Result<Token, Error> {
        let operation = Operation::token_of(access.api);
        let at = self.at(operation);
        let request = match access.prepare(&at).await {
            Ok(request) => request,
            Err(error) => return Err(self.refuse(access, &at, error, false).await),
        };
        if request.changed {
            self.note_reload(access.api);
        }
        // Held until the answer is counted: nobody else may ask on the same count. Before the place in
        // the quota: another process may have the turn for minutes, and the calls of the connection's
        // other APIs, payments among them, must not wait for that.
        let _turn = match access.begin(&at, &request.pair).await {
            Ok(turn) => turn,
            Err(error) => return Err(self.refuse(access, &at, error, false).await),
        };
        let permit = self.permit(purpose.of_token(), access.api, &at).await?;
        let answer =
            self.send(operation, &at, &access.token_url, &request.payload, None, None).await;
        drop(permit);
        let asked = Asked { at: &at, last_id_alone: false, secrets: &request.pair.expose() };
        let granted = match answer {
            Ok(answer) => take_token(access, asked, &answer),
            Err(Unanswered { error, status }) => {
                Err(token::of_lost_answer(access.api, error, status))
            }
        };
        match granted {
            Ok(token) => {
                access.forget_refusals(&at, &request.pair).await;
                self.count_auth("success");
                self.show_expiry();
                Ok(token)
            }
            Err(NoToken { error, judged }) => {
                self.note(access, &error);
                let counts = access.counts(judged);
                let is_refusal = match error.retry_class() {
                    RetryClass::Refused | RetryClass::LockedOut => true,
                    RetryClass::Retry { .. }
                    | RetryClass::DatesRequired
                    | RetryClass::Permanent => counts,
                };
                if is_refusal {
                    return Err(self.refuse(access, &at, error, counts).await);
                }
                self.count_auth("unavailable");
                access.rest(&error).await;
                Err(error)
            }
        }
    }

    pub(crate) async fn permit(
        &self,
        purpose: Purpose,
        api: Api,
        at: &At,
    ) -> Result<Permit, Error> {
        self.quota
            .acquire(purpose, api)
            .await
            .map_err(|blocked| Error::RateLimited { at: at.clone(), after: blocked.remaining })
    }

    /// One exchange, counted.
    async fn send(
        &self,
        operation: Operation,
        at: &At,
        url: &str,
        payload: &Payload,
        token: Option<&Token>,
        sieve: Option<Sieve<'_>>,
    ) -> Result<Answer, Unanswered> {
        let started = Instant::now();
        let token = token.map(|token| &token.value);
        let outcome = self.http.exchange(operation, url, payload, token, sieve).await;
        self.count_exchange(operation.api(), at, started, outcome.as_ref().ok());
        let at = at.clone();
        outcome.map_err(|NoAnswer { status, fault }| {
            let error = match fault {
                SendFault::Connect(detail) => Error::Connect { at, detail },
                SendFault::Timeout => Error::Timeout { at },
                SendFault::Broken(detail) => Error::Broken { at, detail },
                SendFault::TooLarge(limit) => Error::TooLarge { at, limit, unit: "bytes" },
                SendFault::Unsendable(detail) => Error::Setup {
                    connection: at.connection,
                    detail,
                    setting: "base_url and the secret files",
                },
            };
            Unanswered { error, status }
        })
    }

    /// Counts an exchange and takes over what its answer told about the API's limit.
    pub(crate) fn count_exchange(
        &self,
        api: Api,
        at: &At,
        started: Instant,
        answer: Option<&Answer>,
    ) {
        let [id, operation] = [at.connection.as_str(), at.operation];
        let metrics = &self.metrics;
        let seconds = started.elapsed().as_secs_f64();
        metrics.api_request_duration.with_label_values(&[id, operation]).observe(seconds);
        let code = answer.map_or_else(|| "error".to_owned(), |answer| answer.status.to_string());
        metrics.api_requests.with_label_values(&[id, operation, &code]).inc();
        if let Some((limit, remaining)) = answer.and_then(|answer| answer.limit) {
            self.quota.learn(api, limit, remaining);
            metrics.api_rate_limit_limit.with_label_values(&[id]).set(f64::from(limit));
            metrics.api_rate_limit_remaining.with_label_values(&[id]).set(f64::from(remaining));
        }
    }

    /// Tells the quota when the API wants a rest.
    fn note(&self, access: &Access, error: &Error) {
        let wait = match error {
            Error::RateLimited { after, .. } | Error::Server { after: Some(after), .. } => *after,
            _ => Duration::ZERO,
        };
        if !wait.is_zero() {
            self.quota.block(access.api, retry::with_jitter(wait, retry::random()));
        }
    }

    async fn refuse(&self, access: &Access, at: &At, error: Error, counts: bool) -> Error {
        self.count_auth("error");
        access.refuse(at, error, counts).await
    }

    pub(crate) fn at(&self, operation: Operation) -> At {
        At { connection: self.connection.id.clone(), operation: operation.name() }
    }

    pub(crate) fn access(&self, api: Api, at: &At) -> Result<&Arc<Access>, Error> {
        self.accesses
            .iter()
            .find(|access| access.api == api)
            .ok_or_else(|| Error::NotConfigured { at: at.clone(), section: api.name() })
    }

    fn count_retry(&self, at: &At, reason: &str) {
        let labels = [at.connection.as_str(), at.operation, reason];
        self.metrics.api_retries.with_label_values(&labels).inc();
    }

    fn count_auth(&self, outcome: &str) {
        let labels = [self.connection.id.as_str(), outcome];
        self.metrics.api_auth_attempts.with_label_values(&labels).inc();
    }

    fn note_reload(&self, api: Api) {
        self.metrics.config_read(Utc::now());
        log_event!(Event::SecretChanged, connection = %self.connection.id, %api, "other secrets stand in the files, they are used from now on");
    }

    /// The gauge has no label for the API, so it tells the token that ends first.
    fn show_expiry(&self) {
        let ends = self.accesses.iter().filter_map(|access| access.ends_epoch()).min();
        if let Some(ends) = ends {
            let gauge = &self.metrics.api_token_expiry;
            gauge.with_label_values(&[self.connection.id.as_str()]).set(ends as f64);
        }
    }
}

/// Takes the token of an answer into use, or says what it means that there is none.
fn take_token(access: &Access, asked: Asked<'_>, answer: &Answer) -> Result<Token, NoToken> {
    let granted = verdict::check_answer(asked, answer).and_then(|_| {
        let explain = |fault| verdict::explain_fault(asked, answer, fault);
        super::envelope::check_token_envelope(&answer.body).map_err(explain)?;
        let taken = access.accept(&answer.body, answer.at.timestamp());
        taken.map_err(|detail| explain(Fault::Protocol(detail)))
    });
    granted.map_err(|error| token::of_answer(access.api, asked, answer, error))
}

/// Reads an answer, or says what it means that it cannot be read.
fn judge<T: Default>(
    asked: Asked<'_>,
    answer: Answer,
    read: impl Fn(&str) -> Result<T, Fault>,
) -> Result<(Answer, T), Error> {
    match verdict::check_answer(asked, &answer)? {
        Verdict::Empty => {
            let value = read(&answer.body).unwrap_or_default();
            Ok((answer, value))
        }
        Verdict::Read => match read(&answer.body) {
            Ok(value) => Ok((answer, value)),
            Err(fault) => Err(verdict::explain_fault(asked, &answer, fault)),
        },
    }
}

/// Whether a refusal concerns the whole API rather than one of its endpoints.
fn holds(error: &Error) -> bool {
    match error {
        Error::IpRefused { .. }
        | Error::LockedOut { .. }
        | Error::KeyLocked { .. }
        | Error::TokenRefused { .. } => true,
        Error::Redirected { location, .. } => location.contains("login"),
        _ => false,
    }
}
