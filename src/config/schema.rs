//! The JSON Schema of the configuration, and the answers that can be read from it.

use serde_json::{Map, Value};

use super::{load::nearest, shape};

/// The schema as it is committed in `config/schema.json`.
pub fn text() -> String {
    let mut text = serde_json::to_string_pretty(&value()).unwrap_or_default();
    text.push('\n');
    text
}

/// The same as a value, for other forms.
pub fn value() -> Value {
    let generator = schemars::generate::SchemaSettings::draft07().into_generator();
    let mut schema = generator.into_root_schema_for::<shape::Config>().to_value();
    // So that editors do not underline the line that names the schema's own id.
    if let Some(entries) = schema.as_object_mut() {
        entries.insert("$id".to_owned(), "vomsis-connect.schema.json".into());
    }
    schema
}

/// What is known about one key.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Explanation {
    /// The key, with `[]` after the name of a list.
    pub key: String,
    /// What it may hold.
    #[serde(rename = "type")]
    pub kind: String,
    /// What holds where it is not written.
    pub default: Option<Value>,
    /// What it does.
    pub doc: String,
    /// The environment variable that sets it.
    pub env: String,
    /// The keys below it.
    pub keys: Vec<String>,
}

/// A key that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no key {key:?}; known {place}: {}", known.join(", "))]
pub struct UnknownKey {
    /// What was asked for.
    pub key: String,
    /// What may have been meant.
    pub near: Option<String>,
    /// In words, the section where the search ended.
    place: String,
    known: Vec<String>,
}

/// Explains a dotted key; the index of a list may be left out or written `[0]`, `[]` or `.0.`.
pub fn explain(key: &str) -> Result<Explanation, UnknownKey> {
    let root = value();
    let mut node = Node { schema: &root, root: &root }.resolved();
    let mut shown: Vec<String> = Vec::new();
    let mut env = "VOMSIS".to_owned();
    let mut doc = node.doc();
    let mut default: Option<Value> = None;
    let plain = key.replace(['[', ']'], ".");
    let steps = plain.split('.').filter(|step| !is_index(step));
    for step in steps {
        if let Some(item) = node.item() {
            node = item;
            env.push_str("__0");
            if let Some(list) = shown.last_mut() {
                list.push_str("[]");
            }
        }
        let Some(below) = node.property(step) else {
            let known = node.keys();
            let near = nearest(step, &known.iter().map(String::as_str).collect::<Vec<_>>());
            let near = near.map(|near| shown.iter().map(String::as_str).chain([near]).collect());
            let near = near.map(|parts: Vec<&str>| parts.join("."));
            let place = if shown.is_empty() {
                "at the top".to_owned()
            } else {
                format!("below {}", shown.join("."))
            };
            return Err(UnknownKey { key: key.to_owned(), near, place, known });
        };
        default = below.default().or_else(|| default.as_ref()?.get(step).cloned());
        doc = below.doc();
        node = below.resolved();
        shown.push(step.to_owned());
        env = format!("{env}__{}", step.to_ascii_uppercase());
    }
    let keys = node.item().unwrap_or(node).keys();
    Ok(Explanation { key: shown.join("."), kind: node.kind(), default, doc, env, keys })
}

fn is_index(step: &str) -> bool {
    step.bytes().all(|byte| byte.is_ascii_digit())
}

#[derive(Clone, Copy)]
struct Node<'a> {
    schema: &'a Value,
    root: &'a Value,
}

impl<'a> Node<'a> {
    fn with(self, schema: &'a Value) -> Self {
        Self { schema, ..self }
    }

    /// Follows references and looks through "or null".
    fn resolved(self) -> Self {
        let reference = self.schema.get("$ref").and_then(Value::as_str);
        if let Some(pointer) = reference.and_then(|reference| reference.strip_prefix('#')) {
            return self.root.pointer(pointer).map_or(self, |schema| self.with(schema).resolved());
        }
        let wrapped = ["allOf", "anyOf"].into_iter().find_map(|word| {
            let options = self.schema.get(word)?.as_array()?;
            options.iter().find(|option| option.get("$ref").is_some())
        });
        wrapped.map_or(self, |schema| self.with(schema).resolved())
    }

    fn properties(self) -> Option<&'a Map<String, Value>> {
        self.resolved().schema.get("properties")?.as_object()
    }

    fn property(self, key: &str) -> Option<Self> {
        Some(self.with(self.properties()?.get(key)?))
    }

    fn keys(self) -> Vec<String> {
        self.properties().map(|entries| entries.keys().cloned().collect()).unwrap_or_default()
    }

    /// What a list of sections holds.
    fn item(self) -> Option<Self> {
        let item = self.with(self.resolved().schema.get("items")?).resolved();
        item.properties().map(|_| item)
    }

    fn default(self) -> Option<Value> {
        self.schema.get("default").cloned()
    }

    fn doc(self) -> String {
        let own =
            self.schema.get("description").or_else(|| self.resolved().schema.get("description"));
        own.and_then(Value::as_str).unwrap_or_default().replace('\n', " ")
    }

    fn kind(self) -> String {
        let schema = self.resolved().schema;
        if let Some(values) = schema.get("enum").and_then(Value::as_array) {
            let names: Vec<_> = values.iter().filter_map(Value::as_str).collect();
            return names.join(" | ");
        }
        if let Some(options) =
            schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array)
        {
            let kinds: Vec<_> = options.iter().map(|option| self.with(option).kind()).collect();
            return kinds.join(" | ");
        }
        if let Some(constant) = schema.get("const") {
            return constant.as_str().map_or_else(|| constant.to_string(), str::to_owned);
        }
        match schema.get("type") {
            Some(Value::String(name)) if name == "object" => "section".to_owned(),
            Some(Value::String(name)) if name == "array" => "list".to_owned(),
            Some(Value::String(name)) if schema.get("examples").is_some() && name == "string" => {
                "duration".to_owned()
            }
            Some(Value::String(name)) => name.clone(),
            Some(Value::Array(names)) => {
                let names: Vec<_> = names.iter().filter_map(Value::as_str).collect();
                names.join(" | ")
            }
            _ => "any".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_schema_is_the_generated_one() {
        crate::telemetry::assert_committed("config/schema.json", &text());
    }

    #[test]
    fn a_key_is_explained_with_its_type_default_and_variable() {
        let found = explain("connections[0].streams.bank_transactions.poll_interval").unwrap();
        assert_eq!(found.key, "connections[].streams.bank_transactions.poll_interval");
        assert_eq!(found.kind, "duration");
        assert_eq!(found.default, Some("5m".into()));
        assert_eq!(found.env, "VOMSIS__CONNECTIONS__0__STREAMS__BANK_TRANSACTIONS__POLL_INTERVAL");
        assert!(found.doc.contains("5m"));
    }

    #[test]
    fn a_default_of_a_section_reaches_its_keys() {
        assert_eq!(explain("kafka.shards").unwrap().default, Some(8.into()));
        assert_eq!(explain("connections.quota.concurrency").unwrap().default, Some(2.into()));
    }

    #[test]
    fn an_unknown_key_is_answered_with_the_nearest() {
        let error = explain("kafka.shard").unwrap_err();
        assert_eq!(error.near.as_deref(), Some("kafka.shards"));
    }

    #[test]
    fn sections_list_their_keys() {
        assert!(explain("sink").unwrap().keys.contains(&"max_in_doubt".to_owned()));
        assert!(explain("connections").unwrap().keys.contains(&"bank_pos".to_owned()));
    }
}
