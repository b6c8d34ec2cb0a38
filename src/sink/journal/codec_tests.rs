use proptest::prelude::*;

use super::*;
use crate::{
    domain::time::Timestamp,
    sink::{
        journal::records::Finding,
        tests::{
            NOON, approved, cancel, declined, doubted, entry, inferred, intended, key, key_of,
            not_sent, outline, parked, refund, rejected, resolved, story, story_of,
        },
    },
};

/// Stored by version 1 of the format; a file is never changed, and every one must load for ever.
macro_rules! stored {
    ($($name:literal => $record:expr,)*) => {
        /// Name, key, value as it was stored, and what it must read as.
        fn stored() -> Vec<(&'static str, String, &'static [u8], Record)> {
            vec![$({
                let (key, record): (String, Record) = $record;
                let bytes: &[u8] =
                    include_bytes!(concat!("../../../tests/golden/journal/v1/", $name));
                ($name, key, bytes, record)
            },)*]
        }
    };
}

fn command(entry: Entry) -> (String, Record) {
    (entry.key().to_string(), Record::Command(Box::new(entry)))
}

stored! {
    "received.bin" => command(entry(refund("10.50"))),
    "refused.bin" => command(Entry::refused(key(), outline(), "type \"X\"".into(), NOON)),
    "rejected.bin" => command(story([rejected()])),
    "expired.bin" => command(story([JournalEvent::Expired { at: NOON }])),
    "intended.bin" => command(story([intended(1, 4)])),
    "intended-over.bin" => command(story([over(intended(1, 4))])),
    "not-sent.bin" => command(story([intended(1, 4), not_sent()])),
    "approved.bin" => command(story([intended(1, 4), not_sent(), intended(2, 5), approved()])),
    "declined.bin" => command(story_of(entry(cancel()), [intended(1, 4), declined()])),
    "in-doubt.bin" => command(story([intended(1, 4), doubted()])),
    "inferred.bin" => command(story([intended(1, 4), doubted(), inferred()])),
    "parked.bin" => command(story([intended(1, 4), doubted(), parked()])),
    "resolved.bin" => command(story([intended(1, 4), doubted(), parked(), resolved(false)])),
    "identity.bin" => (IDENTITY_KEY.into(), Record::Identity(identity())),
    "owner.bin" => (OWNER_KEY.into(), Record::Owner(Owner { epoch: 41 })),
    "stop.bin" => (STOP_KEY.into(), Record::Stop(stop())),
    "resolve.bin" => (resolve_key(&key()), Record::Resolve(key(), resolve())),
}

/// The same with the end of its request, which came to be told later.
fn over(intent: JournalEvent) -> JournalEvent {
    let JournalEvent::Intended { at, attempt, epoch, before, send_not_after, .. } = intent else {
        panic!("an intent")
    };
    let over_at = Some(Timestamp(send_not_after.0 + 30_000));
    JournalEvent::Intended { at, attempt, epoch, before, send_not_after, over_at }
}

fn identity() -> Identity {
    Identity { uuid: "0f7c".into(), transactional_prefix: "prod.vomsis".into() }
}

fn stop() -> Stop {
    let (actor, reason) = ("ayse".into(), "bank is down".into());
    Stop { stopped: true, actor, reason, at: NOON }
}

fn resolve() -> Resolve {
    let (evidence, actor) = ("statement".into(), "ayse".into());
    Resolve { outcome: Finding::NotExecuted, evidence, actor, at: NOON }
}

fn encode_record(record: &Record) -> Vec<u8> {
    match record {
        Record::Command(entry) => encode_entry(entry),
        Record::Identity(identity) => encode_identity(identity),
        Record::Owner(owner) => encode_owner(*owner),
        Record::Stop(stop) => encode_stop(stop),
        Record::Resolve(_, resolve) => encode_resolve(resolve),
    }
}

#[test]
fn everything_stored_by_version_1_still_loads() {
    let stored = stored();
    assert_eq!(stored.len(), 17);
    for (name, key, bytes, record) in stored {
        assert_eq!(decode(&key, bytes), Ok(record), "{name}");
    }
}

#[test]
fn version_1_is_written_as_it_was_stored() {
    for (name, _, bytes, record) in stored() {
        let written = encode_record(&record);
        assert_eq!(String::from_utf8_lossy(&written), String::from_utf8_lossy(bytes), "{name}");
    }
}

#[test]
fn keys_read_back_as_what_they_name() {
    let odd = key_of("a/b//c ğ", 3);
    assert_eq!(JournalKey::parse(&odd.to_string()), Ok(JournalKey::Command(odd.clone())));
    assert_eq!(JournalKey::parse(&resolve_key(&odd)), Ok(JournalKey::Resolve(odd)));
    assert_eq!(JournalKey::parse("_owner"), Ok(JournalKey::Owner));
    for text in [
        "",
        "acme",
        "acme/REF-1",
        "acme/REF-1/17",
        "_other",
        "_resolve/acme/REF-1",
        "a b/REF-1/5f0c0000-0000-4000-8000-000000000001",
        "acme/REF-1/5F0C0000-0000-4000-8000-000000000001",
        "acme/REF-1/5f0c0000000040008000000000000001",
        "_x/REF-1/5f0c0000-0000-4000-8000-000000000001",
    ] {
        assert_eq!(JournalKey::parse(text), Err(Error::Key(text.into())), "{text}");
    }
}

#[test]
fn a_newer_version_stops_the_reader() {
    for (name, key, bytes, _) in stored() {
        let newer = [&bytes[..1], &[2], &bytes[2..]].concat();
        let expected = Error::Newer { key: key.clone(), version: 2 };
        assert_eq!(decode(&key, &newer), Err(expected), "{name}");
        let older = [&bytes[..1], &[0], &bytes[2..]].concat();
        assert!(matches!(decode(&key, &older), Err(Error::Damaged { .. })), "{name}");
    }
}

#[test]
fn a_value_under_the_key_of_another_kind_stops_the_reader() {
    for (name, key, own, _) in stored() {
        // The rest fits, so only the kind tells.
        for kind in (0..=u8::MAX).filter(|kind| *kind != own[0]) {
            let other = [&[kind], &own[1..]].concat();
            let read = decode(&key, &other);
            assert!(matches!(read, Err(Error::Damaged { .. })), "{name} {kind}: {read:?}");
        }
    }
}

#[test]
fn a_story_that_cannot_be_is_not_loaded() {
    let mut events = story([intended(1, 4), doubted()]).events().to_vec();
    events.push(intended(2, 4));
    let bytes = encode(KIND_ENTRY, &events);
    let read = decode(&key().to_string(), &bytes);
    assert!(matches!(read, Err(Error::Impossible { .. })), "{read:?}");
}

#[test]
fn what_is_not_known_is_not_passed_over() {
    let text = String::from_utf8(encode_entry(&story([intended(1, 4)]))).unwrap();
    for (from, to) in [
        ("\"epoch\":4", "\"epoch\":4,\"speed\":9"),
        ("INTENDED", "INTENDED_TWICE"),
        ("\"amount\":\"10.00\"", "\"amount\":\"10.000001\""),
        ("\"amount\":\"10.00\"", "\"amount\":10.0"),
        ("\"attempt\":1", "\"attempt\":1.5"),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        let read = decode(&key().to_string(), changed.as_bytes());
        assert!(matches!(read, Err(Error::Damaged { .. })), "{to}: {read:?}");
    }
}

#[test]
fn an_error_does_not_quote_the_record() {
    let bytes = b"\x11\x01[{\"RECEIVED\":{\"requested_by\":\"Fatma\"}}]";
    let error = decode(&key().to_string(), bytes).unwrap_err().to_string();
    assert!(!error.contains("Fatma"), "{error}");
    assert!(error.contains("acme/REF-1/"), "{error}");
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused_without_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        kind in 0x10_u8..0x17,
        version in 0_u8..3,
    ) {
        let bytes = [&[kind, version], bytes.as_slice()].concat();
        for key in ["_owner", "_identity", "_stop", key().to_string().as_str()] {
            drop(decode(key, &bytes));
        }
    }

    #[test]
    fn a_cut_record_is_never_taken_for_a_whole_one(cut in 1_usize..400) {
        let bytes = encode_entry(&story([intended(1, 4), doubted(), parked()]));
        let kept = bytes.len().saturating_sub(cut);
        prop_assert!(decode(&key().to_string(), &bytes[..kept]).is_err());
    }

    #[test]
    fn times_and_numbers_of_any_size_come_back(at in any::<i64>(), epoch in any::<u64>()) {
        let intended = JournalEvent::Intended {
            at: Timestamp(at),
            attempt: 1,
            epoch,
            before: crate::sink::tests::paid(),
            send_not_after: Timestamp(at),
            over_at: (epoch % 2 == 0).then_some(Timestamp(at)),
        };
        let entry = story([intended]);
        let record = Record::Command(Box::new(entry.clone()));
        prop_assert_eq!(decode(&entry.key().to_string(), &encode_entry(&entry)), Ok(record));
    }
}

#[test]
fn a_key_that_is_no_text_is_shown_in_digits_and_can_be_taken_back() {
    let key = b"\x00\x00\xff\x2a";
    let error = read_line(key, Some(b"x")).unwrap_err().to_string();
    assert!(error.contains("0x0000ff2a"), "{error}");
    assert!(matches!(read_line(key, None), Ok(Line::TakenBack)));
}
