//! A transaction that nobody ends: records in a partition of which the coordinator knows nothing.
//!
//! Kafka leaves such behind where it loses the end of a transaction (KAFKA-20734). No client can write
//! one, so the few requests that it takes are put together here; the broker must not verify that the
//! partition belongs to the transaction ([`UNVERIFIED`]).

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use super::{
    proxy::PRODUCE,
    wait::{GENEROUS, wait_for},
};

/// What the broker is to be told for this.
pub(crate) const UNVERIFIED: (&str, &str) = ("transaction.partition.verification.enable", "false");

const INIT_PRODUCER_ID: i16 = 22;
const CALL: Duration = Duration::from_secs(30);
const TRANSACTION_MS: i32 = 10_000;
/// Attribute of a batch that belongs to a transaction.
const TRANSACTIONAL: i16 = 0x10;

/// Where the records are left.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held<'a> {
    /// The only broker.
    pub(crate) broker: &'a str,
    /// Whose transaction it is; its producer is fenced.
    pub(crate) transactional_id: &'a str,
    pub(crate) topic: &'a str,
    pub(crate) partition: i32,
}

impl Held<'_> {
    /// Leaves one record in an open transaction.
    #[track_caller]
    pub(crate) fn leave(&self, key: &[u8], value: &[u8]) {
        let mut stream = TcpStream::connect(self.broker).expect("the broker listens");
        stream.set_read_timeout(Some(CALL)).unwrap();
        let (producer, epoch) = wait_for("the coordinator gives a producer id", GENEROUS, || {
            let mut body = text(self.transactional_id);
            body.extend(TRANSACTION_MS.to_be_bytes());
            let answer = call(&mut stream, INIT_PRODUCER_ID, 0, &body);
            // throttle time, error, producer id, epoch
            let error = i16::from_be_bytes(part(&answer, 4));
            (error == 0).then(|| (part::<8>(&answer, 6), part::<2>(&answer, 14)))
        });
        let batch = batch(producer, epoch, key, value);
        let mut body = text(self.transactional_id);
        body.extend((-1_i16).to_be_bytes()); // acks of all
        body.extend(TRANSACTION_MS.to_be_bytes());
        body.extend(1_i32.to_be_bytes());
        body.extend(text(self.topic));
        body.extend(1_i32.to_be_bytes());
        body.extend(self.partition.to_be_bytes());
        body.extend(i32::try_from(batch.len()).unwrap().to_be_bytes());
        body.extend(batch);
        let answer = call(&mut stream, PRODUCE, 3, &body);
        // topics, name, partitions, partition, error
        let error = i16::from_be_bytes(part(&answer, 4 + 2 + self.topic.len() + 4 + 4));
        assert_eq!(error, 0, "the broker refused the record");
    }
}

/// One request and the body of its answer.
fn call(stream: &mut TcpStream, api: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let mut request = Vec::new();
    request.extend(api.to_be_bytes());
    request.extend(version.to_be_bytes());
    request.extend(1_i32.to_be_bytes());
    request.extend(text("vomsis-test"));
    request.extend(body);
    stream.write_all(&u32::try_from(request.len()).unwrap().to_be_bytes()).unwrap();
    stream.write_all(&request).unwrap();
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut answer).unwrap();
    answer.split_off(4) // the correlation id
}

/// A batch of version 2 with one record.
fn batch(producer: [u8; 8], epoch: [u8; 2], key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut record = vec![0];
    record.extend(varint(0)); // since the first time
    record.extend(varint(0)); // since the first offset
    for bytes in [key, value] {
        record.extend(varint(bytes.len()));
        record.extend(bytes);
    }
    record.extend(varint(0)); // headers
    let now = vomsis_connect::telemetry::clock::now().0.to_be_bytes();
    let mut checked = Vec::new();
    checked.extend(TRANSACTIONAL.to_be_bytes());
    checked.extend(0_i32.to_be_bytes()); // the last offset
    checked.extend(now);
    checked.extend(now);
    checked.extend(producer);
    checked.extend(epoch);
    checked.extend(0_i32.to_be_bytes()); // the first sequence of the epoch
    checked.extend(1_i32.to_be_bytes());
    checked.extend(varint(record.len()));
    checked.extend(record);
    let mut batch = Vec::new();
    batch.extend(0_i64.to_be_bytes());
    batch.extend(i32::try_from(checked.len() + 9).unwrap().to_be_bytes());
    batch.extend((-1_i32).to_be_bytes()); // the leader's epoch
    batch.push(2);
    batch.extend(crc32c(&checked).to_be_bytes());
    batch.extend(checked);
    batch
}

fn text(text: &str) -> Vec<u8> {
    let mut bytes = i16::try_from(text.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes
}

fn part<const N: usize>(answer: &[u8], at: usize) -> [u8; N] {
    answer.get(at..at + N).expect("the answer is long enough").try_into().unwrap()
}

/// Zigzag, then seven bits a byte.
fn varint(number: usize) -> Vec<u8> {
    let mut left = number << 1;
    let mut bytes = Vec::new();
    while left > 0x7f {
        bytes.push(u8::try_from(left & 0x7f).unwrap() | 0x80);
        left >>= 7;
    }
    bytes.push(u8::try_from(left).unwrap());
    bytes
}

/// Castagnoli's, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}
