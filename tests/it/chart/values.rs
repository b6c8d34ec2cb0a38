//! Each value is used, each used value is declared, and values, schema and README know the same.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{json, templates::read_by_templates, text, yaml};

/// What only a parent chart reads.
const OF_A_PARENT: [&str; 2] = ["enabled", "global"];

/// The paths of all leaves: scalars, lists and empty maps.
fn leaves(node: &Value, path: &str, found: &mut Vec<String>) {
    match node.as_object() {
        Some(entries) if !entries.is_empty() => {
            for (key, below) in entries {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                leaves(below, &path, found);
            }
        }
        _ => found.push(path.to_owned()),
    }
}

fn declared() -> Vec<String> {
    let mut found = Vec::new();
    leaves(&yaml("values.yaml"), "", &mut found);
    found
}

fn is_or_is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[test]
fn each_value_is_used() {
    let read = read_by_templates();
    assert!(read.len() > 80, "{read:?}");
    let unused: Vec<_> = declared()
        .into_iter()
        .filter(|leaf| !read.iter().any(|path| is_or_is_below(leaf, path)))
        .collect();
    assert!(unused.is_empty(), "no template reads {unused:?}");
}

#[test]
fn each_used_value_is_declared() {
    let values = yaml("values.yaml");
    let undeclared: Vec<_> = read_by_templates()
        .into_iter()
        .filter(|path| {
            let mut node = &values;
            for key in path.split('.') {
                // An empty map is the operator's to fill.
                if node.as_object().is_some_and(serde_json::Map::is_empty) {
                    return false;
                }
                match node.get(key) {
                    Some(below) => node = below,
                    None => return true,
                }
            }
            false
        })
        .collect();
    assert!(undeclared.is_empty(), "values.yaml does not have {undeclared:?}");
}

/// Sections of which the chart sets some keys and Kubernetes knows more.
const OPEN: [&str; 3] = ["probes.liveness", "probes.readiness", "probes.startup"];

#[test]
fn the_schema_and_the_values_know_the_same_keys() {
    let mut known = Vec::new();
    keys_of_schema(&json("schema/chart.json"), "", &mut known);
    let known: BTreeSet<_> = known.into_iter().collect();
    let of_parent = |path: &&String| OF_A_PARENT.iter().any(|key| path == key);
    assert_eq!(known.iter().filter(of_parent).count(), OF_A_PARENT.len());
    let in_open = |path: &str| OPEN.iter().any(|open| is_or_is_below(path, open));
    let declared = declared();
    let missing: Vec<_> = known
        .iter()
        .filter(|path| !of_parent(path) && !in_open(path))
        .filter(|path| !declared.iter().any(|leaf| is_or_is_below(leaf, path)))
        .collect();
    assert!(missing.is_empty(), "values.yaml does not declare {missing:?}");
    let unknown: Vec<_> = declared
        .iter()
        .filter(|leaf| !known.iter().any(|path| is_or_is_below(leaf, path)))
        .collect();
    assert!(unknown.is_empty(), "schema/chart.json does not know {unknown:?}");
}

fn keys_of_schema(node: &Value, path: &str, found: &mut Vec<String>) {
    match node["properties"].as_object() {
        Some(properties) => {
            assert_eq!(node["additionalProperties"], false, "{path:?} takes unknown keys");
            for (key, below) in properties {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                keys_of_schema(below, &path, found);
            }
        }
        None => found.push(path.to_owned()),
    }
}

/// Null takes a key away, and a template that looks into a section that is gone ends in the middle of a
/// sentence about pointers.
#[test]
fn no_section_can_be_taken_away() {
    let mut open = Vec::new();
    sections(&json("schema/chart.json"), "", &mut open);
    assert!(open.is_empty(), "schema/chart.json does not require {open:?}");
}

fn sections(node: &Value, path: &str, open: &mut Vec<String>) {
    let Some(properties) = node["properties"].as_object() else { return };
    for (key, below) in properties.iter().filter(|(_, below)| below["properties"].is_object()) {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let required =
            node["required"].as_array().is_some_and(|keys| keys.iter().any(|k| k == key));
        sections(below, &path, open);
        if !required {
            open.push(path);
        }
    }
}

#[test]
fn each_value_is_described() {
    let text = text("values.yaml");
    let lines: Vec<&str> = text.lines().collect();
    let described = |line: usize| line > 0 && lines[line - 1].trim_start().starts_with("# -- ");
    let mut depth_described = None;
    let mut bare = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let depth = line.len() - line.trim_start().len();
        let Some((key, value)) = line.trim_start().split_once(':') else { continue };
        if key.starts_with('#') || depth_described.is_some_and(|above| depth > above) {
            continue;
        }
        depth_described = described(number).then_some(depth);
        if depth_described.is_none() && !value.trim().is_empty() {
            bare.push(key);
        }
    }
    assert!(bare.is_empty(), "no `# --` line above {bare:?}");
}
