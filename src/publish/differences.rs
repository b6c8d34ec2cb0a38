//! What differs between two schemas of one record, in words.

use serde_json::{Map, Value};

/// The differences of `ours` from `theirs`, a line each; documentation does not count.
pub fn differences(theirs: &str, ours: &str) -> Vec<String> {
    let parsed = |text: &str| serde_json::from_str::<Value>(text).ok();
    let (Some(theirs), Some(ours)) = (parsed(theirs), parsed(ours)) else {
        return vec!["the registered schema is not JSON".to_owned()];
    };
    let mut found = Vec::new();
    compare("", &theirs, &ours, &mut found);
    found
}

fn compare(path: &str, theirs: &Value, ours: &Value, found: &mut Vec<String>) {
    match (record(theirs), record(ours)) {
        (Some(theirs), Some(ours)) => compare_records(path, theirs, ours, found),
        _ => {
            let (theirs, ours) = (shape(theirs), shape(ours));
            if theirs != ours {
                found.push(format!("{path}: registered as {theirs}, here {ours}"));
            }
        }
    }
}

fn compare_records(path: &str, theirs: &Value, ours: &Value, found: &mut Vec<String>) {
    let name = |schema: &Value| {
        let part = |key| schema.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        format!("{}.{}", part("namespace"), part("name"))
    };
    let (their_name, our_name) = (name(theirs), name(ours));
    if their_name != our_name {
        found.push(format!("{path}record {their_name} is registered, here it is {our_name}"));
    }
    let (their_fields, our_fields) = (fields(theirs), fields(ours));
    for (field, our_field) in &our_fields {
        let at = if path.is_empty() { field.clone() } else { format!("{path}.{field}") };
        match their_fields.get(field) {
            None => found.push(format!("{at}: not in the registered schema")),
            Some(their_field) => {
                let kind = |field: &Value| field.get("type").cloned().unwrap_or_default();
                compare(&at, &kind(their_field), &kind(our_field), found);
                let default = |field: &Value| {
                    field.get("default").map_or_else(|| "none".to_owned(), Value::to_string)
                };
                let (theirs, ours) = (default(their_field), default(our_field));
                if theirs != ours {
                    found.push(format!("{at}: default registered as {theirs}, here {ours}"));
                }
            }
        }
    }
    for field in their_fields.keys().filter(|field| !our_fields.contains_key(*field)) {
        let at = if path.is_empty() { field.clone() } else { format!("{path}.{field}") };
        found.push(format!("{at}: registered, not in this version"));
    }
}

/// The record that a type is, also where it is one of two with null.
fn record(schema: &Value) -> Option<&Value> {
    match schema {
        Value::Object(object) if object.get("type") == Some(&Value::from("record")) => Some(schema),
        Value::Array(variants) => variants.iter().find_map(record),
        _ => None,
    }
}

fn fields(record: &Value) -> Map<String, Value> {
    let fields = record.get("fields").and_then(Value::as_array).into_iter().flatten();
    fields
        .filter_map(|field| Some((field.get("name")?.as_str()?.to_owned(), field.clone())))
        .collect()
}

/// A type without its documentation.
fn shape(schema: &Value) -> Value {
    match schema {
        Value::Object(object) => object
            .iter()
            .filter(|(key, _)| !matches!(key.as_str(), "doc" | "pii"))
            .map(|(key, value)| (key.clone(), shape(value)))
            .collect(),
        Value::Array(items) => items.iter().map(shape).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = r#"{"type": "record", "name": "R", "namespace": "n", "fields": [
        {"name": "a", "type": "string", "doc": "text"},
        {"name": "b", "type": ["null", "long"], "default": null},
        {"name": "m", "type": {"type": "record", "name": "M", "fields": [{"name": "x", "type": "int"}]}}]}"#;

    #[test]
    fn documentation_is_no_difference() {
        assert!(differences(&OURS.replace("text", "other"), OURS).is_empty());
    }

    #[test]
    fn every_kind_of_difference_names_its_field() {
        let cases = [
            (OURS.replace("\"string\"", "\"int\""), "a: registered as \"int\", here \"string\""),
            (OURS.replace("\"b\"", "\"c\""), "b: not in the registered schema"),
            (OURS.replace("\"b\"", "\"c\""), "c: registered, not in this version"),
            (OURS.replace("\"x\"", "\"y\""), "m.x: not in the registered schema"),
            (OURS.replace(", \"default\": null", ""), "b: default registered as none, here null"),
            (OURS.replace("\"R\"", "\"Q\""), "record n.Q is registered, here it is n.R"),
        ];
        for (theirs, expected) in cases {
            let found = differences(&theirs, OURS);
            assert!(found.iter().any(|line| line.contains(expected)), "{expected}: {found:?}");
        }
    }
}
