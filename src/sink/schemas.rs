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

/// What an answering registry says of a schema: it, or why there is none.
type Answer = Result<Box<Schema>, String>;

/// What the registry told, and what it is still asked for.
#[derive(Debug)]
pub struct Schemas {
    registry: Arc<Registry>,
    known: HashMap<u32, Schema>,
    /// Ids that the registry does not know, or that are no Avro, until they are asked for anew.
    refused: HashMap<u32, String>,
    /// Those of them that were told in the background, and that nobody has heard of yet.
    unheard: HashSet<u32>,
    asked: HashSet<u32>,
    asking: JoinSet<(u32, Answer)>,
}

impl Schemas {
    /// Knows none yet.
    pub fn new(registry: Registry) -> Self {
        Self {
            registry: Arc::new(registry),
            known: HashMap::new(),
            refused: HashMap::new(),
            unheard: HashSet::new(),
            asked: HashSet::new(),
            asking: JoinSet::new(),
        }
    }

    /// What was refused may have been registered since. A refusal that came in the background is kept
    /// until it is heard: whoever waits for it would ask again, and wait again.
    pub fn forget_refusals(&mut self) {
        let unheard = &self.unheard;
        self.refused.retain(|id, _| unheard.contains(id));
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
                Some(answer) => self.take(id, answer),
                None => self.ask_on(id),
            }
        }
        self.unheard.remove(&id);
        match (self.known.get(&id), self.refused.get(&id)) {
            (Some(schema), _) => Told::Schema(schema),
            (None, Some(refusal)) => Told::None(refusal),
            (None, None) => Told::NotYet,
        }
    }

    /// Waits for the next schema that the registry answers about by now, whatever it says, and keeps
    /// that; for ever where it is asked for none.
    ///
    /// # Errors
    /// Where asking broke off: a mistake of this program.
    pub async fn answered(&mut self) -> Result<u32, JoinError> {
        let Some(asked) = self.asking.join_next().await else {
            return std::future::pending().await;
        };
        let (id, answer) = asked?;
        self.asked.remove(&id);
        // Asked anew it would wait behind another one that the registry does not answer about.
        if answer.is_err() {
            self.unheard.insert(id);
        }
        self.take(id, answer);
        Ok(id)
    }

    fn take(&mut self, id: u32, answer: Answer) {
        match answer {
            Ok(schema) => drop(self.known.insert(id, *schema)),
            Err(refusal) => drop(self.refused.insert(id, refusal)),
        }
    }

    fn ask_on(&mut self, id: u32) {
        let registry = Arc::clone(&self.registry);
        self.asked.insert(id);
        self.asking.spawn(async move {
            let mut pause = RETRY_MIN;
            loop {
                if let Some(answer) = ask(&registry, id).await {
                    return (id, answer);
                }
                sleep(pause).await;
                pause = (pause * 2).min(RETRY_MAX);
            }
        });
    }
}

/// The schema, or why there is none; nothing where the registry does not answer: a registry that is
/// away is no reason to call a command undecodable.
async fn ask(registry: &Registry, id: u32) -> Option<Answer> {
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
