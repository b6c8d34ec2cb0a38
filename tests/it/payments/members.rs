//! What the group of the sinks is told to remember, by whom.

use std::thread::JoinHandle;

use rdkafka::{
    ClientConfig, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
};
use tokio::sync::watch;
use vomsis_connect::{
    kafka::settings::sink_group,
    sink::ownership::{self, Change, Member, Progress, Taken},
    state::note::Note,
};

use super::stage::{PARTITIONS, Stage};
use crate::harness::{
    topics::create_topic,
    wait::{GENEROUS, wait_for, wait_until},
};

/// A replica's place in the group.
struct Replica {
    member: Member,
    leave: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl Replica {
    fn join(stage: &Stage) -> Self {
        let (leave, leaving) = watch::channel(false);
        let (member, thread) = ownership::join(stage.kafka(), leaving).unwrap();
        Self { member, leave, thread }
    }

    /// Waits until this one is the owner.
    #[track_caller]
    fn gain(&mut self) -> Vec<Taken> {
        wait_for("the replica becomes the owner", GENEROUS, || {
            match self.member.changes.try_recv() {
                Ok(Change::Gained(taken)) => Some(taken),
                Ok(Change::Lost | Change::Widened) | Err(_) => None,
            }
        })
    }

    /// Says how far a partition is taken.
    fn tell(&self, partition: i32, next: i64) {
        let note = Note { identity: "i".to_owned(), end: next };
        self.member.progress.send(Progress { partition, next, note }).unwrap();
    }

    fn leave(self) {
        self.leave.send_replace(true);
        self.thread.join().unwrap();
    }
}

/// What the group remembers of a partition.
fn committed(stage: &Stage, partition: i32) -> Option<i64> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", stage.brokers())
        .set("group.id", sink_group(&stage.kafka()))
        .create()
        .unwrap();
    let mut asked = TopicPartitionList::new();
    asked.add_partition(&stage.topic("payment.commands"), partition);
    let found = consumer.committed_offsets(asked, GENEROUS).unwrap();
    found.elements()[0].offset().to_raw().filter(|offset| *offset >= 0)
}

#[test]
fn what_a_former_owner_still_tells_is_not_remembered_when_it_is_the_owner_again() {
    let stage = Stage::new("pay-members");
    create_topic(stage.brokers(), &stage.topic("internal.assignment"), PARTITIONS, &[]);
    let mut owner = Replica::join(&stage);
    owner.gain();
    owner.tell(0, 7);
    wait_until("the owner's word counts", GENEROUS, || committed(&stage, 0) == Some(7));
    // Two places and two members: each has one, and this one's is not the owner's.
    let mut former = Replica::join(&stage);
    former.tell(0, 3);
    owner.leave();
    let taken = former.gain();
    assert_eq!(taken[0].next, Some(7), "as the owner before left it: {taken:?}");
    // Whatever is pending is remembered together.
    former.tell(1, 1);
    wait_until("the new owner's word counts", GENEROUS, || committed(&stage, 1) == Some(1));
    assert_eq!(committed(&stage, 0), Some(7), "the older word came after the newer one");
    former.leave();
}
