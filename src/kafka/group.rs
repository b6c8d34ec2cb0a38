//! Membership in a group that places work on the replicas: the partitions of the assignment topic
//! are the places.
//!
//! The group only places. It never fences: that is a transactional id's job.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientContext,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance},
    error::KafkaError,
    types::RDKafkaErrorCode,
};
use tokio::sync::watch;

use crate::{
    config::model::Kafka,
    log_event,
    telemetry::{events::Event, pulse},
};

use super::{
    context::Logging,
    settings::{Role, client_config},
    topics::{self, is_refusal},
};

const POLL: Duration = Duration::from_millis(200);
const RETRY_PAUSE: Duration = Duration::from_secs(2);
/// How long a member without places waits for the end of a rebalance before it leaves.
const SETTLE: Duration = Duration::from_secs(3);
const SETTLE_CALL: Duration = Duration::from_secs(1);
/// A login that is refused for so long is not a broker's restart: its password has changed.
const REFUSED_MAX: Duration = Duration::from_secs(20);
/// Refusals further apart than this are two stories. librdkafka tells the same one every 30 s.
const REFUSED_APART: Duration = Duration::from_secs(70);

/// What a member does with what the group gives it. Every call may block for a moment, but not
/// longer than a session lasts; the watchdog sees one that does, where the thread is followed.
pub trait Member {
    /// After every poll: these places are this replica's now.
    ///
    /// # Errors
    /// Whatever ends the membership; it is begun anew.
    fn turn(&mut self, group: &Group, places: &BTreeSet<i32>) -> Result<(), KafkaError>;
    /// The last words before the group is left in order.
    fn leave(&mut self, group: &Group);
    /// The membership was lost, and every place with it.
    fn lost(&mut self, error: &KafkaError);
}

/// A membership that runs.
pub struct Group {
    /// For offsets and metadata; polled here alone.
    pub consumer: BaseConsumer<Seat>,
    /// The assignment topic.
    pub topic: String,
    name: String,
    seat: Seat,
    /// Why the brokers keep this user out of the group, where they do.
    kept_out: Option<String>,
}

/// Whether the group counts on this member, as librdkafka's rebalances tell.
///
/// A member whose coordinator is away for a session loses its places while other brokers still
/// answer: without this one it would look like a member that the group needs for nothing. One that
/// has no places is told nothing when it is lost, and still counts.
#[derive(Debug, Clone, Default)]
pub struct Seat(Arc<AtomicBool>);

impl ClientContext for Seat {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        Logging.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        Logging.error(error, reason);
    }
}

impl ConsumerContext for Seat {
    // Before, for giving the places back takes the mark of their loss away.
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            // Be there none: whoever joined is told.
            Rebalance::Assign(_) => self.0.store(true, Ordering::Release),
            Rebalance::Revoke(_) if !consumer.assignment_lost() => {}
            Rebalance::Revoke(_) | Rebalance::Error(_) => self.0.store(false, Ordering::Release),
        }
    }
}

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Group").field("topic", &self.topic).finish_non_exhaustive()
    }
}

/// Stays in the group until `stop` turns true, joining again whenever the membership is lost. Blocks.
pub fn stay(kafka: &Kafka, name: &str, stop: &watch::Receiver<bool>, member: &mut impl Member) {
    while !*stop.borrow() {
        // Made anew each time: the client reads its password only once.
        pulse::step("joining the group");
        let ended = Group::join(kafka, name).and_then(|group| group.run(stop, member));
        if let Err(error) = ended {
            pulse::step("waiting to join the group again");
            member.lost(&error);
            thread::sleep(RETRY_PAUSE);
        }
    }
}

impl Group {
    fn join(kafka: &Kafka, name: &str) -> Result<Self, KafkaError> {
        let role = Role::GroupMember { group: name.to_owned() };
        let seat = Seat::default();
        let consumer: BaseConsumer<Seat> =
            client_config(kafka, &role)?.create_with_context(seat.clone())?;
        let topic = kafka.topic(topics::ASSIGNMENT);
        consumer.subscribe(&[&topic])?;
        Ok(Self { consumer, topic, name: name.to_owned(), seat, kept_out: None })
    }

    /// Whether the group counts on this member: it has joined, and has not been lost since.
    pub fn is_joined(&self) -> bool {
        self.seat.0.load(Ordering::Acquire)
    }

    /// Why the brokers keep this user out of the group, where they do.
    pub fn kept_out(&self) -> Option<&str> {
        self.kept_out.as_deref()
    }

    /// A right on the group that is missing: librdkafka tells it once, and asks again by itself until
    /// somebody grants it.
    fn note_right(&mut self, error: Option<&KafkaError>) {
        if self.is_joined() {
            self.kept_out = None;
        }
        let Some(error) = error.filter(|error| is_about_group(error)) else { return };
        if self.kept_out.is_some() {
            return;
        }
        let why = without_right(&self.name);
        log_event!(Event::KafkaRefused, group = self.name, %error, "{why}");
        self.kept_out = Some(why);
    }

    fn run(
        mut self,
        stop: &watch::Receiver<bool>,
        member: &mut impl Member,
    ) -> Result<(), KafkaError> {
        let mut refusals = Refusals::default();
        while !*stop.borrow() {
            // Rebalances happen inside poll(); what they left is read off the assignment.
            pulse::step("polling the group");
            let was_joined = self.is_joined();
            let failed = self.consumer.poll(POLL).and_then(Result::err);
            self.note_right(failed.as_ref());
            if let Some(error) = failed {
                tracing::debug!(%error, group = ?self, "group poll");
                // A client that is made anew has no other rights, only perhaps another password.
                let refused = error.rdkafka_error_code().is_some_and(is_refusal);
                if refused && !is_about_group(&error) && refusals.are_lasting(Instant::now()) {
                    return Err(error);
                }
            }
            if was_joined && !self.is_joined() {
                log_event!(
                    Event::GroupLost,
                    group = self.name,
                    "the group has lost this replica, whose work may be another's now: it joins again as soon as the group's coordinator answers"
                );
            }
            member.turn(&self, &self.places()?)?;
        }
        pulse::step("leaving the group");
        member.leave(&self);
        self.part();
        Ok(())
    }

    /// Leaves, so that the next owner need not wait for the session to time out. Bounded by
    /// [`SETTLE`], and by the 5 s that the client waits for the broker's word.
    ///
    /// A member with places leaves when it is closed: the drop gives them back first. Unsubscribing
    /// before would lose that, for librdkafka 2.12 forgets to leave where it is closed while the
    /// unassignment of an unsubscribe is under way. It also forgets where a member without places is
    /// closed in the middle of a rebalance, so such a one waits for the end of it and unsubscribes.
    fn part(self) {
        let has_none = || self.places().is_ok_and(|places| places.is_empty());
        let since = Instant::now();
        while has_none() {
            self.consumer.poll(POLL);
            if self.is_settled() || since.elapsed() >= SETTLE {
                break;
            }
        }
        if has_none() {
            self.consumer.unsubscribe();
        }
        drop(self);
    }

    /// Whether no rebalance is under way; nor is there one to wait for where nobody can tell.
    fn is_settled(&self) -> bool {
        let Ok(found) = self.consumer.fetch_group_list(Some(&self.name), SETTLE_CALL) else {
            return true;
        };
        let is_moving = |state: &str| matches!(state, "PreparingRebalance" | "CompletingRebalance");
        !found.groups().iter().any(|group| is_moving(group.state()))
    }

    fn places(&self) -> Result<BTreeSet<i32>, KafkaError> {
        let assignment = self.consumer.assignment()?;
        let places = assignment.elements_for_topic(&self.topic);
        Ok(places.iter().map(|element| element.partition()).collect())
    }
}

fn is_about_group(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::GroupAuthorizationFailed)
}

/// What readiness and the log say of it.
fn without_right(group: &str) -> String {
    format!(
        "the user of kafka.properties may not use the consumer group {group}: grant it Read on the \
         group; it joins then by itself"
    )
}

/// Refused logins of one client: one may be a broker's mistake, and another broker goes on.
#[derive(Debug, Default)]
struct Refusals {
    /// The first and the newest of those that belong together.
    span: Option<(Instant, Instant)>,
}

impl Refusals {
    /// Notes one more; whether they have gone on for too long.
    fn are_lasting(&mut self, now: Instant) -> bool {
        let first = match self.span {
            Some((first, newest)) if now.duration_since(newest) < REFUSED_APART => first,
            _ => now,
        };
        self.span = Some((first, now));
        now.duration_since(first) >= REFUSED_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group() -> Group {
        let kafka = crate::config::parse("c", CONFIG, std::iter::empty()).unwrap().config.kafka;
        Group::join(&kafka, "finance").unwrap()
    }

    const CONFIG: &str = "connections: [{id: a, bank_pos: {app_key_file: a, app_secret_file: b}}]\nkafka: {bootstrap_servers: \"127.0.0.1:1\"}\n";

    #[test]
    fn a_right_that_is_missing_is_known_until_the_group_is_joined() {
        let mut group = group();
        let other = KafkaError::MessageConsumption(RDKafkaErrorCode::AllBrokersDown);
        group.note_right(Some(&other));
        assert_eq!(group.kept_out(), None);
        let refused = KafkaError::MessageConsumption(RDKafkaErrorCode::GroupAuthorizationFailed);
        group.note_right(Some(&refused));
        assert!(group.kept_out().is_some_and(|why| why.contains("group finance")));
        group.note_right(None);
        assert!(group.kept_out().is_some(), "librdkafka says it once");
        group.seat.0.store(true, Ordering::Release);
        group.note_right(None);
        assert_eq!(group.kept_out(), None);
    }

    #[test]
    fn refusals_last_when_they_follow_each_other_for_long_enough() {
        let born = Instant::now();
        let at = |seconds| born + Duration::from_secs(seconds);
        let mut refusals = Refusals::default();
        assert!(!refusals.are_lasting(at(0)) && !refusals.are_lasting(at(5)));
        assert!(refusals.are_lasting(at(35)), "told every 30 s");
        let mut rare = Refusals::default();
        assert!(
            !rare.are_lasting(at(0)) && !rare.are_lasting(at(100)) && !rare.are_lasting(at(200))
        );
        assert!(rare.are_lasting(at(230)));
    }
}
