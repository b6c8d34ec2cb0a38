//! Commands as other programs write them: other schemas, other scales, other types.

use std::borrow::Cow;

use apache_avro::{Decimal, writer::datum::GenericDatumWriter};
use proptest::prelude::*;

use super::*;
use crate::{
    domain::schemas,
    sink::tests::{HOUR, after, money},
};

const ID: &str = "5f0c0000-0000-4000-8000-000000000001";

/// A schema whose fields are given as JSON, beside those that nobody changes.
fn schema(changed: &[(&str, &str)]) -> Schema {
    let mut fields = vec![
        ("command_id", r#""string""#),
        ("type", r#""string""#),
        ("connection_id", r#""string""#),
        ("reference_no", r#""string""#),
        ("amount", r#"["null",{"type":"bytes","logicalType":"decimal","precision":23,"scale":5}]"#),
        ("requested_by", r#""string""#),
        ("requested_at", r#"{"type":"long","logicalType":"timestamp-millis"}"#),
    ];
    for (name, kind) in changed {
        fields.retain(|(field, _)| field != name);
        if !kind.is_empty() {
            fields.push((name, kind));
        }
    }
    let fields: Vec<_> =
        fields.iter().map(|(name, kind)| format!(r#"{{"name":"{name}","type":{kind}}}"#)).collect();
    let text = format!(
        r#"{{"type":"record","name":"PaymentCommand","namespace":"x","fields":[{}]}}"#,
        fields.join(",")
    );
    Schema::parse_str(&text).unwrap()
}

/// Writes the fields of a schema: those given, and plain ones for the others.
fn written(schema: &Schema, given: &[(&str, Value)]) -> Vec<u8> {
    let Schema::Record(record) = schema else { panic!("it is a record") };
    let fields = record.fields.iter().map(|field| {
        let found = given.iter().find(|(name, _)| *name == field.name);
        let value = found.map_or_else(|| plain(&field.name), |(_, value)| value.clone());
        (field.name.clone(), value)
    });
    let value = Value::Record(fields.collect());
    let mut bytes = Vec::new();
    let writer = GenericDatumWriter::builder(schema).build().unwrap();
    writer.write_value_ref(&mut bytes, &value).unwrap();
    bytes
}

fn plain(name: &str) -> Value {
    let text = |text: &str| Value::String(text.into());
    match name {
        "command_id" => text(ID),
        "type" => text("REFUND"),
        "connection_id" => text("acme"),
        "reference_no" => text("REF-1"),
        "requested_by" => text("billing"),
        "requested_at" => Value::TimestampMillis(after(-HOUR).0),
        "amount" | "currency" | "reason" | "expires_at" => Value::Union(0, Box::new(Value::Null)),
        other => panic!("{other}"),
    }
}

fn decimal(unscaled: i128) -> Value {
    Value::Decimal(Decimal::from(unscaled.to_be_bytes()))
}

fn some(value: Value) -> Value {
    Value::Union(1, Box::new(value))
}

fn amount_of(kind: &str, value: Value) -> Result<Option<Money>, Rejection> {
    let schema = schema(&[("amount", kind)]);
    decode(&schema, &written(&schema, &[("amount", value)])).map(|payload| payload.amount)
}

fn decimal_type(scale: u32) -> String {
    format!(r#"{{"type":"bytes","logicalType":"decimal","precision":30,"scale":{scale}}}"#)
}

#[test]
fn what_this_program_writes_comes_back() {
    let schema = Schema::parse_str(schemas::PAYMENT_COMMAND.json).unwrap();
    let command = PaymentCommand {
        command_id: ID.into(),
        r#type: CommandType::Refund,
        connection_id: "acme".into(),
        reference_no: "REF-1".into(),
        amount: Some(money("10.50")),
        currency: Some(Cow::Borrowed("TRY")),
        reason: Some("returned".into()),
        requested_by: "billing".into(),
        requested_at: after(-HOUR),
        expires_at: Some(after(HOUR)),
    };
    let mut bytes = Vec::new();
    let writer = GenericDatumWriter::builder(&schema).human_readable(false).build().unwrap();
    writer.write_ser(&mut bytes, &command).unwrap();
    let payload = decode(&schema, &bytes).unwrap();
    assert_eq!(
        payload,
        Payload {
            command_id: ID.into(),
            r#type: "REFUND".into(),
            connection_id: "acme".into(),
            reference_no: "REF-1".into(),
            amount: Some(money("10.50")),
            currency: Some("TRY".into()),
            reason: Some("returned".into()),
            requested_by: "billing".into(),
            requested_at: after(-HOUR),
            expires_at: Some(after(HOUR)),
        }
    );
    assert_eq!(payload.kind(), CommandType::Refund);
}

#[test]
fn an_amount_of_another_scale_is_the_same_money() {
    for (scale, unscaled, expected) in [
        (2, 1050, "10.50"),
        (0, 10, "10.00"),
        (5, 1_050_000, "10.50"),
        (8, 1_050_000_000, "10.50"),
        (2, -1050, "-10.50"),
        (2, 0, "0.00"),
        (2, 99_999_999_999_999_999_999, "999999999999999999.99"),
    ] {
        let amount = amount_of(&decimal_type(scale), decimal(unscaled));
        // The last is more than 18 digits before the point, the most that the type holds.
        assert_eq!(amount, Ok(Some(money(expected))), "{unscaled}e-{scale}");
    }
}

#[test]
fn an_amount_that_does_not_fit_exactly_is_refused() {
    for (scale, unscaled) in [
        (6, 1_050_001),
        (20, 1),
        (0, 10_i128.pow(18)),
        (5, 10_i128.pow(23)),
        (0, i128::MAX),
        (0, i128::MIN),
    ] {
        let kind =
            format!(r#"{{"type":"bytes","logicalType":"decimal","precision":60,"scale":{scale}}}"#);
        let refused = amount_of(&kind, decimal(unscaled)).unwrap_err();
        assert_eq!(refused.reason, RejectedBecause::WrongSchema, "{unscaled}e-{scale}");
    }
    let wide = [&[1_u8][..], &[0; 16]].concat();
    let kind = r#"{"type":"bytes","logicalType":"decimal","precision":60,"scale":0}"#;
    let refused = amount_of(kind, Value::Decimal(Decimal::from(wide))).unwrap_err();
    assert!(refused.detail.contains("more digits"), "{}", refused.detail);
}

#[test]
fn a_decimal_may_be_fixed_and_padded() {
    let kind =
        r#"{"type":"fixed","name":"M","size":20,"logicalType":"decimal","precision":23,"scale":2}"#;
    for (unscaled, expected) in [(1050_i128, "10.50"), (-1050, "-10.50")] {
        let fill = if unscaled < 0 { 0xff } else { 0 };
        let padded = [&[fill; 4][..], &unscaled.to_be_bytes()].concat();
        let value = Value::Decimal(Decimal::from(padded));
        assert_eq!(amount_of(kind, value), Ok(Some(money(expected))));
    }
}

#[test]
fn an_amount_that_is_no_decimal_is_refused() {
    for (kind, value) in [
        (r#""double""#, Value::Double(10.5)),
        (r#""float""#, Value::Float(10.5)),
        (r#""string""#, Value::String("10.50".into())),
        (r#""long""#, Value::Long(10)),
        (r#""bytes""#, Value::Bytes(vec![10])),
    ] {
        let refused = amount_of(kind, value).unwrap_err();
        assert_eq!(refused.reason, RejectedBecause::WrongSchema, "{kind}");
        assert!(refused.detail.starts_with("amount must be a decimal"), "{}", refused.detail);
    }
}

#[test]
fn a_type_may_be_an_enum_or_a_text() {
    let kind = r#"{"type":"enum","name":"T","symbols":["CANCEL","REFUND"]}"#;
    let schema = schema(&[("type", kind)]);
    for (index, word, expected) in
        [(0, "CANCEL", CommandType::Cancel), (1, "REFUND", CommandType::Refund)]
    {
        let bytes = written(&schema, &[("type", Value::Enum(index, word.into()))]);
        assert_eq!(decode(&schema, &bytes).unwrap().kind(), expected);
    }
}

#[test]
fn ids_may_be_uuids_and_fields_may_be_nullable_or_left_out() {
    let schema = schema(&[
        ("command_id", r#"{"type":"string","logicalType":"uuid"}"#),
        ("requested_by", r#"["null","string"]"#),
        ("amount", ""),
        ("type", ""),
    ]);
    let bytes = written(
        &schema,
        &[
            ("command_id", Value::Uuid(uuid::Uuid::parse_str(ID).unwrap())),
            ("requested_by", some(Value::String("billing".into()))),
        ],
    );
    let payload = decode(&schema, &bytes).unwrap();
    assert_eq!((payload.command_id.as_str(), payload.requested_by.as_str()), (ID, "billing"));
    assert_eq!((payload.amount, payload.kind()), (None, CommandType::Unknown));
}

#[test]
fn a_required_field_that_is_missing_or_null_is_refused() {
    for name in ["command_id", "connection_id", "reference_no", "requested_by", "requested_at"] {
        let without = schema(&[(name, "")]);
        let refused = decode(&without, &written(&without, &[])).unwrap_err();
        assert_eq!(refused.reason, RejectedBecause::WrongSchema);
        assert_eq!(refused.detail, format!("{name} is missing or null"));
        let nullable = schema(&[(name, r#"["null","string"]"#)]);
        let null = Value::Union(0, Box::new(Value::Null));
        let refused = decode(&nullable, &written(&nullable, &[(name, null)])).unwrap_err();
        assert_eq!(refused.detail, format!("{name} is missing or null"));
    }
}

#[test]
fn a_time_without_a_unit_is_refused() {
    let schema = schema(&[("requested_at", r#""long""#)]);
    let refused = decode(&schema, &written(&schema, &[("requested_at", Value::Long(1))]));
    assert_eq!(
        refused.unwrap_err().detail,
        "requested_at must be a timestamp-millis, it is a plain integer"
    );
}

#[test]
fn fields_that_are_not_known_change_nothing() {
    let narrow = schema(&[]);
    let wide = schema(&[("note", r#""string""#)]);
    let payload = decode(&narrow, &written(&narrow, &[])).unwrap();
    let bytes = written(&wide, &[("note", Value::String("x".into()))]);
    assert_eq!(decode(&wide, &bytes).unwrap(), payload);
}

#[test]
fn a_record_of_another_name_is_refused() {
    let result = Schema::parse_str(schemas::PAYMENT_RESULT.json).unwrap();
    let refused = decode(&result, &[]).unwrap_err();
    assert_eq!(refused.reason, RejectedBecause::WrongSchema);
    let text = Schema::parse_str(r#""string""#).unwrap();
    assert_eq!(decode(&text, &[]).unwrap_err().reason, RejectedBecause::WrongSchema);
}

#[test]
fn bytes_that_do_not_fit_their_schema_are_undecodable() {
    let schema = schema(&[]);
    let bytes = written(&schema, &[]);
    for wrong in [&[][..], &bytes[..bytes.len() - 1], &[bytes.as_slice(), &[0]].concat()] {
        let refused = decode(&schema, wrong).unwrap_err();
        assert_eq!(refused.reason, RejectedBecause::Undecodable, "{}", refused.detail);
    }
}

proptest! {
    #[test]
    fn every_amount_of_every_scale_is_exact_or_refused(unscaled in any::<i64>(), scale in 0_u32..12) {
        let amount = amount_of(&decimal_type(scale), decimal(unscaled.into()));
        match amount {
            Ok(Some(amount)) => {
                // unscaled * 10^-scale == amount * 10^-5, without a division.
                let left = i128::from(unscaled) * 10_i128.pow(5);
                let right = amount.unscaled() * 10_i128.pow(scale);
                prop_assert_eq!(left, right);
            }
            Ok(None) => prop_assert!(false, "it is not null"),
            Err(_) => {
                let unit = 10_i128.pow(scale.saturating_sub(5));
                let value = i128::from(unscaled) * 10_i128.pow(5_u32.saturating_sub(scale));
                let fits = value.abs() / unit < 10_i128.pow(23);
                prop_assert!(scale > 5 && i128::from(unscaled) % unit != 0 || !fits);
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(decode(&schema(&[]), &bytes));
    }
}
