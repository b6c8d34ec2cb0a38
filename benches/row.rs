//! One row of JSON to Avro bytes: mapping, content hash and encoding; and an empty answer, which
//! must cost the same however many rows are remembered.

use std::{hint::black_box, sync::Arc};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use vomsis_connect::{
    config::model::{DateType, Privacy},
    domain::{
        ids::{ConnectionId, EntityKey, SourceId, Stream},
        time::{Day, Timestamp},
    },
    mapping::{HASH_RULE, PrivacyRules, RowContext, content_hash, map_row},
    poll::digest::{Answer, Others, Reason, Target, digest},
    publish::encode::{Encoder, local_ids},
    state::{
        changelog::EntityState,
        seen::{Published, SeenRow, Staging},
    },
};

/// The sample row of the bank API, compact: 833 bytes, 30 fields.
const ROW: &str = include_str!("row.json");

fn row(c: &mut Criterion) {
    let ctx = RowContext {
        entity: "73",
        date_type: DateType::SystemDate,
        entity_currency: None,
        carry_extras: false,
        replaced_text: false,
        gateway_object_id: None,
    };
    let json = ROW.trim();
    let Ok(encoder) = Encoder::new(&local_ids(), str::to_owned) else { return };
    let Ok(rules) = PrivacyRules::new(&Privacy::default(), None) else { return };
    let mut scratch = Vec::with_capacity(4_096);

    let mut group = c.benchmark_group("bank_row");
    group.throughput(Throughput::Elements(1));
    group.bench_function("map", |b| {
        b.iter(|| black_box(map_row(Stream::BankTransactions, black_box(json), &ctx).is_ok()));
    });
    let Ok(mapped) = map_row(Stream::BankTransactions, json, &ctx) else { return };
    group.bench_function("hash", |b| {
        b.iter(|| content_hash(black_box(&mapped.record), HASH_RULE, &mut scratch));
    });
    group.bench_function("encode", |b| {
        b.iter(|| encoder.encode(mapped.record.record_name(), black_box(&mapped.record)));
    });
    group.bench_function("map_hash_encode", |b| {
        b.iter(|| {
            let Ok(mapped) = map_row(Stream::BankTransactions, black_box(json), &ctx) else {
                return 0;
            };
            let hash = content_hash(&mapped.record, HASH_RULE, &mut scratch);
            black_box(encoder.encode(mapped.record.record_name(), &mapped.record).is_ok());
            hash
        });
    });
    group.bench_function("map_hash_privacy_encode", |b| {
        b.iter(|| {
            let Ok(mut mapped) = map_row(Stream::BankTransactions, black_box(json), &ctx) else {
                return 0;
            };
            let hash = content_hash(&mapped.record, HASH_RULE, &mut scratch);
            rules.apply(&mut mapped.record);
            black_box(encoder.encode(mapped.record.record_name(), &mapped.record).is_ok());
            hash
        });
    });
    group.finish();
}

/// What an account remembers after `rows` rows of two weeks.
fn remembered(rows: i64) -> EntityState {
    let mut state = EntityState::default();
    let mut staging = Staging::default();
    for id in 0..rows {
        let day = Day(20_000 + i32::try_from(id % 14).unwrap_or(0));
        let row = SeenRow {
            id: SourceId::Number(id),
            version: 1,
            published: Some(Published { hash: u128::from(id.unsigned_abs()), rule: HASH_RULE }),
            deleted: false,
            quarantined: None,
            partial: false,
            unsure_day: false,
            source_key: Some(id.unsigned_abs()),
            key: None,
        };
        staging.put(&state.seen, day, row);
    }
    state.seen.apply(staging);
    state
}

fn idle(c: &mut Criterion) {
    let Ok(encoder) = Encoder::new(&local_ids(), str::to_owned) else { return };
    let Ok(privacy) = PrivacyRules::new(&Privacy::default(), None) else { return };
    let Ok(connection) = ConnectionId::try_new("acme") else { return };
    let target = Target {
        key: EntityKey { connection, stream: Stream::BankTransactions, entity: "73".into() },
        encoder: Arc::new(encoder),
        privacy: Arc::new(privacy),
        date_type: DateType::SystemDate,
        carry_extras: false,
        max_bad_ratio: 0.2,
        others: Others::default(),
        ce_source: "/vomsis/acme/bank_transactions".into(),
        some_accounts: false,
        lookback_days: Some(14),
    };
    let answer = Answer::of(&[], Reason::Live, None, None, Timestamp(0));
    let mut group = c.benchmark_group("empty_answer");
    for rows in [100, 100_000] {
        let state = remembered(rows);
        group.bench_function(format!("{rows}_seen_rows"), |b| {
            b.iter(|| black_box(digest(&target, &state, black_box(&answer)).is_ok()));
        });
    }
    group.finish();
}

criterion_group!(benches, row, idle);
criterion_main!(benches);
