//! `docs/configuration.md`, from the schema of the configuration.

use serde_json::Value;
use vomsis_connect::config::schema::{Explanation, explain};

use super::{assert_committed, cell};

const INTRODUCTION: &str = "# Configuration

One YAML file, `--config FILE` or `VOMSIS_CONFIG`, by default `/etc/vomsis/config.yaml`. A variable of the
environment wins over the file: its name is the key in capitals with `__` between the parts, a number where
a list stands (`VOMSIS__CONNECTIONS__0__QUOTA__REQUESTS_PER_MINUTE=90`). One that begins in another way
(`VOMSIS_KAFKA__SHARDS`) sets nothing, and a warning names the right one. One that is empty is an error:
`null` takes a value away, `\"\"` is an empty text. An unknown key is an error that
names the nearest known one. Secrets are never written here: a key that ends in `_file` names the file that
holds one. Those of the APIs, the registry and the admin listener are read again when they change.

`vomsis-connect config init` writes a commented file to begin with, `config validate` checks one, `config
show` prints what is in force, `config explain KEY` tells what stands below; KEY may be a variable too. Complete examples:
[`config/minimal.yaml`](../config/minimal.yaml), [`config/full.yaml`](../config/full.yaml). Editors know the
keys from [`config/schema.json`](../config/schema.json).

This page is made from the program; `UPDATE=1 cargo test --test it pages::` writes it.
";

fn default(found: &Explanation) -> String {
    match &found.default {
        None | Some(Value::Null) => String::new(),
        Some(value) if value.is_object() || value.is_array() && found.kind == "list" => {
            if value.as_array().is_some_and(Vec::is_empty) {
                "none".to_owned()
            } else {
                String::new()
            }
        }
        Some(Value::String(text)) => format!("`{text}`"),
        Some(value) => format!("`{value}`"),
    }
}

/// A section: its own sentence, its keys as a table, then the sections below it.
fn section(key: &str, page: &mut String) {
    let found = explain(key).unwrap();
    *page += &format!("\n## `{}`\n\n{}\n", found.key, found.doc);
    let children: Vec<_> =
        found.keys.iter().map(|below| explain(&format!("{key}.{below}")).unwrap()).collect();
    let (sections, settings): (Vec<_>, Vec<_>) =
        children.into_iter().partition(|child| !child.keys.is_empty());
    table(&settings, page);
    for below in &sections {
        section(&below.key, page);
    }
}

fn table(settings: &[Explanation], page: &mut String) {
    if settings.is_empty() {
        return;
    }
    *page += "\n| key | type | default | meaning |\n|---|---|---|---|\n";
    for setting in settings {
        let name = setting.key.rsplit('.').next().unwrap();
        let (kind, doc) = (cell(&setting.kind), cell(&setting.doc));
        *page += &format!("| `{name}` | {kind} | {} | {doc} |\n", cell(&default(setting)));
    }
}

#[test]
fn the_page_of_the_configuration_is_what_the_program_knows() {
    let root = explain("").unwrap();
    let mut page = INTRODUCTION.to_owned();
    let top: Vec<_> = root.keys.iter().map(|key| explain(key).unwrap()).collect();
    let (sections, settings): (Vec<_>, Vec<_>) =
        top.into_iter().partition(|child| !child.keys.is_empty());
    table(&settings, &mut page);
    for below in &sections {
        section(&below.key, &mut page);
    }
    assert!(page.contains("| `max_daily_amount` |") && page.contains("| `shards` |"));
    assert_committed("docs/configuration.md", &page);
}
