//! One turn of one command: from where it stands to where it must wait or is finished.
//!
//! The order is the guarantee. Token and quota are there before the intent; the intent is committed, and
//! was seen by a reader of what is, before the request leaves; the request leaves before its deadline on
//! both clocks, once, and not where a brake took hold meanwhile; what became of it is committed with its
//! result. A commit that is not confirmed ends the turn and the ownership: nothing that depends on it is
//! done.

use std::sync::Arc;

use tokio::time::{Duration, Instant, timeout, timeout_at};

use crate::{
    api::{self, Client, Looked, Order as Request, Purpose, Ready, SendWindow, Sent, Wanted},
    domain::{payment::Change, time::Timestamp},
    failpoints::{self, Point},
    log_event, mapping,
    telemetry::events::Event,
};

use super::{
    answer::{Ending, read_ending},
    brakes::Brake,
    command::{CommandKey, Kind, Order},
    desk::{Desk, Failure, announce, now},
    doubt::refunded,
    journal::{Entry, JournalEvent},
    look::{Decision, LOOK_AGE_MAX_MS, Look, answer_doubt, asked_at, intend},
    plan::{Failures, Pause, Situation, Step, between, later},
    rivals::look_of,
    witness::Seen,
};

/// How a turn ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// The command is finished, or a person's turn.
    Finished,
    /// It waits; its lane with it.
    Paused {
        /// Until when at the latest.
        until: Option<Timestamp>,
        /// Why.
        why: Pause,
    },
    /// The ownership ends; the next owner goes on.
    Stopped,
}

/// Carries a command as far as it goes now; also returns how often its payment could not be
/// looked at since it last moved.
///
/// # Errors
/// Where the journal is lost, or this program is mistaken; the ownership must end.
pub async fn carry(
    desk: &Arc<Desk>,
    key: &CommandKey,
    mut failures: Failures,
) -> Result<(Ended, Failures), Failure> {
    loop {
        let Some(entry) = desk.entry(key) else { return Ok((Ended::Finished, Failures::NONE)) };
        if desk.fixed.stop.is_cancelled() {
            return Ok((Ended::Stopped, failures));
        }
        let moved = match desk.next_step(&entry, failures, now()) {
            Step::Record(event) => Some(record(desk, &entry, event).await?),
            Step::Execute => execute(desk, &entry).await?,
            Step::Ask => ask(desk, &entry).await?,
            Step::Wait { until, why } => return Ok((Ended::Paused { until, why }, failures)),
            Step::Sending => return Err(Failure::Unfinished { key: key.clone() }),
            Step::Nothing => return Ok((Ended::Finished, Failures::NONE)),
        };
        failures = if moved.is_some() { Failures::NONE } else { failures.and_at(now()) };
    }
}

/// Writes that a command's time is over, without a turn: nothing of it is on its way.
///
/// # Errors
/// As [`carry`].
pub async fn expire(desk: &Desk, entry: &Entry, event: JournalEvent) -> Result<(), Failure> {
    record(desk, entry, event).await.map(drop)
}

async fn record(desk: &Desk, entry: &Entry, event: JournalEvent) -> Result<Entry, Failure> {
    let after = desk.record(entry, event).await?;
    announce(&after);
    Ok(after)
}

/// Looks at the payment and sends, or says why not. Nothing: the look failed, or the ownership
/// ends; the command has not moved and its amount is free again.
async fn execute(desk: &Arc<Desk>, entry: &Entry) -> Result<Option<Entry>, Failure> {
    let outcome = prepare_and_send(desk, entry).await;
    if !matches!(outcome, Ok(Some(_))) {
        desk.release(entry.key());
    }
    outcome
}

async fn prepare_and_send(desk: &Arc<Desk>, entry: &Entry) -> Result<Option<Entry>, Failure> {
    let key = entry.key();
    let (Some(order), Some(client)) = (entry.order(), client(desk, key)) else {
        return Ok(Some(record(desk, entry, unconfigured(key)).await?));
    };
    let looking = look_at(client, (Purpose::Payment, wanted_before(order)), key);
    let (look, stamp, asked) = match unless_stopped(desk, timeout(time_left(order), looking)).await
    {
        None => return Ok(None),
        Some(Ok(Ok(seen))) => seen,
        // An API that does not answer keeps nobody waiting for longer than they have patience.
        Some(Err(_expired)) => return instead(desk, entry, Step::Nothing).await,
        // Whatever the API says of a question, it says nothing of the payment: that there is none is
        // no error. The command waits.
        Some(Ok(Err(error))) => {
            unreadable(key, &error);
            return Ok(None);
        }
    };
    failpoints::reach(Point::PaymentLooked);
    let decide = |now| {
        let (epoch, held) = (desk.fixed.epoch, desk.held(key));
        desk.with_brakes(|brakes| {
            let situation = Situation { epoch, brakes, failures: Failures::NONE, held };
            let looked_at = asked_at(now, stamp, asked.elapsed());
            intend(entry, now, (&look, looked_at), &situation, &desk.fixed.policy)
        })
    };
    // What needs no request takes no place from those that wait for one.
    if let Decision::Instead(step) = decide(now()) {
        return instead(desk, entry, step).await;
    }
    // A place that comes too late for the look is left to the next one instead of being thrown away.
    // No longer than that whatever a clock that is set says.
    let age_max = Duration::from_millis(LOOK_AGE_MAX_MS.unsigned_abs());
    let patience = between(now(), later(stamp, LOOK_AGE_MAX_MS))
        .min(age_max.saturating_sub(asked.elapsed()))
        .min(time_left(order));
    let ready = match unless_stopped(desk, timeout(patience, client.ready_to_pay())).await {
        None => return Ok(None),
        Some(Ok(Ok(ready))) => ready,
        Some(Ok(Err(error))) => {
            unreadable(key, &error);
            return Ok(None);
        }
        Some(Err(_too_late)) => match decide(now()) {
            Decision::Instead(step) => return instead(desk, entry, step).await,
            Decision::Send { .. } => return instead(desk, entry, Step::Execute).await,
        },
    };
    // Measured before anything else, on a clock that a stopped process cannot stop.
    let (clock, now) = (Instant::now(), now());
    match decide(now) {
        // The brakes or the clock had the last word; the next round of the turn hears it again.
        Decision::Instead(step) => instead(desk, entry, step).await,
        Decision::Send { .. } if desk.fixed.stop.is_cancelled() => Ok(None),
        Decision::Send { intent, send_not_after } => {
            let deadline = clock + between(now, send_not_after);
            let until = (deadline, send_not_after);
            failpoints::reach(Point::BeforeIntent);
            let (intended, seen) = desk.permit(entry, intent).await?;
            let ended = match unusable(desk, key, seen, deadline).await {
                Some(detail) => JournalEvent::NotSent { at: self::now(), detail },
                None => send(desk, &intended, order, ready, until).await,
            };
            failpoints::reach(Point::BeforeResult);
            let after = record(desk, &intended, ended).await?;
            failpoints::reach(Point::ResultCommitted);
            Ok(Some(after))
        }
    }
}

/// What proves that nothing left by a permission: no reader of committed records has seen it in time, or
/// a brake took hold meanwhile.
async fn unusable(desk: &Desk, key: &CommandKey, seen: Seen, deadline: Instant) -> Option<String> {
    let outcome = timeout_at(deadline, seen).await;
    failpoints::reach(Point::IntentCommitted);
    match outcome {
        Ok(Ok(())) => braked(desk, key),
        // The sink is being given back, or the follower ended by a failure that ends the sink too.
        Ok(Err(_)) => Some("the journal was followed no more when the permission came".to_owned()),
        Err(_) => Some(
            "the permission was committed, but no reader of the journal had seen it before it ended: \
             its partition may be held by a transaction without an end"
                .to_owned(),
        ),
    }
}

/// What comes in the place of a request; the next round of the turn hears what is not an event again.
async fn instead(desk: &Desk, entry: &Entry, step: Step) -> Result<Option<Entry>, Failure> {
    let key = entry.key();
    if let Step::Record(event) = step {
        return Ok(Some(record(desk, entry, event).await?));
    }
    if step == Step::Execute {
        log_event!(
            Event::LookOutdated,
            connection = %key.shown_connection(),
            reference = %key.shown_reference(),
            command = %key.command_id,
            "the payment is looked at anew, its command waits"
        );
    }
    desk.release(key);
    Ok(Some(entry.clone()))
}

/// Waits for something that sends nothing; nothing where the ownership ends meanwhile.
async fn unless_stopped<T>(desk: &Desk, waited_for: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        () = desk.fixed.stop.cancelled() => None,
        done = waited_for => Some(done),
    }
}

/// What proves that nothing left: a brake took hold while the intent was written.
fn braked(desk: &Desk, key: &CommandKey) -> Option<String> {
    Some(match desk.with_brakes(|brakes| brakes.held(&key.connection))? {
        Brake::Stopped { why, .. } => {
            format!("the kill switch was turned on before the request: {why}")
        }
        Brake::TooManyDoubts { open, max } => format!(
            "another command became a doubt before the request: {open} of the connection are, at \
             most {max} may be"
        ),
        Brake::CapPending => return None,
    })
}

/// Sends once and reads what came. The future must not be dropped once it has begun.
async fn send(
    desk: &Desk,
    entry: &Entry,
    order: &Order,
    ready: Ready,
    (not_after, not_after_wall): (Instant, Timestamp),
) -> JournalEvent {
    let Some(before) = entry.intent().map(|intent| &intent.before) else {
        return JournalEvent::NotSent { at: now(), detail: "nothing allows it".to_owned() };
    };
    let change = match order.kind {
        Kind::Cancel => Change::Cancel,
        Kind::Refund { amount } => Change::Refund { amount },
    };
    let request = Request { reference_no: &entry.key().reference_no, change };
    let post_timeout = desk.fixed.policy.post_timeout_ms;
    let timeout = Duration::from_millis(u64::try_from(post_timeout).unwrap_or(0));
    let window = SendWindow { not_after, not_after_wall, timeout };
    let told = |sent| {
        failpoints::reach(Point::AnswerRead);
        let ending = match sent {
            Sent::NotSent { detail } => Ending::NotSent { detail },
            Sent::Answered { status, body, .. } => {
                Ending::Answered(mapping::payment::answer(change, status, &body))
            }
            Sent::Unknown { detail } => Ending::Unknown { detail },
        };
        let event = read_ending(ending, before, now());
        if matches!(event, JournalEvent::Doubted { .. }) {
            desk.doubt(entry.key());
        }
        event
    };
    ready.send_once(&request, window, told).await
}

/// Looks at a doubted payment. Nothing: the look failed.
async fn ask(desk: &Arc<Desk>, entry: &Entry) -> Result<Option<Entry>, Failure> {
    let key = entry.key();
    let Some(client) = client(desk, key) else {
        let detail = format!("connection {} is not configured any more", key.shown_connection());
        let parked = JournalEvent::Parked { at: now(), detail, after: None };
        return Ok(Some(record(desk, entry, parked).await?));
    };
    let asked = (Purpose::Doubt, wanted_after(entry));
    let look = match unless_stopped(desk, look_at(client, asked, key)).await {
        None => return Ok(None),
        Some(Ok((look, ..))) => look,
        Some(Err(error)) => {
            unreadable(key, &error);
            return Ok(None);
        }
    };
    failpoints::reach(Point::DoubtLooked);
    let at = (now(), desk.held(key));
    match answer_doubt(entry, at, &look, &desk.rivals(entry), &desk.fixed.policy) {
        Some(event) => Ok(Some(record(desk, entry, event).await?)),
        None => Ok(Some(entry.clone())),
    }
}

async fn look_at(
    client: &Client,
    (purpose, wanted): (Purpose, Wanted),
    key: &CommandKey,
) -> Result<(Look, Timestamp, Instant), api::Error> {
    let Looked { state, asked_at, asked } = client.look(purpose, wanted, &key.reference_no).await?;
    Ok((state.map_or(Look::NotFound, Look::Found), asked_at, asked))
}

/// How long it may still be before the command is expired.
fn time_left(order: &Order) -> Duration {
    order.expires_at.map_or(Duration::MAX, |at| between(now(), later(at, 1)))
}

/// A list that does not show the payment is no reason not to send: the sum is not known then, and a
/// doubt is not decided by it. The currency stands in the list alone.
fn wanted_before(order: &Order) -> Wanted {
    match (order.kind, &order.currency) {
        (Kind::Cancel, None) => Wanted::Status,
        (Kind::Cancel, Some(_)) | (Kind::Refund { .. }, _) => Wanted::Sum,
    }
}

/// What decides a doubt: the sum where it was known before, which the list may yet tell.
fn wanted_after(entry: &Entry) -> Wanted {
    let is_refund = entry.order().is_some_and(|order| order.kind != Kind::Cancel);
    match look_of(entry).and_then(|(_, before)| refunded(before)) {
        Some(_) if is_refund => Wanted::KnownSum,
        None if is_refund => Wanted::Sum,
        Some(_) | None => Wanted::Status,
    }
}

fn client<'d>(desk: &'d Desk, key: &CommandKey) -> Option<&'d Client> {
    desk.fixed.clients.get(&key.connection)
}

/// A command of an earlier configuration: nobody can execute it any more.
fn unconfigured(key: &CommandKey) -> JournalEvent {
    let why = format!(
        "connection {} is not configured any more, or has no virtual_pos; nothing was sent",
        key.shown_connection()
    );
    JournalEvent::Rejected { at: now(), why }
}

fn unreadable(key: &CommandKey, error: &api::Error) {
    log_event!(
        Event::PaymentUnreadable,
        connection = %key.shown_connection(),
        reference = %key.shown_reference(),
        command = %key.command_id,
        cause = error.event().code(),
        %error,
        "the payment cannot be looked at, its command waits"
    );
}

#[cfg(test)]
#[path = "turn_tests.rs"]
pub(super) mod tests;
