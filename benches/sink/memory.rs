//! A journal of a million finished commands: how long a restore takes, and what it leaves resident.

use std::time::{Duration, Instant};

use chrono::Utc;
use rdkafka::{
    ClientConfig,
    producer::{BaseProducer, BaseRecord, Producer},
};
use uuid::Uuid;
use vomsis_connect::{
    domain::{
        ids::ConnectionId,
        money::Money,
        payment::{PaymentState, Provider},
        time::Timestamp,
        vocabulary::VirtualPosStatus,
    },
    kafka::topics,
    sink::{
        command::{Command, CommandKey, Kind, Order},
        journal::{Arrival, Entry, JournalEvent, codec},
        payload::Digest,
    },
};

use crate::{
    api::Api,
    deployment::{Deployment, PARTITIONS},
    harness::wait::GENEROUS,
    measure::{DEADLINE, cpu_seconds, judged, resident_mb},
    shop::CONNECTION,
};

const COMMANDS: u32 = 1_000_000;
/// The journal's span: the last command was executed just now.
const DAYS: i64 = 90;
const RESIDENT_MB_MAX: f64 = 100.0;
const SETTLE: Duration = Duration::from_secs(5);

/// Runs it and says what came out.
pub(crate) fn run() -> String {
    let api = Api::start();
    let deployment = Deployment::new(&api);
    // The first owner makes the topics and the marks of the journal.
    let (mut connector, _) = deployment.own();
    std::thread::sleep(SETTLE);
    let (empty, _) = resident_mb(&connector);
    connector.sigterm();
    connector.wait(DEADLINE);
    let bytes = fill(&deployment);

    let begun = Instant::now();
    let (mut connector, line) = deployment.own();
    let took = begun.elapsed().as_secs_f64();
    let cpu = cpu_seconds(&connector);
    assert!(line.contains(&COMMANDS.to_string()), "every command is known: {line}");
    std::thread::sleep(SETTLE);
    let (resident, peak) = resident_mb(&connector);
    connector.kill9();
    format!(
        "{COMMANDS} finished commands of {DAYS} days ({bytes:.0} B of journal each)\n  \
         resident   {resident:.0} MB ({}), at most {peak:.0} MB; with an empty journal {empty:.0} MB\n  \
         restore    {took:.1} s from the process start, {cpu:.1} CPU s",
        judged(resident, RESIDENT_MB_MAX),
    )
}

/// Writes the stories as the sink would; the mean length of a key and its value.
fn fill(deployment: &Deployment) -> f64 {
    let journal = deployment.topic(topics::JOURNAL);
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &deployment.brokers)
        .set("compression.type", "lz4")
        .set("linger.ms", "20")
        .create()
        .unwrap();
    let now = Utc::now().timestamp_millis();
    let step = DAYS * 24 * 3_600_000 / i64::from(COMMANDS);
    let mut bytes = 0;
    for n in 0..COMMANDS {
        let entry = story(n, Timestamp(now - i64::from(COMMANDS - n) * step));
        let (key, value) = (entry.key().to_string(), codec::encode_entry(&entry));
        bytes += key.len() + value.len();
        let partition = i32::try_from(n).unwrap() % PARTITIONS;
        let mut record = BaseRecord::to(&journal).partition(partition).key(&key).payload(&value);
        while let Err((_, back)) = producer.send(record) {
            // Only a full queue is expected; anything else shows in what the restore finds.
            record = back;
            producer.poll(Duration::from_millis(1));
        }
        if n % 1000 == 0 {
            producer.poll(Duration::ZERO);
        }
    }
    producer.flush(GENEROUS).expect("the broker takes the journal");
    bytes as f64 / f64::from(COMMANDS)
}

/// A refund that was approved.
fn story(n: u32, at: Timestamp) -> Entry {
    let key = CommandKey {
        connection: ConnectionId::try_new(CONNECTION).unwrap(),
        reference_no: format!("ORDER-{:08}", n / 2).into(),
        command_id: Uuid::new_v4(),
    };
    let amount = Money::parse("12.50").unwrap();
    let order = Order {
        kind: Kind::Refund { amount },
        currency: Some("TRY".to_owned()),
        requested_by: "returns@shop.example".to_owned(),
        requested_at: at,
        expires_at: None,
        digest: Digest(key.command_id.as_u128()),
    };
    let arrival = Arrival { partition: 0, offset: i64::from(n) };
    let before = PaymentState {
        status: VirtualPosStatus::Successful,
        amount: Money::parse("250.00").ok(),
        refunded: None,
        refunded_unknown: false,
        currency: Some("TRY".to_owned()),
    };
    let later = |millis: i64| Timestamp(at.0 + millis);
    let send_not_after = later(10_010);
    let intent = JournalEvent::Intended {
        at: later(10),
        attempt: 1,
        epoch: 1,
        before,
        send_not_after,
        over_at: Some(later(40_010)),
    };
    let provider = Provider {
        transaction_id: Some(format!("26150PWDB{n:08}")),
        operation_id: Some(i64::from(n)),
        code: Some("00".to_owned()),
        message: None,
        refunded_total: Some(amount),
    };
    let approved = JournalEvent::Approved { at: later(400), provider };
    let received = Entry::received(Command { key, order }, arrival, at);
    received.with(intent).and_then(|entry| entry.with(approved)).unwrap()
}
