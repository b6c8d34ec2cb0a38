//! The environment over the file: `VOMSIS__KAFKA__SHARDS=16` sets `kafka.shards`.
//!
//! A double underscore goes one level down, a number picks an entry of a list, and the value is
//! one YAML scalar, never an empty one. Names are lower-cased; below `*properties` a single underscore stands for the
//! dot of librdkafka's names, below `privacy.fields` a double one for the dot behind the record.

use std::collections::HashMap;

use super::{
    error::Origin,
    schema,
    tree::{Key, Malformed, Node, Value},
};

/// What every variable that belongs to the configuration begins with.
pub(crate) const PREFIX: &str = "VOMSIS__";
const EMPTY: &str = "is empty: write null to take the value away, or unset the variable";

/// Lays the variables over the tree, in the order of their names.
pub(crate) fn overlay(
    root: &mut Node,
    variables: impl Iterator<Item = (String, String)>,
) -> Result<(), Malformed> {
    let mut ours: Vec<_> = variables.filter(|(name, _)| name.starts_with(PREFIX)).collect();
    // `…__10__…` must come after `…__9__…`, so that a list can be written whole.
    ours.sort_by_cached_key(|(name, _)| {
        name.split("__")
            .map(|part| (part.parse::<usize>().unwrap_or(0), part.to_owned()))
            .collect::<Vec<_>>()
    });
    let mut named: HashMap<Vec<String>, String> = HashMap::new();
    for (name, text) in ours {
        let origin = Origin::Env(name.as_str().into());
        let steps = steps(&name, &origin)?;
        // A template leaves one behind where it knows no value: as null it would take a cap or a mask away.
        if text.trim().is_empty() {
            return Err(Malformed { at: origin, message: EMPTY.to_owned() });
        }
        // Of two that differ in capitals one would win without a word, whoever wrote it.
        if let Some(other) = named.insert(steps.clone(), name) {
            let message = format!("{other} sets the same key; remove one of the two");
            return Err(Malformed { at: origin, message });
        }
        set(root, &steps, &origin, &text)?;
    }
    Ok(())
}

/// What to say of variables that are meant for the configuration and do not begin as its own do:
/// `VOMSIS_KAFKA__SHARDS` sets nothing. Names alone are looked at, as others may begin with `VOMSIS_`.
pub(crate) fn misspelt<'a>(names: impl Iterator<Item = &'a str>) -> Vec<(Origin, String)> {
    let mut found: Vec<_> = names.filter_map(|name| Some((name, meant(name)?))).collect();
    found.sort();
    found
        .into_iter()
        .map(|(name, right)| (Origin::Env(name.into()), format!("sets nothing; write {right}")))
        .collect()
}

/// The variable that the name is a slip of.
fn meant(name: &str) -> Option<String> {
    let (start, rest) = name.split_once('_')?;
    let rest = rest.trim_start_matches('_');
    let (section, _) = rest.split_once("__")?;
    let is_ours = name.starts_with(PREFIX) || !start.eq_ignore_ascii_case("vomsis");
    let known = schema::has_section(&section.to_ascii_lowercase());
    (!is_ours && known).then(|| format!("{PREFIX}{}", rest.to_ascii_uppercase()))
}

/// The parts of the key that a variable sets, or was meant to set; nothing for other names.
pub(super) fn steps_of(name: &str) -> Option<Vec<String>> {
    let name = match name.starts_with(PREFIX) {
        true => name.to_owned(),
        false => meant(name)?,
    };
    steps(&name, &Origin::Env(name.as_str().into())).ok()
}

fn steps(name: &str, origin: &Origin) -> Result<Vec<String>, Malformed> {
    let path = name.strip_prefix(PREFIX).unwrap_or(name);
    let mut steps: Vec<String> = Vec::new();
    for part in path.split("__") {
        if part.is_empty() {
            let message = "an empty section; write VOMSIS__SECTION__KEY".to_owned();
            return Err(Malformed { at: origin.clone(), message });
        }
        let in_properties = steps.last().is_some_and(|last| last.ends_with("properties"));
        let lower = part.to_ascii_lowercase();
        let in_field = matches!(steps.as_slice(), [p, f, _] if p == "privacy" && f == "fields");
        match steps.last_mut().filter(|_| in_field) {
            Some(record) => record.push_str(&format!(".{lower}")),
            None => steps.push(if in_properties { property_name(&lower) } else { lower }),
        }
    }
    Ok(steps)
}

/// `sasl_password_file` is the property `sasl.password` read from a file.
fn property_name(lower: &str) -> String {
    match lower.strip_suffix("_file") {
        Some(stem) => format!("{}_file", stem.replace('_', ".")),
        None => lower.replace('_', "."),
    }
}

fn set(node: &mut Node, steps: &[String], origin: &Origin, text: &str) -> Result<(), Malformed> {
    let Some((first, rest)) = steps.split_first() else {
        *node = scalar(origin, text);
        return Ok(());
    };
    let index = first.parse::<usize>().ok();
    if node.is_null() {
        let value = if index.is_some() { Value::List(Vec::new()) } else { Value::Map(Vec::new()) };
        *node = Node { at: origin.clone(), value };
    }
    let below = match (&mut node.value, index) {
        (Value::List(items), Some(index)) => {
            let length = items.len();
            if index == length {
                items.push(Node::plain(origin.clone(), ""));
            }
            items.get_mut(index).ok_or_else(|| Malformed {
                at: origin.clone(),
                message: format!("the list has {length} entries; the next index is {length}"),
            })?
        }
        (Value::Map(entries), _) => entry(entries, first, origin),
        (Value::List(_), None) => {
            let message = format!("{first:?} is no index; a list is set as …__0__…");
            return Err(Malformed { at: origin.clone(), message });
        }
        (Value::Scalar { .. }, _) => {
            let message = format!("{first:?} is below a single value; remove one of the two");
            return Err(Malformed { at: origin.clone(), message });
        }
    };
    set(below, rest, origin, text)
}

fn entry<'a>(entries: &'a mut Vec<(Key, Node)>, key: &str, origin: &Origin) -> &'a mut Node {
    let exact = entries.iter().position(|(known, _)| known.text == key);
    // Names of fields have capitals, `BankTransaction.note`; those of variables have no others.
    let alike = || entries.iter().position(|(known, _)| known.text.eq_ignore_ascii_case(key));
    let known = exact.or_else(alike);
    let index = known.unwrap_or_else(|| {
        let key = Key { text: key.to_owned(), at: origin.clone() };
        entries.push((key, Node::plain(origin.clone(), "")));
        entries.len() - 1
    });
    &mut entries[index].1
}

fn scalar(origin: &Origin, text: &str) -> Node {
    let quoted = |quote: char| text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    match quoted('"').or_else(|| quoted('\'')) {
        Some(inner) => Node {
            at: origin.clone(),
            value: Value::Scalar { text: inner.to_owned(), plain: false },
        },
        None => Node::plain(origin.clone(), text.trim()),
    }
}

/// The origin of a variable, for messages about it.
#[cfg(test)]
pub(crate) fn origin(name: &str) -> Origin {
    Origin::Env(name.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tree::{Step, parse};

    fn overlaid(file: &str, variables: &[(&str, &str)]) -> Result<Node, Malformed> {
        let mut root = parse(file).unwrap();
        let pairs = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        overlay(&mut root, pairs)?;
        Ok(root)
    }

    fn text<'a>(root: &'a Node, path: &[Step<'_>]) -> &'a str {
        match &root.nearest(path).value {
            Value::Scalar { text, .. } => text,
            Value::List(_) | Value::Map(_) => "(not a scalar)",
        }
    }

    #[test]
    fn a_variable_wins_over_the_file_and_remembers_its_name() {
        let root = overlaid("kafka: {shards: 8}", &[("VOMSIS__KAFKA__SHARDS", "16")]).unwrap();
        let path = [Step::Key("kafka"), Step::Key("shards")];
        assert_eq!(text(&root, &path), "16");
        assert_eq!(root.nearest(&path).at, origin("VOMSIS__KAFKA__SHARDS"));
    }

    #[test]
    fn of_two_variables_of_one_key_none_wins() {
        let pairs = [("VOMSIS__SINK__ENABLED", "false"), ("VOMSIS__sink__enabled", "true")];
        let error = overlaid("", &pairs).unwrap_err();
        assert_eq!(error.at, origin("VOMSIS__sink__enabled"));
        assert!(error.message.starts_with("VOMSIS__SINK__ENABLED sets the same"), "{error:?}");
    }

    #[test]
    fn an_empty_variable_takes_nothing_away() {
        for name in ["VOMSIS__SINK__MAX_AMOUNT", "VOMSIS__PRIVACY__CLASSES", "VOMSIS__KAFKA"] {
            for blank in ["", " ", "\t\n"] {
                let file =
                    "sink: {max_amount: 5}\nprivacy: {classes: {P: mask}}\nkafka: {shards: 4}";
                let error = overlaid(file, &[(name, blank)]).unwrap_err();
                assert_eq!((&error.at, &*error.message), (&origin(name), EMPTY));
            }
        }
        // Whoever means nothing, or an empty text, says so.
        let path = [Step::Key("sink"), Step::Key("max_amount")];
        let taken = overlaid("sink: {max_amount: 5}", &[("VOMSIS__SINK__MAX_AMOUNT", "null")]);
        assert!(taken.unwrap().nearest(&path).is_null());
        let quoted = overlaid("env: a", &[("VOMSIS__ENV", "\"\"")]).unwrap();
        let env = quoted.nearest(&[Step::Key("env")]);
        assert!(matches!(&env.value, Value::Scalar { text, plain: false } if text.is_empty()));
        let others = overlaid("", &[("VOMSIS_CONFIG", ""), ("HOME", "")]);
        assert!(others.is_ok(), "{others:?}");
    }

    #[test]
    fn a_list_can_be_written_whole_even_past_nine() {
        let names: Vec<_> = (0..12).map(|i| format!("VOMSIS__CONNECTIONS__{i}__ID")).collect();
        let pairs: Vec<_> = names.iter().map(|name| (name.as_str(), "x")).collect();
        let root = overlaid("", &pairs).unwrap();
        let path = [Step::Key("connections"), Step::Index(11), Step::Key("id")];
        assert_eq!(text(&root, &path), "x");
    }

    #[test]
    fn an_index_with_a_hole_before_it_is_refused_with_the_next_one() {
        let error = overlaid("connections: [{id: a}]", &[("VOMSIS__CONNECTIONS__2__ID", "c")]);
        assert!(error.unwrap_err().message.contains("the next index is 1"));
    }

    #[test]
    fn properties_are_spelled_with_underscores() {
        let pairs = [("VOMSIS__KAFKA__PROPERTIES__SASL_PASSWORD_FILE", "/run/p")];
        let root = overlaid("", &pairs).unwrap();
        let path = [Step::Key("kafka"), Step::Key("properties"), Step::Key("sasl.password_file")];
        assert_eq!(text(&root, &path), "/run/p");
    }

    #[test]
    fn a_field_of_the_privacy_rules_is_found_whatever_its_capitals() {
        let file = "privacy: {fields: {BankTransaction.note: clear}}";
        for name in ["BANKTRANSACTION__NOTE", "BankTransaction.note"] {
            let name = format!("VOMSIS__PRIVACY__FIELDS__{name}");
            let root = overlaid(file, &[(&name, "drop")]).unwrap();
            let fields = [Step::Key("privacy"), Step::Key("fields")];
            let Value::Map(entries) = &root.nearest(&fields).value else { panic!("{root:?}") };
            assert_eq!(entries.len(), 1, "{entries:?}");
            let path = [fields[0], fields[1], Step::Key("BankTransaction.note")];
            assert_eq!(text(&root, &path), "drop");
        }
    }

    #[test]
    fn a_variable_with_another_beginning_is_answered_with_the_right_name() {
        let names = [
            "vomsis__sink__enabled",
            "VOMSIS_KAFKA__BOOTSTRAP_SERVERS",
            // The last four are somebody else's, or the program's own.
            "VOMSIS__KAFKA__SHARDS",
            "VOMSIS_CONFIG",
            "VOMSIS_KAFKA_PORT_9092_TCP",
            "VOMSIS_CACHE__SIZE",
        ];
        let found = misspelt(names.into_iter());
        let expected = [
            ("VOMSIS_KAFKA__BOOTSTRAP_SERVERS", "VOMSIS__KAFKA__BOOTSTRAP_SERVERS"),
            ("vomsis__sink__enabled", "VOMSIS__SINK__ENABLED"),
        ];
        let expected =
            expected.map(|(name, right)| (origin(name), format!("sets nothing; write {right}")));
        assert_eq!(found, expected);
    }

    #[test]
    fn other_variables_are_nobodys_business() {
        let pairs = [("VOMSIS_CONFIG", "x"), ("HOME", "/root"), ("VOMSIS_PORT", "tcp://1")];
        let root = overlaid("", &pairs).unwrap();
        assert!(matches!(root.value, Value::Map(entries) if entries.is_empty()));
    }
}
