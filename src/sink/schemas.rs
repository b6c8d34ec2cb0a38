//! The schemas that commands were written with, as the registry tells them.
//!
//! A registry that is away must not hold up what can be read without it. So a new schema is waited
//! for a moment only; after that it is asked for in the background, again and again, and whoever
//! needs it puts its partition aside.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use apache_avro::Schema;
use tokio::{
    task::{JoinError, JoinSet},
    time::{sleep, timeout},
};

use crate::{log_event, publish::registry::Registry};

/// How long everything waits for a schema that was not seen before; a registry answers in some
/// milliseconds.
const MOMENT: Duration = Duration::from_secs(1);
const RETRY_MIN: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// What is known of a schema.
#[derive(Debug)]
pub enum Told<'s> {
    /// The schema.
    Schema(&'s Schema),
    /// There is none that can be read: why.
    None(&'s str),
    /// The registry does not answer.
    NotYet,
}

/// What the registry told, and what it is still asked for.
#[derive(Debug)]
pub struct Schemas {
    registry: Arc<Registry>,
    known: HashMap<u32, Schema>,
    /// Ids that the registry does not know, or that are no Avro, until they are asked for anew.
    refused: HashMap<u32, String>,
    asked: HashSet<u32>,
    asking: JoinSet<u32>,
}

impl Schemas {
    /// Knows none yet.
    pub fn new(registry: Registry) -> Self {
        Self {
            registry: Arc::new(registry),
            known: HashMap::new(),
            refused: HashMap::new(),
            asked: HashSet::new(),
            asking: JoinSet::new(),
        }
    }

    /// What was refused may have been registered since.
    pub fn forget_refusals(&mut self) {
        self.refused.clear();
    }

    /// Whether [`learn`](Self::learn) answers at once.
    pub fn is_settled(&self, id: u32) -> bool {
        self.known.contains_key(&id) || self.refused.contains_key(&id) || self.asked.contains(&id)
    }

    /// What the registry says of a schema. Where it does not answer within a moment, or is known to
    /// be away, it is asked in the background: see [`answered`](Self::answered).
    pub async fn learn(&mut self, id: u32) -> Told<'_> {
        if !self.is_settled(id) {
            let answer = match self.asked.is_empty() {
                true => timeout(MOMENT, ask(&self.registry, id)).await.unwrap_or_default(),
                // It is away: this one would wait for nothing.
                false => None,
            };
            match answer {
                Some(Ok(schema)) => drop(self.known.insert(id, *schema)),
                Some(Err(refusal)) => drop(self.refused.insert(id, refusal)),
                None => self.ask_on(id),
            }
        }
        match (self.known.get(&id), self.refused.get(&id)) {
            (Some(schema), _) => Told::Schema(schema),
            (None, Some(refusal)) => Told::None(refusal),
            (None, None) => Told::NotYet,
        }
    }

    /// Waits for the next schema that the registry answers about by now, whatever it says; for ever
    /// where it is asked for none.
    ///
    /// # Errors
    /// Where asking broke off: a mistake of this program.
    pub async fn answered(&mut self) -> Result<u32, JoinError> {
        let Some(asked) = self.asking.join_next().await else {
            return std::future::pending().await;
        };
        let id = asked?;
        self.asked.remove(&id);
        Ok(id)
    }

    fn ask_on(&mut self, id: u32) {
        let registry = Arc::clone(&self.registry);
        self.asked.insert(id);
        self.asking.spawn(async move {
            let mut pause = RETRY_MIN;
            while ask(&registry, id).await.is_none() {
                sleep(pause).await;
                pause = (pause * 2).min(RETRY_MAX);
            }
            id
        });
    }
}

/// The schema, or why there is none; nothing where the registry does not answer: a registry that is
/// away is no reason to call a command undecodable.
async fn ask(registry: &Registry, id: u32) -> Option<Result<Box<Schema>, String>> {
    match registry.schema(id).await {
        Ok(text) => Some(match Schema::parse_str(&text) {
            Ok(schema) => Ok(Box::new(schema)),
            Err(error) => Err(format!("schema {id} is no avro: {error}")),
        }),
        Err(error) if !error.is_retriable() => {
            Some(Err(format!("the registry does not know schema {id}: {error}")))
        }
        Err(error) => {
            log_event!(error.event(), %error, schema = id, "payment commands wait for the schema registry");
            None
        }
    }
}

#[cfg(test)]
#[path = "schemas_tests.rs"]
mod tests;
