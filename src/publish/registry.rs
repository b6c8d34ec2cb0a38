//! The schema registry: register or verify every schema once, at start.
//!
//! Ids are kept for the life of the process, so a registry that goes away later stops nothing.
//! The converter's own encoder is not used: it caches a single error of the registry for ever.

use std::{collections::HashMap, time::Duration};

use schema_registry_converter::{
    async_impl::schema_registry::{SrSettings, perform_sr_call, post_schema},
    error::SRCError,
    schema_registry_common::{SchemaType, SrCall, SuppliedSchema},
};

use crate::{
    config::model::{RegistryMode, SchemaRegistry},
    domain::schemas::RecordSchema,
};

/// `SrSettings::new` would wait for ever for a registry that stalls.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Why the schemas are not known.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The registry does not answer, or not now.
    #[error("schema registry {url}: {reason}")]
    Unavailable {
        /// Where.
        url: String,
        /// What happened.
        reason: String,
    },
    /// The registry has no such schema, and `mode: verify` forbids adding it.
    #[error(
        "schema registry {url} does not hold this version of {subject}: register it with `schemas register`, or set schema_registry.mode: register ({reason})"
    )]
    Missing {
        /// Where.
        url: String,
        /// Which subject.
        subject: String,
        /// What the registry says.
        reason: String,
    },
    /// The registry refuses the schema.
    #[error(
        "schema registry {url} refuses {subject}: {reason}; check its compatibility level and who registered the subject before"
    )]
    Refused {
        /// Where.
        url: String,
        /// Which subject.
        subject: String,
        /// What the registry says.
        reason: String,
    },
}

impl Error {
    /// Whether waiting can help.
    pub const fn is_retriable(&self) -> bool {
        match self {
            Self::Unavailable { .. } => true,
            Self::Missing { .. } | Self::Refused { .. } => false,
        }
    }
}

/// A registry and what may be done with it.
#[derive(Debug)]
pub struct Registry {
    settings: SrSettings,
    url: String,
    mode: RegistryMode,
}

impl Registry {
    /// Connects lazily.
    pub fn new(config: &SchemaRegistry) -> Result<Self, Error> {
        let settings = SrSettings::new_builder(config.url.clone())
            .set_timeout(CALL_TIMEOUT)
            .build()
            .map_err(|e| Error::Unavailable { url: config.url.clone(), reason: e.to_string() })?;
        Ok(Self { settings, url: config.url.clone(), mode: config.mode })
    }

    /// The id of each schema by record name, registering what `mode` allows.
    pub async fn ids(
        &self,
        records: &[RecordSchema],
        topic: impl Fn(&str) -> String,
    ) -> Result<HashMap<&'static str, u32>, Error> {
        let mut ids = HashMap::new();
        for record in records {
            let subject = format!("{}-value", topic(record.topic_suffix));
            let id = match self.mode {
                RegistryMode::Register => self.register(&subject, record.json).await?,
                RegistryMode::Verify => self.verify(&subject, record.json).await?,
            };
            ids.insert(record.name, id);
        }
        Ok(ids)
    }

    /// Adds the schema to the subject, or finds the same one there.
    pub async fn register(&self, subject: &str, schema: &str) -> Result<u32, Error> {
        let supplied = SuppliedSchema::new(None, SchemaType::Avro, schema.to_owned());
        post_schema(&self.settings, subject.to_owned(), supplied)
            .await
            .map(|registered| registered.id)
            .map_err(|error| {
                self.judge(error, |url, reason| Error::Refused {
                    url,
                    subject: subject.to_owned(),
                    reason,
                })
            })
    }

    /// Finds exactly this schema under the subject; adds nothing.
    pub async fn verify(&self, subject: &str, schema: &str) -> Result<u32, Error> {
        let missing = |url, reason| Error::Missing { url, subject: subject.to_owned(), reason };
        let body = serde_json::json!({ "schemaType": "AVRO", "schema": schema }).to_string();
        let found = perform_sr_call(&self.settings, SrCall::PostForVersion(subject, &body))
            .await
            .map_err(|error| self.judge(error, missing))?;
        found.id.ok_or_else(|| missing(self.url.clone(), "the answer holds no id".to_owned()))
    }

    /// The text of a schema by its id.
    pub async fn schema(&self, id: u32) -> Result<String, Error> {
        let missing =
            |url, reason| Error::Missing { url, subject: format!("schema id {id}"), reason };
        let found = perform_sr_call(&self.settings, SrCall::GetById(id))
            .await
            .map_err(|error| self.judge(error, missing))?;
        found.schema.ok_or_else(|| missing(self.url.clone(), "the answer holds no schema".into()))
    }

    /// The registry answers with 404, 409 or 422 when it means no; anything else may pass.
    fn judge(&self, error: SRCError, final_no: impl Fn(String, String) -> Error) -> Error {
        let reason = match &error.cause {
            Some(cause) => format!("{} ({cause})", error.error),
            None => error.error.clone(),
        };
        let says_no = ["404", "409", "422"]
            .iter()
            .any(|code| error.error.contains(&format!("status {code}")));
        if says_no && !error.retriable {
            final_no(self.url.clone(), reason)
        } else {
            Error::Unavailable { url: self.url.clone(), reason }
        }
    }
}
