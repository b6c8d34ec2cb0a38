//! What the configuration says of the connector itself, as far as only its files tell: the rules of
//! privacy with their key, and the token of the admin listener.

use std::path::Path;

use super::{Exit, Failure, Step, Target, steps::unreadable};
use crate::{
    app::{check_privacy, privacy_rules},
    config::model::Config,
};

const TARGET: Target = Target::Config;
const HMAC_KEY: &str = "privacy.hmac_key_file";
const TOKEN: &str = "admin.token_file";

/// The rules of privacy with their key, and the operators' token where the admin listener is on.
pub(super) async fn files(config: &Config) -> Vec<Step> {
    let key = config.privacy.hmac_key_file.as_deref().map(|file| secret(HMAC_KEY, file));
    let token = config.admin.as_ref().and_then(|admin| admin.token_file.as_deref());
    let token = token.map(|file| secret(TOKEN, file));
    let is_readable = key.as_ref().is_none_or(|step| step.status == super::Status::Ok);
    let rules = rules(config, is_readable).await;
    key.into_iter().chain([rules]).chain(token).collect()
}

/// Whether a file is there, may be read, and holds something.
fn secret(key: &'static str, file: &Path) -> Step {
    match std::fs::read(file) {
        Ok(bytes) if bytes.trim_ascii().is_empty() => {
            let failure = Failure::new(Exit::Config, format!("{} is empty", file.display()));
            Step::failed(TARGET, key, failure.hint("write the secret into the file"))
        }
        Ok(_) => Step::ok(TARGET, key, file.display().to_string()),
        Err(error) => Step::failed(TARGET, key, unreadable(key, file, error.kind())),
    }
}

/// Whether every rule can be applied; a key that cannot be read has its own step.
async fn rules(config: &Config, is_readable: bool) -> Step {
    let step = "privacy rules";
    let checked = match is_readable {
        true => privacy_rules(config).await.map(drop),
        false => check_privacy(&config.privacy),
    };
    match checked {
        Ok(()) => Step::ok(TARGET, step, "each can be applied"),
        Err(error) => {
            let failure = Failure::new(Exit::Config, error.to_string());
            let hint = "run does not start with them: config explain privacy says what they may be";
            Step::failed(TARGET, step, failure.hint(hint))
        }
    }
}
