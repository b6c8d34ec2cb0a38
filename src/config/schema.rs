//! The JSON Schema of the configuration, and the answers that can be read from it.

use serde_json::{Map, Value};

use super::{
    env,
    load::nearest,
    properties::{self, Verdict},
    shape,
};

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

/// Whether a key stands at the top.
pub(super) fn has_section(key: &str) -> bool {
    let root = value();
    Node { schema: &root, root: &root }.property(key).is_some()
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
    /// Those that may have been meant, whole.
    pub near: Vec<String>,
    /// In words, the section where the search ended.
    place: String,
    known: Vec<String>,
}

/// Explains a dotted key, or the environment variable that sets it; the index of a list may be left
/// out or written `[0]`, `[]` or `.0.`.
pub fn explain(key: &str) -> Result<Explanation, UnknownKey> {
    let root = value();
    let mut node = Node { schema: &root, root: &root }.resolved();
    let mut shown: Vec<String> = Vec::new();
    let mut env = "VOMSIS".to_owned();
    let mut doc = node.doc();
    let mut default: Option<Value> = None;
    let steps = steps(key);
    let mut rest = steps.as_slice();
    while let Some((step, behind)) = rest.split_first() {
        if let Some(item) = node.item() {
            node = item;
            env.push_str("__0");
            if let Some(list) = shown.last_mut() {
                list.push_str("[]");
            }
        }
        if let Some(entry) = node.entry() {
            return Ok(entry_of(&shown, &env, &doc, (entry.kind(), &rest.join("."))));
        }
        let Some(below) = node.property(step) else {
            let near = near(&root, &shown, step, node, &steps);
            let place = match shown.as_slice() {
                [] => "at the top".to_owned(),
                shown => format!("below {}", shown.join(".")),
            };
            return Err(UnknownKey { key: key.to_owned(), near, place, known: node.keys() });
        };
        default = below.default().or_else(|| default.as_ref()?.get(step).cloned());
        doc = below.doc();
        node = below.resolved();
        shown.push(step.clone());
        env = format!("{env}__{}", step.to_ascii_uppercase());
        rest = behind;
    }
    let keys = node.item().unwrap_or(node).keys();
    Ok(Explanation { key: shown.join("."), kind: node.kind(), default, doc, env, keys })
}

/// The parts of a dotted key or of a variable's name, without indices.
fn steps(key: &str) -> Vec<String> {
    let named = env::steps_of(key)
        .unwrap_or_else(|| key.replace(['[', ']'], ".").split('.').map(str::to_owned).collect());
    named.into_iter().filter(|step| !is_index(step)).collect()
}

/// An entry of a section whose keys are free: settings of librdkafka, classes and fields.
fn entry_of(
    shown: &[String],
    env: &str,
    section: &str,
    (kind, name): (String, &str),
) -> Explanation {
    let is_property = shown.last().is_some_and(|last| last.ends_with("properties"));
    let dot = if is_property { "_" } else { "__" };
    let doc = if !is_property {
        section.to_owned()
    } else {
        match properties::judge(name, "0") {
            Verdict::Refuse(why) => why,
            Verdict::FromFile { name } => {
                format!("The file that holds librdkafka's {name}. {section}")
            }
            Verdict::Pass => {
                format!("librdkafka's {name}; its CONFIGURATION.md says what it does. {section}")
            }
        }
    };
    Explanation {
        key: format!("{}.{name}", shown.join(".")),
        kind,
        default: None,
        doc,
        env: format!("{env}__{}", name.replace('.', dot).to_ascii_uppercase()),
        keys: Vec::new(),
    }
}

/// What may have been meant: keys anywhere that end as the one that was asked for, then the nearest
/// beside it, then those anywhere whose last part is near or has the word in it.
fn near(
    root: &Value,
    shown: &[String],
    step: &str,
    node: Node<'_>,
    steps: &[String],
) -> Vec<String> {
    let mut all = Vec::new();
    Node { schema: root, root }.resolved().collect("", &mut all);
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    let ending = |end: &str| -> Vec<String> {
        let behind = format!(".{end}");
        all.iter().filter(|key| key.as_str() == end || key.ends_with(&behind)).cloned().collect()
    };
    let asked = steps.join(".").to_ascii_lowercase().replace('-', "_");
    let word = last(&asked);
    let beside = || {
        let known = node.keys();
        let near = nearest(step, &known.iter().map(String::as_str).collect::<Vec<_>>())?;
        Some(shown.iter().map(String::as_str).chain([near]).collect::<Vec<_>>().join("."))
    };
    let anywhere = || {
        let lasts: Vec<String> = all.iter().map(|key| last(key)).collect();
        let near = nearest(&word, &lasts.iter().map(String::as_str).collect::<Vec<_>>());
        near.map(&ending).unwrap_or_default()
    };
    let holding = || {
        let has = |key: &&String| last(key).split('_').any(|part| part == word);
        all.iter().filter(has).cloned().collect()
    };
    let found: [&dyn Fn() -> Vec<String>; 4] =
        [&|| ending(&asked), &|| beside().into_iter().collect(), &anywhere, &holding];
    found.iter().map(|find| find()).find(|found| !found.is_empty()).unwrap_or_default()
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

    /// What a section with free keys holds.
    fn entry(self) -> Option<Self> {
        let free = self.resolved().schema.get("additionalProperties")?;
        free.is_object().then(|| self.with(free))
    }

    /// Every key below, dotted.
    fn collect(self, above: &str, all: &mut Vec<String>) {
        let node = self.item().unwrap_or(self);
        for (name, below) in node.properties().into_iter().flatten() {
            let dot = if above.is_empty() { "" } else { "." };
            let key = format!("{above}{dot}{name}");
            all.push(key.clone());
            node.with(below).resolved().collect(&key, all);
        }
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
        assert_eq!(error.near, ["kafka.shards"]);
    }

    #[test]
    fn a_short_name_is_answered_with_the_keys_that_end_in_it() {
        let near = |key: &str| explain(key).unwrap_err().near;
        assert_eq!(near("shards"), ["kafka.shards"]);
        assert_eq!(near("Replication-Factor"), ["kafka.replication_factor"]);
        assert_eq!(near("quota.concurrency"), ["connections.quota.concurrency"]);
        assert_eq!(near("shard"), ["kafka.shards"]);
        let lookbacks = near("lookback");
        assert!(lookbacks.len() > 2, "{lookbacks:?}");
        assert!(lookbacks.iter().all(|key| key.ends_with(".lookback")), "{lookbacks:?}");
        assert!(
            near("interval").contains(&"connections.streams.reference.poll_interval".to_owned())
        );
        assert_eq!(near("xyzzy"), Vec::<String>::new());
    }

    #[test]
    fn a_variable_is_explained_as_the_key_that_it_sets() {
        for name in ["VOMSIS__KAFKA__SHARDS", "VOMSIS_KAFKA__SHARDS", "vomsis__kafka__shards"] {
            assert_eq!(explain(name).unwrap(), explain("kafka.shards").unwrap());
        }
        let found = explain("VOMSIS__CONNECTIONS__1__QUOTA__CONCURRENCY").unwrap();
        assert_eq!(found.key, "connections[].quota.concurrency");
        let found = explain("VOMSIS__KAFKA__PROPERTIES__SASL_PASSWORD_FILE").unwrap();
        assert_eq!(found, explain("kafka.properties.sasl.password_file").unwrap());
        assert_eq!(found.key, "kafka.properties.sasl.password_file");
        assert_eq!(found.env, "VOMSIS__KAFKA__PROPERTIES__SASL_PASSWORD_FILE");
    }

    #[test]
    fn settings_of_librdkafka_and_fields_are_explained_by_their_section() {
        let found = explain("kafka.properties.security.protocol").unwrap();
        assert!(found.doc.contains("librdkafka's security.protocol"), "{found:?}");
        assert!(found.doc.contains("every client"), "{found:?}");
        let found = explain("kafka.producer_properties.acks").unwrap();
        assert!(found.doc.contains("cannot be set here"), "{found:?}");
        assert!(explain("kafka.properties.sasl.password").unwrap().doc.contains("from files"));
        let found = explain("privacy.fields.BankTransaction.note").unwrap();
        assert_eq!(found.kind, "clear | mask | hmac | drop");
        assert_eq!(found.env, "VOMSIS__PRIVACY__FIELDS__BANKTRANSACTION__NOTE");
    }

    #[test]
    fn sections_list_their_keys() {
        assert!(explain("sink").unwrap().keys.contains(&"max_in_doubt".to_owned()));
        assert!(explain("connections").unwrap().keys.contains(&"bank_pos".to_owned()));
    }
}
