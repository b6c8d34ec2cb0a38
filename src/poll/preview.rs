//! What a stream's rows would become, without memory, Kafka or a position: the same fetch, the
//! same digest, and nobody who publishes.

use std::sync::Arc;

use crate::{
    api::{self, Client, Purpose},
    config::model::{Connection, Following, Selection},
    domain::ids::{EntityKey, Stream},
    mapping::PrivacyRules,
    publish::{batch::EventRecord, encode::Encoder},
    state::changelog::EntityState,
    telemetry::clock::now,
};

use super::{
    connection::schedule,
    digest::{Answer, Reason, Refusal, Target, digest},
    discovery::discover,
    fetch::{Fetcher, Origin},
    snapshot::{Mentioned, fetch_list, max_bad_ratio_of_list},
};

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API.
    #[error(transparent)]
    Api(#[from] api::Error),
    /// An answer that `run` would not believe either.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The stream is switched off, and `run` would read nothing of it.
    #[error("{stream} is switched off for connection {connection}: streams.{stream} is null")]
    Off {
        /// Whose.
        connection: String,
        /// Which.
        stream: Stream,
    },
    /// The entity that was asked for.
    #[error("connection {connection} lists no {entity} for {stream}; it lists {listed}")]
    NoEntity {
        /// Whose.
        connection: String,
        /// Of which stream.
        stream: Stream,
        /// What was asked for.
        entity: String,
        /// What there is.
        listed: String,
    },
}

/// A connection whose rows are to be shown.
#[derive(Debug)]
pub struct Preview {
    /// Its configuration.
    pub config: Arc<Connection>,
    /// The way to its APIs.
    pub api: Client,
    /// Encodes as the connector does.
    pub encoder: Arc<Encoder>,
    /// Masks as the connector does.
    pub privacy: Arc<PrivacyRules>,
}

/// What to show.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Of which stream.
    pub stream: Stream,
    /// How many days back; lists have no dates and are shown whole.
    pub days: i32,
    /// No more events than this.
    pub limit: usize,
    /// Only this account, terminal or institution.
    pub entity: Option<String>,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Shown {
    /// Each entity's events, oldest first.
    pub events: Vec<EventRecord>,
    /// Why `run` would publish nothing of an entity although its rows are shown here.
    pub refusals: Vec<String>,
    /// Whether there are more than the limit.
    pub cut: bool,
}

impl Shown {
    fn take(&mut self, events: impl Iterator<Item = EventRecord>, limit: usize) {
        for event in events {
            if self.events.len() < limit {
                self.events.push(event);
            } else {
                self.cut = true;
            }
        }
    }
}

/// An entity and how to ask for it.
struct Subject {
    name: String,
    origin: Origin,
    currency: Option<Arc<str>>,
}

impl Preview {
    /// Whether the connection has what the stream needs.
    pub fn has(&self, stream: Stream) -> bool {
        let config = &self.config;
        match stream {
            Stream::BankTransactions
            | Stream::PosTransactions
            | Stream::Banks
            | Stream::Accounts
            | Stream::Terminals
            | Stream::TransactionTypes => config.bank_pos.is_some(),
            Stream::VirtualPosTransactions | Stream::Installments | Stream::Customers => {
                config.virtual_pos.is_some()
            }
            Stream::TosPayments => config.tos.is_some(),
        }
    }

    /// Whether the stream has entities: lists, and the virtual POS, are read whole.
    pub const fn has_entities(stream: Stream) -> bool {
        matches!(stream, Stream::BankTransactions | Stream::PosTransactions | Stream::TosPayments)
    }

    /// Reads and shows; stops asking once the limit is passed.
    pub async fn show(&self, wanted: &Wanted, shown: &mut Shown) -> Result<(), Error> {
        let streams = &self.config.streams;
        let following = match wanted.stream {
            Stream::BankTransactions => streams.bank_transactions.as_ref().map(|s| s.following),
            Stream::PosTransactions => streams.pos_transactions.as_ref().map(|s| s.following),
            Stream::TosPayments => streams.tos_payments.as_ref().map(|s| s.following),
            _ => return self.show_list(wanted, shown).await,
        };
        // A stream that is switched off has no settings, and nothing to show.
        let Some(following) = following else {
            let (connection, stream) = (self.config.id.to_string(), wanted.stream);
            return Err(Error::Off { connection, stream });
        };
        let subjects = self.subjects(wanted.stream).await?;
        let listed = subjects.iter().map(|s| s.name.as_str()).collect::<Vec<_>>().join(", ");
        let asked_for =
            |subject: &Subject| wanted.entity.as_ref().is_none_or(|entity| *entity == subject.name);
        let chosen: Vec<Subject> = subjects.into_iter().filter(asked_for).collect();
        if let (true, Some(entity)) = (chosen.is_empty(), &wanted.entity) {
            let connection = self.config.id.to_string();
            let (stream, entity) = (wanted.stream, entity.clone());
            return Err(Error::NoEntity { connection, stream, entity, listed });
        }
        for subject in chosen {
            self.show_windows(wanted, following, subject, shown).await?;
            if shown.cut {
                break;
            }
        }
        Ok(())
    }

    async fn subjects(&self, stream: Stream) -> Result<Vec<Subject>, Error> {
        let streams = &self.config.streams;
        let (list, selection) = match stream {
            Stream::BankTransactions => {
                (Stream::Accounts, streams.bank_transactions.as_ref().map(|s| &s.accounts))
            }
            Stream::PosTransactions => {
                (Stream::Terminals, streams.pos_transactions.as_ref().map(|s| &s.terminals))
            }
            _ => return Ok(self.institutions()),
        };
        let date_type = self.target(stream, EntityKey::WHOLE, 0.0).date_type;
        let rows = self.api.reference(Purpose::Repair, list).await?;
        let found = discover(list, &[rows]);
        let selection = selection.unwrap_or(&Selection::All);
        let kept = found.into_iter().filter(|found| selection.contains(found.id));
        Ok(kept
            .map(|found| Subject {
                name: found.id.to_string(),
                origin: if stream == Stream::BankTransactions {
                    Origin::Account { id: found.id, date_type }
                } else {
                    Origin::Station { id: found.id }
                },
                currency: found.currency,
            })
            .collect())
    }

    fn institutions(&self) -> Vec<Subject> {
        let institutions = self.config.tos.iter().flat_map(|tos| &tos.institutions);
        institutions
            .map(|institution| Subject {
                name: institution.code.clone(),
                origin: Origin::Institution {
                    code: institution.code.clone(),
                    sender_accounts: institution.sender_accounts.clone(),
                },
                currency: None,
            })
            .collect()
    }

    async fn show_windows(
        &self,
        wanted: &Wanted,
        following: Following,
        subject: Subject,
        shown: &mut Shown,
    ) -> Result<(), Error> {
        let today = now().local_day();
        let schedule = schedule(wanted.stream, following);
        let target = self.target(wanted.stream, &subject.name, following.max_bad_ratio);
        let mut fetcher = Fetcher::new(self.api.clone(), subject.origin);
        let mut state = EntityState::default();
        let mut next = Some(today.plus(1 - wanted.days));
        while let (Some(from), false) = (next, shown.cut) {
            let window = schedule.window_at(from, today);
            next = schedule.after(window, today);
            let answers = fetcher.window(Purpose::Live, window).await?.answers;
            let currency = subject.currency.as_deref();
            let answer = Answer::of(&answers, Reason::Backfill, Some(window), currency, now());
            self.take(&target, &mut state, &answer, wanted.limit, shown)?;
        }
        Ok(())
    }

    async fn show_list(&self, wanted: &Wanted, shown: &mut Shown) -> Result<(), Error> {
        let stream = wanted.stream;
        let target =
            self.target(stream, EntityKey::WHOLE, max_bad_ratio_of_list(&self.config, stream));
        let answers = fetch_list(&self.api, stream, &Mentioned::default()).await?;
        let answer = Answer::of(&answers, Reason::List, None, None, now());
        self.take(&target, &mut EntityState::default(), &answer, wanted.limit, shown)
    }

    /// The events of an answer. Where too many rows are bad they are shown all the same: whoever
    /// looks wants to see them.
    fn take(
        &self,
        target: &Target,
        state: &mut EntityState,
        answer: &Answer<'_>,
        limit: usize,
        shown: &mut Shown,
    ) -> Result<(), Error> {
        let digest = match digest(target, state, answer) {
            Err(refusal @ Refusal::TooManyBad { .. }) => {
                shown.refusals.push(refusal.to_string());
                let tolerant = self.target(target.key.stream, &target.key.entity, 1.0);
                digest(&tolerant, state, answer)?
            }
            other => other?,
        };
        // Windows share a day: what one has shown, the next one knows.
        state.seen.apply(digest.staging);
        shown.take(digest.parts.into_iter().flat_map(|part| part.events), limit);
        Ok(())
    }

    fn target(&self, stream: Stream, entity: &str, max_bad_ratio: f64) -> Target {
        let key = EntityKey { connection: self.config.id.clone(), stream, entity: entity.into() };
        let (encoder, privacy) = (Arc::clone(&self.encoder), Arc::clone(&self.privacy));
        Target::new(&self.config, key, encoder, privacy, max_bad_ratio)
    }
}
