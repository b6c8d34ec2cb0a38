//! People's words: the kill switch and decisions about parked commands.
//!
//! They arrive as records of the journal, written by the command line or the admin listener, so
//! they survive restarts and reach whichever replica is the owner. The kill switch also has a file
//! in the state folder, which holds at once and by itself; see `stop_file`. The same reader sees when another
//! owner or another deployment writes the journal, and that permissions stand in it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
};
use tokio::{sync::mpsc, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    config::model::Kafka,
    kafka::{
        context::Logging,
        settings::{Role, client_config},
        topics,
    },
    log_event,
    telemetry::{events::Event, pulse},
};

use super::{
    brakes::StopSource,
    command::CommandKey,
    decisions::Decisions,
    desk::{Desk, Failure, announce, now},
    intake::is_lasting,
    journal::{
        JournalEvent, Status,
        codec::{self, JournalKey, Record},
        records::{Finding, Resolve, Stop},
    },
    stop_file::{INTERVAL, STOP_FILE, heard},
    tally::Phase,
    text::clean,
    witness::Witness,
};

const POLL: Duration = Duration::from_millis(200);

/// What the journal's follower hands on; after a failure nothing more comes.
pub type Heard = Result<Record, Failure>;

/// Reads the journal from where the restore stopped reading, on a thread of its own; hands on what is about
/// more than one command, and what people wrote. What it cannot read or understand is a failure: it
/// may be the kill switch, and an owner that is deaf to it must not go on. The witness is told of every
/// record.
///
/// # Errors
/// Where the journal cannot be read.
pub fn follow(
    kafka: &Kafka,
    read_to: impl IntoIterator<Item = (i32, i64)>,
    witness: Arc<Witness>,
    stop: CancellationToken,
) -> Result<mpsc::UnboundedReceiver<Heard>, KafkaError> {
    let topic = kafka.topic(topics::JOURNAL);
    let config = client_config(kafka, &Role::StateReader)?;
    let consumer: BaseConsumer<Logging> = config.create_with_context(Logging)?;
    let mut assignment = TopicPartitionList::new();
    for (partition, offset) in read_to {
        assignment.add_partition_offset(&topic, partition, Offset::Offset(offset))?;
    }
    consumer.assign(&assignment)?;
    let (records, received) = mpsc::unbounded_channel();
    let reader = thread::Builder::new().name("sink-operator".into()).spawn(move || {
        let _followed = pulse::follow("sink-operator", None);
        listen(&consumer, &witness, &records, &stop);
        witness.leave();
    });
    match reader {
        Ok(_) => Ok(received),
        Err(error) => Err(KafkaError::ClientCreation(error.to_string())),
    }
}

/// Until `stop`, nobody wants to hear more, or something cannot be heard.
fn listen(
    consumer: &BaseConsumer<Logging>,
    witness: &Witness,
    records: &mpsc::UnboundedSender<Heard>,
    stop: &CancellationToken,
) {
    while !stop.is_cancelled() {
        pulse::step("following the journal");
        let heard = match consumer.poll(POLL) {
            Some(Ok(message)) => {
                let (key, value) = (message.key().unwrap_or_default(), message.payload());
                witness.saw(key, value);
                read(key, value)
            }
            Some(Err(error)) => missed(&error),
            None => Ok(None),
        };
        let Some(heard) = heard.transpose() else { continue };
        let is_deaf = heard.is_err();
        if records.send(heard).is_err() || is_deaf {
            return;
        }
    }
}

/// What a record says; nothing where it is one command's story, which this owner wrote itself.
fn read(key: &[u8], value: Option<&[u8]>) -> Result<Option<Record>, Failure> {
    let key = match (std::str::from_utf8(key), value) {
        (Ok(key), _) => key,
        (Err(_), None) => return Ok(None),
        (Err(_), Some(_)) => return Err(codec::no_text(key).into()),
    };
    match (JournalKey::parse(key)?, value) {
        (JournalKey::Command(_), _) | (_, None) => Ok(None),
        (_, Some(value)) => Ok(Some(codec::decode(key, value)?)),
    }
}

/// Brokers that go away come back, and librdkafka goes on where it was; the rest stays as it is.
fn missed(error: &KafkaError) -> Result<Option<Record>, Failure> {
    if is_lasting(error) {
        return Err(Failure::Deaf(error.to_string()));
    }
    tracing::debug!(%error, "following the journal");
    Ok(None)
}

/// The kill switch was looked at: without this, no command is handed out.
#[derive(Debug)]
pub struct SwitchSeen {
    /// What its file said.
    said: Option<String>,
}

/// Does what people say until the ownership ends.
#[derive(Debug)]
pub struct Operator {
    /// The open commands.
    pub desk: Arc<Desk>,
    /// What transactional ids of this deployment begin with.
    pub deployment: String,
}

impl Operator {
    /// Runs until the ownership ends.
    ///
    /// # Errors
    /// Where somebody else writes the journal, it is lost, or what is written cannot be heard.
    pub async fn run(
        self: Arc<Self>,
        decisions: Decisions,
        mut records: mpsc::UnboundedReceiver<Heard>,
    ) -> Result<(), Failure> {
        let stop = self.desk.fixed.stop.clone();
        // Written while nobody was the owner. The first about a command counts, as it would have if
        // somebody had heard it; the others are told.
        for (key, said) in decisions.into_each().filter(|(key, _)| self.is_parked(key)) {
            for decision in said {
                self.resolve(&key, decision).await?;
            }
        }
        loop {
            let record = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                record = records.recv() => record,
            };
            match record {
                Some(heard) => self.hear(heard?).await?,
                None => return Ok(()),
            }
        }
    }

    /// One record: a word of a person, or a sign of somebody else.
    async fn hear(&self, record: Record) -> Result<(), Failure> {
        match record {
            Record::Stop(stop) => self.stop(Some(&stop)),
            Record::Resolve(key, decision) => self.resolve(&key, decision).await?,
            Record::Identity(identity) if identity.transactional_prefix != self.deployment => {
                return Err(Failure::Ousted(format!(
                    "the deployment {:?} writes this journal too, this one is {:?}: one command \
                     topic belongs to one deployment",
                    identity.transactional_prefix, self.deployment
                )));
            }
            Record::Owner(owner) if owner.epoch > self.desk.fixed.epoch => {
                return Err(Failure::Ousted(format!(
                    "owner {} has taken over from owner {}",
                    owner.epoch, self.desk.fixed.epoch
                )));
            }
            Record::Identity(_) | Record::Owner(_) | Record::Command(_) => {}
        }
        Ok(())
    }

    /// The kill switch as its record says.
    pub fn stop(&self, stop: Option<&Stop>) {
        let why = stop
            .filter(|stop| stop.stopped)
            .map(|Stop { actor, at, reason, .. }| {
                format!("{actor} at {}: {reason}", at.to_rfc3339())
            })
            .map(|why| clean(&why));
        self.switch(StopSource::Record, why);
    }

    /// A person's decision; it counts for a parked command only.
    ///
    /// # Errors
    /// Where the journal is lost.
    pub async fn resolve(&self, key: &CommandKey, decision: Resolve) -> Result<(), Failure> {
        let Some(entry) = self.desk.entry(key).filter(|_| self.is_parked(key)) else {
            log_event!(
                Event::DecisionIgnored,
                connection = %key.shown_connection(),
                reference = %key.shown_reference(),
                command = %key.command_id,
                executed = decision.outcome == Finding::Executed,
                "a decision about a command that is not parked has no effect: what was decided before \
                 it, or has come to its end by itself, stands"
            );
            return Ok(());
        };
        let Resolve { outcome, evidence, actor, .. } = decision;
        let executed = match outcome {
            Finding::Executed => true,
            Finding::NotExecuted => false,
        };
        let event = JournalEvent::Resolved { at: now(), executed, actor, evidence };
        announce(&self.desk.record(&entry, event).await?);
        Ok(())
    }

    fn is_parked(&self, key: &CommandKey) -> bool {
        self.desk.entry(key).is_some_and(|entry| *entry.status() == Status::Parked)
    }

    /// Looks at both hands of the kill switch, before any command gets its turn: a switch that was
    /// on stays on.
    pub fn look_at_switch(&self, record: Option<&Stop>, folder: &Path) -> SwitchSeen {
        self.stop(record);
        let file = folder.join(STOP_FILE);
        let said = heard(&file, std::fs::read_to_string(&file));
        if said.is_some() {
            self.switch(StopSource::File, said.clone());
        }
        SwitchSeen { said }
    }

    /// Watches the kill switch's file until the ownership ends.
    pub async fn watch_file(self: Arc<Self>, folder: PathBuf, seen: SwitchSeen) {
        let SwitchSeen { mut said } = seen;
        let (file, stop) = (folder.join(STOP_FILE), self.desk.fixed.stop.clone());
        while !stop.is_cancelled() {
            let says = heard(&file, tokio::fs::read_to_string(&file).await);
            if says != said {
                said.clone_from(&says);
                self.switch(StopSource::File, says);
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = sleep(INTERVAL) => {}
            }
        }
    }

    fn switch(&self, by: StopSource, why: Option<String>) {
        let stopped =
            || self.desk.with_brakes(|brakes| brakes.stopped().map(|(_, why)| why.to_owned()));
        let was = stopped().is_some();
        self.desk.set_stop(by, why);
        let now = stopped();
        let phase = if now.is_some() { Phase::Halted } else { Phase::Owned };
        self.desk.fixed.tally.enter(phase, now.clone());
        match (was, now) {
            (_, Some(why)) => {
                log_event!(Event::PaymentsHalted, why, "no payment command is executed")
            }
            (true, None) => {
                log_event!(Event::PaymentsResumed, "payment commands are executed again")
            }
            (false, None) => {}
        }
    }
}

#[cfg(test)]
#[path = "operator_tests.rs"]
pub(super) mod tests;
