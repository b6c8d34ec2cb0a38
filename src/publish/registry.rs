//! The schema registry: register or verify every schema once, at start.
//!
//! Ids are kept for the life of the process, so a registry that goes away later stops nothing.
//! The converter's own encoder is not used: it caches a single error of the registry for ever.

use std::{
    collections::HashMap,
    error::Error as StdError,
    fmt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use schema_registry_converter::{
    async_impl::schema_registry::{SrSettings, is_compatible_schema, perform_sr_call, post_schema},
    error::SRCError,
    schema_registry_common::{SchemaType, SrCall, SuppliedSchema},
};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    config::model::{RegistryAuth, RegistryMode, SchemaRegistry},
    domain::schemas::RecordSchema,
    telemetry::events::Event,
};

/// `SrSettings::new` would wait for ever for a registry that stalls.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// What a registry says no with, whatever it is asked.
const NO: [u16; 3] = [404, 409, 422];
/// The same of an id: one that it cannot read as such is a mistake of who asks, to some.
const NO_SUCH_ID: [u16; 4] = [400, 404, 409, 422];

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
    /// Something answers at the address, and it is not the registry's API.
    #[error(
        "schema registry {url}: 404 without the registry's own explanation: its API lies under another path, Apicurio's under /apis/ccompat/v7"
    )]
    WrongPath {
        /// Where.
        url: String,
    },
    /// The registry does not know who asks, or forbids it.
    #[error(
        "schema registry {url} refuses access: {reason}; check schema_registry.basic_auth or bearer_token_file, they are read again when they change"
    )]
    Denied {
        /// Where.
        url: String,
        /// What the registry says.
        reason: String,
    },
    /// The password or token cannot be read.
    #[error("schema registry {url}: secret file {} {problem}", file.display())]
    Secret {
        /// Where.
        url: String,
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        problem: String,
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
    /// Whether waiting can help: files and rights are mended while the connector waits.
    pub const fn is_retriable(&self) -> bool {
        match self {
            Self::Unavailable { .. }
            | Self::WrongPath { .. }
            | Self::Denied { .. }
            | Self::Secret { .. } => true,
            Self::Missing { .. } | Self::Refused { .. } => false,
        }
    }

    /// The code of its log line.
    pub const fn event(&self) -> Event {
        match self {
            Self::Unavailable { .. } | Self::WrongPath { .. } => Event::RegistryUnavailable,
            Self::Denied { .. } | Self::Secret { .. } => Event::RegistryDenied,
            Self::Missing { .. } => Event::SchemaMissing,
            Self::Refused { .. } => Event::SchemaRefused,
        }
    }
}

/// A registry and what may be done with it.
pub struct Registry {
    url: String,
    mode: RegistryMode,
    auth: Option<RegistryAuth>,
    /// The client, and the secret that it was made with.
    client: Mutex<Option<(String, SrSettings)>>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The client holds the password or the token.
        f.debug_struct("Registry")
            .field("url", &self.url)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

/// What the client library says of an error whose body is not the registry's JSON.
const NOT_EXPLAINED: &str = "couldn't parse schema registry error json";

impl Registry {
    /// Connects lazily, and reads its secret lazily too.
    pub fn new(config: &SchemaRegistry) -> Self {
        let SchemaRegistry { url, mode, auth } = config.clone();
        Self { url, mode, auth, client: Mutex::default() }
    }

    /// The id of each schema by record name, registering what `mode` allows.
    pub async fn ids(
        &self,
        records: &[RecordSchema],
        topic: impl Fn(&str) -> String,
    ) -> Result<HashMap<&'static str, u32>, Error> {
        let mut ids = HashMap::new();
        for record in records {
            let subject = subject(&topic(record.topic_suffix));
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
        post_schema(&self.client()?, subject.to_owned(), supplied)
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
        let found = perform_sr_call(&self.client()?, SrCall::PostForVersion(subject, &body))
            .await
            .map_err(|error| self.judge(error, missing))?;
        found.id.ok_or_else(|| missing(self.url.clone(), "the answer holds no id".to_owned()))
    }

    /// Whether the subject's compatibility level would let this schema in.
    pub async fn is_compatible(&self, subject: &str, schema: &str) -> Result<bool, Error> {
        let refused = |url, reason| Error::Refused { url, subject: subject.to_owned(), reason };
        let supplied = SuppliedSchema::new(None, SchemaType::Avro, schema.to_owned());
        is_compatible_schema(&self.client()?, subject.to_owned(), supplied)
            .await
            .map_err(|error| self.judge(error, refused))
    }

    /// The text of the newest schema of a subject; `None` where the subject does not exist.
    pub async fn latest(&self, subject: &str) -> Result<Option<String>, Error> {
        let missing = |url, reason| Error::Missing { url, subject: subject.to_owned(), reason };
        match perform_sr_call(&self.client()?, SrCall::GetLatest(subject)).await {
            Ok(found) => Ok(found.schema),
            Err(error) => match self.judge(error, missing) {
                Error::Missing { .. } => Ok(None),
                other => Err(other),
            },
        }
    }

    /// The text of a schema by its id. What is said with 400 by the registry itself is a no, too: whoever
    /// came upon the id in a record would ask for ever.
    pub async fn schema(&self, id: u32) -> Result<String, Error> {
        let missing =
            |url, reason| Error::Missing { url, subject: format!("schema id {id}"), reason };
        let found = perform_sr_call(&self.client()?, SrCall::GetById(id))
            .await
            .map_err(|error| self.judge_by(&NO_SUCH_ID, error, missing))?;
        found.schema.ok_or_else(|| missing(self.url.clone(), "the answer holds no schema".into()))
    }

    /// The client with the secret as its file holds it now.
    fn client(&self) -> Result<SrSettings, Error> {
        let secret = match &self.auth {
            None => SecretString::default(),
            Some(RegistryAuth::Basic { password_file: file, .. })
            | Some(RegistryAuth::Bearer { token_file: file }) => self.read(file)?,
        };
        let secret = secret.expose_secret();
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, settings)) = client.as_ref().filter(|(used, _)| used == secret) {
            return Ok(settings.clone());
        }
        let mut builder = SrSettings::new_builder(self.url.clone());
        builder.set_timeout(CALL_TIMEOUT);
        match &self.auth {
            None => {}
            Some(RegistryAuth::Basic { username, .. }) => {
                builder.set_basic_authorization(username, Some(secret));
            }
            Some(RegistryAuth::Bearer { .. }) => {
                builder.set_token_authorization(secret);
            }
        }
        let settings = builder
            .build()
            .map_err(|e| Error::Unavailable { url: self.url.clone(), reason: e.to_string() })?;
        *client = Some((secret.to_owned(), settings.clone()));
        Ok(settings)
    }

    fn read(&self, file: &Path) -> Result<SecretString, Error> {
        let wrong =
            |problem| Error::Secret { url: self.url.clone(), file: file.to_owned(), problem };
        let text = std::fs::read_to_string(file)
            .map_err(|error| wrong(format!("cannot be read ({})", error.kind())))?;
        match text.trim() {
            "" => Err(wrong("is empty".to_owned())),
            secret => Ok(SecretString::from(secret)),
        }
    }

    /// 401 and 403 are about the caller, 404, 409 and 422 mean no; anything else may pass.
    fn judge(&self, error: SRCError, final_no: impl Fn(String, String) -> Error) -> Error {
        self.judge_by(&NO, error, final_no)
    }

    fn judge_by(
        &self,
        no: &[u16],
        error: SRCError,
        final_no: impl Fn(String, String) -> Error,
    ) -> Error {
        let says = |codes: &[u16]| {
            let said = |code| error.error.contains(&format!("status {code}"));
            !error.retriable && codes.iter().any(said)
        };
        let mut reason = match &error.cause {
            Some(cause) => format!("{} ({cause})", error.error),
            None => error.error.clone(),
        };
        // What the client says of a call that failed names the call, not why.
        if let Some(root) = root_cause(&error).filter(|root| !reason.contains(root.as_str())) {
            reason = format!("{reason}: {root}");
        }
        let url = self.url.clone();
        // A registry explains its 404 in JSON, and its 400; anything else at this address is no registry.
        let explained = error.cause.as_ref().is_none_or(|cause| !cause.contains(NOT_EXPLAINED));
        if says(&[404]) && !explained {
            return Error::WrongPath { url };
        }
        if says(&[401, 403]) {
            Error::Denied { url, reason }
        } else if says(no) && (explained || !says(&[400])) {
            final_no(url, reason)
        } else {
            Error::Unavailable { url, reason }
        }
    }
}

/// The last of an error's causes.
fn root_cause(error: &dyn StdError) -> Option<String> {
    let mut cause = error.source()?;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    Some(cause.to_string())
}

/// The subject of a topic's values.
pub fn subject(topic: &str) -> String {
    format!("{topic}-value")
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
