//! `values.schema.json` is `schema/chart.json` with the configuration's own schema in it, so that
//! `helm install` refuses what the connector would refuse.

use std::fs;

use serde_json::{Map, Value, json};

use super::{chart, json, text};

/// The two schemas as one, as it is committed.
fn composed() -> String {
    let mut values = json("schema/chart.json");
    let config = fs::read_to_string(chart().join("../../config/schema.json")).unwrap();
    let mut config: Map<String, Value> = serde_json::from_str(&config).unwrap();
    let mut definitions = config.remove("definitions").unwrap();
    // An id of its own would turn every reference below it to another document.
    config.remove("$id");
    config.remove("$schema");
    definitions["Config"] = Value::Object(config);
    plain(&mut definitions);
    values["definitions"] = definitions;
    let mut text = serde_json::to_string_pretty(&values).unwrap();
    text.push('\n');
    text
}

/// Says the same in words that a validator repeats in one line: a section with a single condition
/// is the condition, and "a section or null" asks for the section where there is no null.
fn plain(node: &mut Value) {
    match node {
        Value::Array(items) => items.iter_mut().for_each(plain),
        Value::Object(entries) => {
            entries.values_mut().for_each(plain);
            let only = entries.get("allOf").and_then(Value::as_array).filter(|all| all.len() == 1);
            if let Some(only) = only.map(|all| all[0].clone()) {
                *node = only;
                return;
            }
            let options = entries.get("anyOf").and_then(Value::as_array);
            let section = options.filter(|o| o.len() == 2 && o[1] == json!({"type": "null"}));
            if let Some(section) = section.map(|options| options[0].clone()) {
                entries.remove("anyOf");
                entries.insert("if".to_owned(), json!({"type": "null"}));
                entries.insert("else".to_owned(), section);
            }
        }
        _ => {}
    }
}

#[test]
fn the_schema_of_the_values_holds_the_schema_of_the_configuration() {
    let composed = composed();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(chart().join("values.schema.json"), &composed).unwrap();
    }
    let committed = text("values.schema.json");
    assert!(
        committed == composed,
        "values.schema.json is out of date; run UPDATE=1 cargo test --test it chart::"
    );
}

#[test]
fn the_chart_counts_with_the_configuration_s_default_of_shards() {
    let config = fs::read_to_string(chart().join("../../config/schema.json")).unwrap();
    let config: Value = serde_json::from_str(&config).unwrap();
    let shards = &config["definitions"]["Kafka"]["properties"]["shards"]["default"];
    let checks = text("templates/_checks.tpl");
    let wanted = format!("dig \"kafka\" \"shards\" {shards} $config");
    assert!(checks.contains(&wanted), "templates/_checks.tpl must say: {wanted}");
}

#[test]
fn chart_and_image_are_of_the_version_of_the_program() {
    let version = env!("CARGO_PKG_VERSION");
    let image = format!("image: vomsis-connect:{version}\n");
    for (file, wanted) in [
        ("Chart.yaml", format!("appVersion: {version}\n")),
        ("../../Dockerfile", format!("ARG VERSION={version}\n")),
        ("../../docker-compose.yml", image),
    ] {
        assert!(text(file).contains(&wanted), "{file} must say: {wanted}");
    }
}

/// A Pod that is killed in the middle of its drain leaves transactions to time out.
#[test]
fn the_chart_refuses_less_time_than_a_drain_takes() {
    let app = text("../../src/app.rs");
    let seconds = |name: &str| -> u64 {
        let (_, rest) =
            app.split_once(&format!("const {name}: Duration = Duration::from_secs(")).unwrap();
        rest.split(')').next().unwrap().parse().unwrap()
    };
    let takes = seconds("DRAIN") + seconds("LEAVE");
    let least =
        &json("schema/chart.json")["properties"]["terminationGracePeriodSeconds"]["minimum"];
    assert_eq!(least.as_u64(), Some(takes));
    let described = format!("drains within {takes} s");
    assert!(text("values.yaml").contains(&described), "values.yaml must say: {described}");
}
