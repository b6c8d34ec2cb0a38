//! `/_ctl/…`: how tests and demonstrations move the simulated world.

use chrono::NaiveDateTime;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    answer::Answer,
    call::pairs,
    faults::{FaultSpec, InvalidFault},
    payment,
    world::{RowOrder, World},
};
use crate::{
    domain::ids::Stream,
    sandbox::{
        generator::entities::Fields,
        ledger::{LedgerError, Load, Mix, NewPayment},
    },
};

/// Rows of one entity to add.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AddRows {
    stream: Stream,
    #[serde(alias = "account", alias = "station", alias = "institution")]
    entity: Option<Value>,
    rows: Vec<Fields>,
}

/// A row or an entity to change or to take away.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    stream: Stream,
    id: i64,
    #[serde(default)]
    fields: Fields,
}

/// An entity to add.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AddEntity {
    stream: Stream,
    #[serde(default)]
    fields: Fields,
    #[serde(default)]
    close: Option<i64>,
}

/// Faults to set, to add or to clear, and tokens to spoil.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SetFaults {
    set: Option<Vec<String>>,
    add: Vec<String>,
    clear: bool,
    expire_tokens: bool,
    unlock_tos: bool,
}

/// Settings to change; what is left out stays, and `null` is a value like any other.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ChangeSettings {
    #[serde(deserialize_with = "given")]
    order: Option<RowOrder>,
    #[serde(deserialize_with = "given")]
    gzip: Option<bool>,
    /// `null`: no limit.
    #[serde(deserialize_with = "given")]
    rate_limit: Option<Option<u32>>,
    #[serde(deserialize_with = "given")]
    arrivals_per_second: Option<f64>,
    #[serde(deserialize_with = "given")]
    mix: Option<Mix>,
    /// `YYYY-MM-DDTHH:MM:SS`: the clock stands there. `null`: it runs.
    #[serde(deserialize_with = "given")]
    now: Option<Option<NaiveDateTime>>,
    #[serde(deserialize_with = "given")]
    installments: Option<Value>,
}

/// A key that stands there. Without it `null` would be taken for a key that is left out.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(value: D) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tick {
    #[serde(default = "one")]
    count: u32,
}

const fn one() -> u32 {
    1
}

/// Why a control call fails.
#[derive(Debug, thiserror::Error)]
enum ControlError {
    #[error("body is not understood: {0}")]
    Body(#[from] serde_path_to_error::Error<serde_json::Error>),
    #[error("behind the body: {0}")]
    Rest(serde_json::Error),
    #[error("arrivals_per_second is {0}, write 0 or more")]
    Arrivals(f64),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Fault(#[from] InvalidFault),
}

/// Answers a control call.
pub(super) fn answer(
    world: &World,
    method: &str,
    command: &str,
    query: &str,
    body: &[u8],
) -> Answer {
    let done = match (method, command) {
        ("POST", "rows") => add_rows(world, body),
        ("PATCH", "rows") => edit(world, body),
        ("DELETE", "rows") => delete(world, body),
        ("POST", "entities") => add_entity(world, body),
        ("PATCH", "entities") => edit(world, body),
        ("DELETE", "entities") => delete(world, body),
        ("POST", "faults") => set_faults(world, body),
        ("GET", "faults") => Ok(json!({"faults": world.faults().list()})),
        ("POST", "settings") => change_settings(world, body),
        ("POST", "load") => load(world, body),
        ("POST", "tick") => tick(world, body),
        ("POST", "payments") => add_payment(world, body),
        ("GET", "payments") => return payments(world, query),
        ("GET", "ledger") => return ledger(world, query),
        ("GET", "requests") => return requests(world, query),
        ("DELETE", "requests") => {
            *world.requests() = <_>::default();
            Ok(json!({}))
        }
        _ => return Answer::json(404, json!({"error": "no such control call"})),
    };
    done.map_or_else(
        |error| Answer::json(400, json!({"error": error.to_string()})),
        |body| Answer::json(200, body),
    )
}

/// An empty body means every default. What is wrong is told with the key where it stands.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, ControlError> {
    let body = if body.is_empty() { b"{}" } else { body };
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json)?;
    json.end().map_err(ControlError::Rest)?;
    Ok(value)
}

fn add_rows(world: &World, body: &[u8]) -> Result<Value, ControlError> {
    let AddRows { stream, entity, rows } = read(body)?;
    let entity = match entity {
        Some(Value::String(text)) => text,
        Some(other) => other.to_string(),
        None if stream == Stream::TosPayments => "0006624".to_owned(),
        None => "all".to_owned(),
    };
    let ids = world.ledger().add_rows(stream, &entity, rows)?;
    Ok(json!({"ids": ids}))
}

fn edit(world: &World, body: &[u8]) -> Result<Value, ControlError> {
    let Change { stream, id, fields } = read(body)?;
    let mut ledger = world.ledger();
    if stream.is_reference() {
        ledger.edit_entity(stream, id, fields)?;
    } else {
        ledger.edit_row(stream, id, fields)?;
    }
    Ok(json!({"id": id}))
}

fn delete(world: &World, body: &[u8]) -> Result<Value, ControlError> {
    let Change { stream, id, .. } = read(body)?;
    let mut ledger = world.ledger();
    if stream.is_reference() {
        ledger.delete_entity(stream, id)?;
    } else {
        ledger.delete_row(stream, id)?;
    }
    Ok(json!({"id": id}))
}

fn add_entity(world: &World, body: &[u8]) -> Result<Value, ControlError> {
    let AddEntity { stream, fields, close } = read(body)?;
    let mut ledger = world.ledger();
    let id = match close {
        Some(id) => ledger.close_entity(stream, id).map(|()| id)?,
        None => ledger.add_entity(stream, fields)?,
    };
    Ok(json!({"id": id}))
}

fn parse_all(specs: &[String]) -> Result<Vec<FaultSpec>, InvalidFault> {
    specs.iter().map(|spec| spec.parse()).collect()
}

fn set_faults(world: &World, body: &[u8]) -> Result<Value, ControlError> {
    let SetFaults { set, add, clear, expire_tokens, unlock_tos } = read(body)?;
    let (set, add) = (set.as_deref().map(parse_all).transpose()?, parse_all(&add)?);
    let mut faults = world.faults();
    if clear {
        faults.set(Vec::new());
    }
    if let Some(set) = set {
        faults.set(set);
    }
    faults.add(add);
    if expire_tokens {
        world.tokens().expire_all();
    }
    if unlock_tos {
        world.tokens().unlock();
    }
    Ok(json!({"faults": faults.list()}))
}

fn change_settings(world: &World, body: &[u8]) -> Result<Value, ControlError> {
    let change: ChangeSettings = read(body)?;
    if let Some(rate) = change.arrivals_per_second.filter(|rate| *rate < 0.0) {
        return Err(ControlError::Arrivals(rate));
    }
    let mut settings = world.settings();
    settings.order = change.order.unwrap_or(settings.order);
    settings.gzip = change.gzip.unwrap_or(settings.gzip);
    settings.rate_limit = change.rate_limit.unwrap_or(settings.rate_limit);
    settings.arrivals_per_second =
        change.arrivals_per_second.unwrap_or(settings.arrivals_per_second);
    drop(settings);
    let mut ledger = world.ledger();
    ledger.mix = change.mix.unwrap_or(ledger.mix);
    if let Some(clock) = change.now {
        ledger.set_clock(clock);
    }
    if let Some(installments) = change.installments {
        ledger.set_installments(installments);
    }
    Ok(json!({}))
}

fn load(world: &World, body: &[u8]) -> Result<Value, ControlError> {
    let load: Load = read(body)?;
    let mut ledger = world.ledger();
    ledger.load(&load)?;
    let streams = Stream::ALL.into_iter().filter(|stream| !stream.is_reference());
    let counts: Fields =
        streams.map(|stream| (stream.to_string(), json!(ledger.count(stream)))).collect();
    Ok(json!({"rows": counts}))
}

fn tick(world: &World, body: &[u8]) -> Result<Value, ControlError> {
    let Tick { count } = read(body)?;
    let seen = world.ledger().tick(count)?;
    Ok(json!({"visible": seen}))
}

fn add_payment(world: &World, body: &[u8]) -> Result<Value, ControlError> {
    let payment: NewPayment = read(body)?;
    let id = world.ledger().add_payment(&payment)?;
    Ok(json!({"id": id}))
}

/// `?reference=169VP…`
fn payments(world: &World, query: &str) -> Answer {
    let query = pairs(query);
    let only = query.iter().find(|(key, _)| key == "reference").map(|(_, value)| &**value);
    payment::truth(world, only)
}

/// `?stream=bank_transactions&entity=73&contents=false`
fn ledger(world: &World, query: &str) -> Answer {
    let query = pairs(query);
    let param = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| &**value);
    let stream = param("stream").and_then(Stream::parse);
    let with_contents = param("contents") != Some("false");
    let truth = world.ledger().write_truth(stream, param("entity"), with_contents);
    Answer::json(200, truth)
}

/// `?last=20`
fn requests(world: &World, query: &str) -> Answer {
    let query = pairs(query);
    let last = query.iter().find(|(key, _)| key == "last");
    let last = last.and_then(|(_, count)| count.parse().ok()).unwrap_or(100_usize);
    let requests = world.requests();
    let skipped = requests.last.len().saturating_sub(last);
    let shown: Vec<_> = requests.last.iter().skip(skipped).collect();
    Answer::json(200, json!({"counts": requests.counts, "last": shown}))
}
