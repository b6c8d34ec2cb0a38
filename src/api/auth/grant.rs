//! What is sent for a token.

use secrecy::{ExposeSecret, SecretString};

use crate::api::{
    http::{Payload, Secretive},
    secrets::Pair,
};

/// How the token of an API is asked for.
#[derive(Debug, Clone)]
pub(crate) enum Grant {
    /// `app_key` and `app_secret` as JSON.
    Vomsis,
    /// OAuth2 `b2b_credentials`.
    B2b { consent_id: String, resource: String },
}

impl Grant {
    pub(super) fn payload(&self, pair: &Pair) -> Payload {
        match self {
            Self::Vomsis => {
                let body = serde_json::json!({
                    "app_key": pair.key.expose_secret(),
                    "app_secret": pair.secret.expose_secret(),
                });
                Payload::Json(Secretive(body.to_string()))
            }
            Self::B2b { consent_id, resource } => {
                let plain = |text: &str| SecretString::from(text);
                Payload::Form(vec![
                    ("client_id", pair.key.clone()),
                    ("client_secret", pair.secret.clone()),
                    ("grant_type", plain("b2b_credentials")),
                    ("scope", plain("payment")),
                    ("consentId", plain(consent_id)),
                    ("resource", plain(resource)),
                ])
            }
        }
    }
}
