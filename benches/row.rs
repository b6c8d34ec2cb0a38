//! One row of JSON to Avro bytes: mapping, content hash and encoding.

use std::hint::black_box;

use apache_avro::{Schema, writer::datum::GenericDatumWriter};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use vomsis_connect::{
    config::model::{DateType, Privacy},
    domain::{ids::Stream, schemas},
    mapping::{HASH_RULE, PrivacyRules, RowContext, content_hash, map_row},
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
    let Ok(schema) = Schema::parse_str(schemas::BANK_TRANSACTION.json) else { return };
    let Ok(writer) = GenericDatumWriter::builder(&schema).build() else { return };
    let Ok(rules) = PrivacyRules::new(&Privacy::default(), None) else { return };
    let mut scratch = Vec::with_capacity(4_096);
    let mut bytes = Vec::with_capacity(4_096);

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
        b.iter(|| {
            bytes.clear();
            black_box(writer.write_ser(&mut bytes, black_box(&mapped.record)).is_ok())
        });
    });
    group.bench_function("map_hash_encode", |b| {
        b.iter(|| {
            let Ok(mapped) = map_row(Stream::BankTransactions, black_box(json), &ctx) else {
                return 0;
            };
            let hash = content_hash(&mapped.record, HASH_RULE, &mut scratch);
            bytes.clear();
            black_box(writer.write_ser(&mut bytes, &mapped.record).is_ok());
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
            bytes.clear();
            black_box(writer.write_ser(&mut bytes, &mapped.record).is_ok());
            hash
        });
    });
    group.finish();
}

criterion_group!(benches, row);
criterion_main!(benches);
