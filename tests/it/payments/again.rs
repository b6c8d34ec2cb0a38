//! Commands that come again: sent twice, read twice, or under an id that is taken.

use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::AdminOptions,
    consumer::{BaseConsumer, CommitMode, Consumer},
};

use serde_json::Value;
use vomsis_connect::state::note::Note;

use super::{
    DEADLINE,
    orders::Order,
    stage::{OWNED, PARTITIONS, Stage, change, end, say},
};
use crate::harness::{
    process::Home,
    registry::shared_registry,
    topics::{admin, block_on},
    wait::{GENEROUS, wait_until},
};

/// Waits until so many results of a command are visible, repeated ones and answers included.
#[track_caller]
fn wait_for_results(stage: &Stage, order: &Order, count: usize) -> Vec<String> {
    let mut feed = stage.feed();
    wait_until(&format!("{count} results of {}", order.id), DEADLINE, || {
        feed.catch_up();
        feed.outcomes(order).len() >= count
    });
    feed.outcomes(order).into_iter().map(str::to_owned).collect()
}

/// `commands show` of a command under whose id so many others came, the last of them `other`.
#[track_caller]
fn tells_of_duplicates(home: &Home, order: &Order, count: usize) {
    let said = say(home, &["commands", "show", &order.id, "-o", "json"]);
    assert_eq!(said.code, 0, "{said:?}");
    let story: Value = serde_json::from_str(&said.out).unwrap();
    let events = story["events"].as_array().unwrap();
    let of = |name: &str| events.iter().filter(|told| told["event"] == name).collect::<Vec<_>>();
    let duplicates = of("Duplicate");
    assert_eq!(duplicates.len(), count, "{story}");
    assert_eq!((of("Received").len(), of("Approved").len()), (1, 1), "{story}");
    let times: Vec<_> = events.iter().map(|told| told["at"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "in time order: {times:?}");
    let detail = &duplicates[0]["detail"];
    assert_eq!((&detail["type"], &detail["amount"]), (&"REFUND".into(), &"20.00".into()));
    assert!(detail["says"].as_str().unwrap().contains("the first one stands"), "{detail}");
    let said = say(home, &["commands", "show", &order.id]);
    assert_eq!(said.out.matches("was answered DUPLICATE").count(), count, "{said:?}");
    assert!(said.out.contains("SUCCEEDED") && said.out.contains("a REFUND of 20.00"), "{said:?}");
}

#[test]
fn a_command_that_comes_again_is_told_again_and_never_sent_again() {
    let stage = Stage::new("pay-again");
    stage.pay(&["A", "B"], "100.00");
    let home = stage.home();
    let order = Order::refund("A", 1_000);
    let other = Order { id: order.id.clone(), ..Order::refund("A", 2_000) };
    let reason = Order { reason: Some("other words".to_owned()), ..order.clone() };
    let elsewhere = Order { id: order.id.clone(), ..Order::refund("B", 1_000) };
    let bad = Order { amount: None, ..order.clone() };
    // Five in one batch: the first one is not done when the others come.
    stage.shop.send([&order, &order, &other, &reason, &bad]);
    let mut connector = home.run();
    connector.wait_for_line(OWNED, DEADLINE);
    let told = wait_for_results(&stage, &order, 4);
    let mut sorted = told.clone();
    sorted.sort();
    assert_eq!(sorted, ["DUPLICATE", "DUPLICATE", "DUPLICATE", "SUCCEEDED"], "{told:?}");
    tells_of_duplicates(&home, &order, 3);

    // And when it is done: the first three are told from its end, by a new owner too.
    stage.shop.send([&order, &other]);
    assert_eq!(wait_for_results(&stage, &order, 6)[4..], ["SUCCEEDED", "DUPLICATE"]);
    end(&mut connector);
    let mut connector = home.run();
    connector.wait_for_line(OWNED, DEADLINE);
    stage.shop.send([&order, &other]);
    assert_eq!(wait_for_results(&stage, &order, 8)[6..], ["SUCCEEDED", "DUPLICATE"]);
    tells_of_duplicates(&home, &order, 5);
    // Without them the journal's story is told all the same, and that they are not known.
    let registry = shared_registry().url();
    change(&home, registry, "http://127.0.0.1:9");
    let said = say(&home, &["commands", "show", &order.id, "-o", "json"]);
    assert!(said.code == 0 && said.err.contains("is not known"), "{said:?}");
    let story: Value = serde_json::from_str(&said.out).unwrap();
    assert!(story["duplicates_unknown"].is_string() && said.out.contains("Approved"), "{story}");
    change(&home, "http://127.0.0.1:9", registry);
    stage.check(std::slice::from_ref(&order));

    // The same id for another payment is another command.
    stage.shop.send([&elsewhere]);
    wait_until("the other payment is refunded", DEADLINE, || stage.posts().of("B").count() == 1);
    assert_eq!(stage.posts().of("A").count(), 1);
    end(&mut connector);
}

#[test]
fn offsets_that_are_reset_or_gone_execute_nothing_again() {
    let stage = Stage::new("pay-offsets");
    stage.pay(&["A", "B", "C"], "100.00");
    let home = stage.home();
    let mut orders: Vec<Order> =
        (1..=9).map(|n| Order::refund(["A", "B", "C"][n % 3], n as i64)).collect();
    orders.push(Order { requested_by: " ".to_owned(), ..Order::refund("A", 77) });
    stage.shop.send(&orders);
    let mut feed = stage.feed();
    let mut connector = home.run();
    feed.wait_for_final(&orders);
    wait_until("the group remembers every command", DEADLINE, || committed(&stage) == orders.len());
    end(&mut connector);
    let posts = stage.posts().iter().count();
    assert_eq!(posts, 9);

    for (round, damage) in [reset_to_the_earliest, delete_the_group].into_iter().enumerate() {
        damage(&stage);
        let mut connector = home.run();
        wait_until("each command is read once more", DEADLINE, || {
            committed(&stage) == orders.len()
        });
        end(&mut connector);
        feed.catch_up();
        // What is no command that was taken has no place in the journal, and is answered again.
        let (refused, taken) = orders.split_last().unwrap();
        assert_eq!(feed.outcomes(refused).len(), round + 2);
        for order in taken {
            assert_eq!(feed.outcomes(order), ["SUCCEEDED"], "one result, whoever reads it again");
        }
        assert_eq!(stage.posts().iter().count(), posts, "nothing was sent again");
        let checked = stage.check(&orders);
        assert_eq!((checked.count("SUCCEEDED"), checked.count("REJECTED")), (9, 1));
    }
}

#[test]
fn the_group_remembers_how_far_the_last_turn_wrote_the_journal() {
    let stage = Stage::new("pay-noted");
    stage.pay(&["A"], "100.00");
    let home = stage.home();
    let order = Order::refund("A", 100);
    stage.shop.send([&order]);
    let mut connector = home.run();
    stage.feed().wait_for(&order, "SUCCEEDED");
    end(&mut connector);
    let journal = stage.records("internal.payment-journal");
    let newest = |partition| {
        let of = journal.iter().filter(|record| record.partition == partition);
        of.map(|record| record.offset).max()
    };
    let story = journal.iter().find(|r| r.key.as_ref().is_some_and(|key| key.contains(&order.id)));
    let partition = story.expect("its story").partition;
    let mut asked = TopicPartitionList::new();
    asked.add_partition(&stage.topic("payment.commands"), partition);
    let found = member(&stage).committed_offsets(asked, GENEROUS).unwrap();
    let note = Note::from_metadata(found.elements()[0].metadata()).expect("a note");
    assert_eq!(Some(note.end - 1), newest(partition), "the answer's record, not the command's");
}

fn member(stage: &Stage) -> BaseConsumer {
    ClientConfig::new()
        .set("bootstrap.servers", stage.brokers())
        .set("group.id", format!("{}.sink", stage.prefix))
        .create()
        .unwrap()
}

/// The sum of the group's offsets.
pub(super) fn committed(stage: &Stage) -> usize {
    let mut asked = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        asked.add_partition(&stage.topic("payment.commands"), partition);
    }
    let found = member(stage).committed_offsets(asked, GENEROUS).unwrap();
    let offsets = found.elements().into_iter().map(|element| match element.offset() {
        Offset::Offset(offset) => usize::try_from(offset).unwrap(),
        _ => 0,
    });
    offsets.sum()
}

/// As the broker's own tool does it: offset 0, without the sink's note beside it.
pub(super) fn reset_to_the_earliest(stage: &Stage) {
    move_group(stage, |_, _| 0);
    assert_eq!(committed(stage), 0);
}

/// As if every command had been taken, so that none is read again.
pub(super) fn move_to_the_end(stage: &Stage) {
    let topic = stage.topic("payment.commands");
    move_group(stage, |member, partition| {
        member.fetch_watermarks(&topic, partition, GENEROUS).unwrap().1
    });
}

fn move_group(stage: &Stage, to: impl Fn(&BaseConsumer, i32) -> i64) {
    let (member, mut offsets) = (member(stage), TopicPartitionList::new());
    for partition in 0..PARTITIONS {
        let (topic, to) = (stage.topic("payment.commands"), Offset::Offset(to(&member, partition)));
        offsets.add_partition_offset(&topic, partition, to).unwrap();
    }
    wait_until("the group is empty and takes other offsets", GENEROUS, || {
        member.commit(&offsets, CommitMode::Sync).is_ok()
    });
}

pub(super) fn delete_the_group(stage: &Stage) {
    let (admin, group) = (admin(stage.brokers()), format!("{}.sink", stage.prefix));
    let options = AdminOptions::new().request_timeout(Some(GENEROUS));
    wait_until("the group is deleted", GENEROUS, || {
        block_on(admin.delete_groups(&[&group], &options)).is_ok_and(|done| done[0].is_ok())
    });
    assert_eq!(committed(stage), 0);
}
