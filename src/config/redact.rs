//! The configuration in force, fit to be shown.
//!
//! Secrets cannot stand in it: they are files. What is left to hide are the numbers of accounts
//! and of consents, and settings that somebody may have put a secret into.

use serde_json::Value;

use super::shape;

const HIDDEN: &str = "***";

/// The settings as one value, with what identifies a person or an account hidden.
pub fn redacted(config: &shape::Config) -> Value {
    let mut value = serde_json::to_value(config).unwrap_or(Value::Null);
    hide("", &mut value);
    value
}

fn hide(key: &str, value: &mut Value) {
    match value {
        Value::Object(entries) => entries.iter_mut().for_each(|(key, value)| hide(key, value)),
        Value::Array(items) => items.iter_mut().for_each(|item| hide(key, item)),
        Value::String(text) if is_private(key) => HIDDEN.clone_into(text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn is_private(key: &str) -> bool {
    let suspicious = ["password", "passphrase", "secret", "token", "username", "jaas", ".pem"];
    matches!(key, "consent_id" | "sender_accounts" | "username")
        || (key.contains('.')
            && !key.ends_with("_file")
            && suspicious.iter().any(|s| key.contains(s)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_was_put_into_a_setting_is_hidden() {
        for name in [
            "sasl.username",
            "sasl.oauthbearer.assertion.private.key.passphrase",
            "sasl.oauthbearer.assertion.private.key.pem",
            "ssl.key.password",
        ] {
            assert!(is_private(name), "{name}");
        }
        assert!(!is_private("ssl.ca.location") && !is_private("sasl.password_file"));
    }
}
