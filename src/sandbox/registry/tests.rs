use std::net::Ipv4Addr;

use reqwest::{Client, Method};
use serde_json::{Value, json};

use super::*;

const ONE: &str = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"long"}]}"#;
const SPACED: &str =
    r#"{"type": "record", "name": "R", "fields": [{"name": "a", "type": "long"}]}"#;
const WIDER: &str = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"long"},{"name":"b","type":["null","string"],"default":null}]}"#;
const BROKEN: &str = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"long"},{"name":"c","type":"string"}]}"#;

async fn call(registry: &Registry, method: Method, path: &str, body: Value) -> (u16, Value) {
    let request = Client::new().request(method, format!("{}{path}", registry.url()));
    let answer = request.json(&body).send().await.unwrap();
    let kind = &answer.headers()["content-type"];
    assert_eq!(kind, "application/vnd.schemaregistry.v1+json");
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn get(registry: &Registry, path: &str) -> (u16, Value) {
    call(registry, Method::GET, path, Value::Null).await
}

async fn post(registry: &Registry, path: &str, schema: &str) -> (u16, Value) {
    call(registry, Method::POST, path, json!({"schema": schema})).await
}

async fn started() -> Registry {
    Registry::start((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap()
}

#[tokio::test]
async fn ids_belong_to_contents_and_versions_to_subjects() {
    let registry = started().await;
    assert_eq!(post(&registry, "/subjects/a-value/versions", ONE).await, (200, json!({"id": 1})));
    assert_eq!(post(&registry, "/subjects/a-value/versions", SPACED).await.1["id"], 1);
    assert_eq!(post(&registry, "/subjects/a-value/versions", WIDER).await.1["id"], 2);
    assert_eq!(post(&registry, "/subjects/b-value/versions", WIDER).await.1["id"], 2);
    assert_eq!(get(&registry, "/subjects").await.1, json!(["a-value", "b-value"]));
    assert_eq!(get(&registry, "/subjects/a-value/versions").await.1, json!([1, 2]));
    let latest = get(&registry, "/subjects/a-value/versions/latest").await.1;
    assert_eq!(latest, json!({"subject": "a-value", "version": 2, "id": 2, "schema": WIDER}));
    assert_eq!(get(&registry, "/schemas/ids/1").await.1, json!({"schema": ONE}));
    let found = post(&registry, "/subjects/b-value", WIDER).await.1;
    assert_eq!((&found["id"], &found["version"]), (&json!(2), &json!(1)));
}

#[tokio::test]
async fn what_is_missing_or_wrong_has_its_own_code() {
    let registry = started().await;
    post(&registry, "/subjects/a-value/versions", ONE).await;
    let code = |(status, body): (u16, Value)| (status, body["error_code"].as_i64().unwrap());
    assert_eq!(code(post(&registry, "/subjects/none", ONE).await), (404, 40401));
    assert_eq!(code(post(&registry, "/subjects/a-value", WIDER).await), (404, 40403));
    assert_eq!(code(get(&registry, "/subjects/none/versions").await), (404, 40401));
    assert_eq!(code(get(&registry, "/subjects/a-value/versions/9").await), (404, 40402));
    assert_eq!(code(get(&registry, "/subjects/a-value/versions/x").await), (422, 42202));
    assert_eq!(code(get(&registry, "/schemas/ids/9").await), (404, 40403));
    assert_eq!(code(get(&registry, "/config/a-value").await), (404, 40408));
    let path = "/subjects/a-value/versions";
    assert_eq!(code(post(&registry, path, "{").await), (422, 42201));
    assert_eq!(code(post(&registry, path, BROKEN).await), (409, 409));
    let level = json!({"compatibility": "SIDEWAYS"});
    assert_eq!(code(call(&registry, Method::PUT, "/config", level).await), (422, 42203));
}

#[tokio::test]
async fn rules_are_asked_and_set() {
    let registry = started().await;
    post(&registry, "/subjects/a-value/versions", ONE).await;
    let path = "/compatibility/subjects/a-value/versions/latest";
    assert_eq!(post(&registry, path, WIDER).await.1, json!({"is_compatible": true}));
    assert_eq!(post(&registry, path, BROKEN).await.1, json!({"is_compatible": false}));
    let unknown = "/compatibility/subjects/none/versions/latest";
    assert_eq!(post(&registry, unknown, BROKEN).await.1, json!({"is_compatible": true}));
    assert_eq!(get(&registry, "/config").await.1, json!({"compatibilityLevel": "BACKWARD"}));
    let none = json!({"compatibility": "NONE"});
    let set = call(&registry, Method::PUT, "/config/a-value", none.clone()).await;
    assert_eq!(set, (200, none));
    assert_eq!(post(&registry, "/subjects/a-value/versions", BROKEN).await.0, 200);
    let global = get(&registry, "/config/b-value?defaultToGlobal=true").await.1;
    assert_eq!(global["compatibilityLevel"], "BACKWARD");
}
