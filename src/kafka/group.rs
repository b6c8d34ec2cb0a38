//! Membership in a group that places work on the replicas: the partitions of the assignment topic
//! are the places.
//!
//! The group only places. It never fences: that is a transactional id's job.

use std::{
    collections::BTreeSet,
    thread,
    time::{Duration, Instant},
};

use rdkafka::{
    consumer::{BaseConsumer, Consumer},
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
    patience::{Refusals, Trouble},
    seat::Seat,
    settings::{Role, client_config},
    topics::{self, is_refusal},
};

const POLL: Duration = Duration::from_millis(200);
const RETRY_PAUSE: Duration = Duration::from_secs(2);
/// How long a member without places waits for the end of a rebalance before it leaves.
const SETTLE: Duration = Duration::from_secs(3);
const SETTLE_CALL: Duration = Duration::from_secs(1);
/// A coordinator that this client has not reached for so long may be one that it cannot reach: TLS
/// files are read once by each client, and an authority or a certificate that was replaced since
/// looks like brokers that are down. Longer than a broker's restart, for a new client begins anew
/// with all that.
const UNREACHED_MAX: Duration = Duration::from_secs(120);
/// The same for one that was kept out of the group: while the right is missing a new client changes
/// nothing, but whether this one still gets to the brokers is not known.
const KEPT_OUT_MAX: Duration = Duration::from_secs(15 * 60);
const SESSION: &str = "session.timeout.ms";

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
    fn lost(&mut self, ended: &Ended);
}

/// Why a membership ended that is begun anew, with a client that reads all files of
/// `kafka.properties` again.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// What a call said.
    #[error(transparent)]
    Failed(#[from] KafkaError),
    /// The client has not got to the group's coordinator.
    #[error(
        "the group's coordinator was not reached for {for_s} s, or did not let this member in ({said}): the \
         next client reads certificates and passwords again"
    )]
    Unreached {
        /// For how many seconds.
        for_s: u64,
        /// What the client said last.
        said: String,
    },
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

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Group").field("topic", &self.topic).finish_non_exhaustive()
    }
}

/// Stays in the group until `stop` turns true, joining again whenever the membership is lost. Blocks.
pub fn stay(kafka: &Kafka, name: &str, stop: &watch::Receiver<bool>, member: &mut impl Member) {
    stay_with(unreached_max(kafka), kafka, name, stop, member);
}

/// Longer than the session that somebody has set: until its end a member that leaves unheard keeps its
/// places from the others, and from the client that follows it.
fn unreached_max(kafka: &Kafka) -> Duration {
    let set = [&kafka.consumer_properties, &kafka.properties]
        .into_iter()
        .find_map(|properties| properties.get(SESSION).and_then(|value| value.parse().ok()));
    UNREACHED_MAX.max(Duration::from_millis(set.unwrap_or_default()) * 2)
}

fn stay_with(
    unreached_max: Duration,
    kafka: &Kafka,
    name: &str,
    stop: &watch::Receiver<bool>,
    member: &mut impl Member,
) {
    while !*stop.borrow() {
        // Made anew each time: the client reads its password and its certificates only once.
        pulse::step("joining the group");
        let ended = Group::join(kafka, name)
            .map_err(Ended::from)
            .and_then(|group| group.run(unreached_max, stop, member));
        if let Err(ended) = ended {
            pulse::step("waiting to join the group again");
            member.lost(&ended);
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
        self.seat.is_joined()
    }

    /// Whether the group's coordinator took part when it was looked at last, some seconds ago.
    pub fn is_reached(&self) -> bool {
        self.seat.is_reached()
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
        unreached_max: Duration,
        stop: &watch::Receiver<bool>,
        member: &mut impl Member,
    ) -> Result<(), Ended> {
        let mut refusals = Refusals::default();
        let mut unreached = Trouble::bearable_for(unreached_max);
        let mut kept_out = Trouble::bearable_for(KEPT_OUT_MAX.max(unreached_max));
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
                    return Err(error.into());
                }
            }
            self.bear(&mut unreached, &mut kept_out)?;
            if was_joined && !self.is_joined() {
                log_event!(
                    Event::GroupLost,
                    group = self.name,
                    "the group has lost this replica, whose work may be another's now: it joins again as soon as it reaches the group's coordinator, which it tries with new clients too"
                );
            }
            member.turn(&self, &self.places()?)?;
        }
        pulse::step("leaving the group");
        member.leave(&self);
        self.part();
        Ok(())
    }

    /// Ends a membership whose client has not reached the coordinator for too long.
    fn bear(&self, unreached: &mut Trouble, kept_out: &mut Trouble) -> Result<(), Ended> {
        // One that the brokers keep out did reach them, and a new client has no other rights.
        let (borne, other) = match self.kept_out {
            Some(_) => (kept_out, unreached),
            None => (unreached, kept_out),
        };
        other.end();
        if self.is_reached() {
            borne.end();
        } else if borne.is_lasting(Instant::now()) {
            let for_s = borne.max().as_secs();
            let said = self.seat.trouble().unwrap_or_else(|| "nobody said why".to_owned());
            return Err(Ended::Unreached { for_s, said });
        }
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

#[cfg(test)]
#[path = "group_tests.rs"]
mod tests;
