//! Whether a login to the brokers has all its parts: librdkafka only tells when a client is made.

use super::Review;
use crate::config::{shape, tree::Step};

/// What to choose from; librdkafka's own default is GSSAPI, which this build is without.
const MECHANISMS: &str = "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER";

/// Refuses a SASL protocol without a mechanism, and one with a user without the user. What any of
/// the three sections has counts as given, as what a file holds does.
pub(super) fn login(review: &mut Review<'_>, shape: &shape::Kafka) {
    let sections = [
        ("properties", &shape.properties),
        ("consumer_properties", &shape.consumer_properties),
        ("producer_properties", &shape.producer_properties),
    ];
    let is_given = |name: &str| {
        let file = format!("{name}_file");
        sections.iter().any(|(_, given)| given.contains_key(name) || given.contains_key(&file))
    };
    let value = |name: &str| sections.iter().find_map(|(_, given)| given.get(name));
    let is_sasl = |protocol: &str| {
        let protocol = protocol.trim();
        ["SASL_SSL", "SASL_PLAINTEXT"].iter().any(|sasl| sasl.eq_ignore_ascii_case(protocol))
    };
    let protocol = sections.iter().find_map(|(section, given)| {
        let protocol = given.get("security.protocol").filter(|protocol| is_sasl(protocol))?;
        Some((*section, protocol))
    });
    let Some((section, protocol)) = protocol else { return };
    let message = match value("sasl.mechanism").or_else(|| value("sasl.mechanisms")) {
        None if is_given("sasl.mechanism") || is_given("sasl.mechanisms") => return,
        None => {
            format!("{protocol} logs in, and sasl.mechanism is missing beside it: {MECHANISMS}")
        }
        Some(mechanism) if !has_user(mechanism) => return,
        Some(mechanism) => {
            let missing: Vec<_> = [("sasl.username", ""), ("sasl.password", "_file")]
                .into_iter()
                .filter(|(name, _)| !is_given(name))
                .map(|(name, file)| format!("kafka.properties.{name}{file}"))
                .collect();
            if missing.is_empty() {
                return;
            }
            format!("{protocol} with {mechanism} needs {} too", missing.join(" and "))
        }
    };
    let path = [Step::Key("kafka"), Step::Key(section), Step::Key("security.protocol")];
    review.refuse(&path, message);
}

/// Whether a mechanism takes a name and a password.
fn has_user(mechanism: &str) -> bool {
    let mechanism = mechanism.trim().to_ascii_uppercase();
    mechanism == "PLAIN" || mechanism.starts_with("SCRAM-")
}

#[cfg(test)]
mod tests {
    use crate::config::{Error, Loaded, parse};

    const MINIMAL: &str =
        "connections:\n  - id: acme\n    bank_pos: {app_key_file: /k, app_secret_file: /s}\n";

    fn with_env(text: &str, env: &[(&str, &str)]) -> Result<Loaded, Error> {
        parse("c.yaml", text, env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
    }

    #[test]
    fn a_login_that_lacks_a_part_is_told_with_the_names_of_the_keys() {
        let kafka = |settings: &str| with_env(&format!("{MINIMAL}kafka: {{{settings}}}\n"), &[]);
        for (properties, wanted) in [
            ("security.protocol: SASL_SSL", "sasl.mechanism is missing"),
            ("security.protocol: sasl_plaintext, sasl.username: u", "sasl.mechanism is missing"),
            (
                "security.protocol: SASL_SSL, sasl.mechanism: PLAIN",
                "with PLAIN needs kafka.properties.sasl.username and kafka.properties.sasl.password_file",
            ),
            (
                "security.protocol: SASL_SSL, sasl.mechanisms: SCRAM-SHA-512, sasl.username: u",
                "with SCRAM-SHA-512 needs kafka.properties.sasl.password_file",
            ),
        ] {
            let told = kafka(&format!("properties: {{{properties}}}")).unwrap_err().to_string();
            assert!(told.starts_with("c.yaml:4:") && told.contains(wanted), "{properties}: {told}");
        }
        for settings in [
            "properties: {security.protocol: SSL}",
            "properties: {security.protocol_file: /p}",
            "properties: {security.protocol: SASL_SSL, sasl.mechanism_file: /m}",
            "properties: {security.protocol: SASL_SSL, sasl.mechanism: OAUTHBEARER}",
            "properties: {security.protocol: SASL_SSL, sasl.mechanism: PLAIN, sasl.username_file: /u, sasl.password_file: /p}",
            "properties: {security.protocol: SASL_SSL, sasl.password_file: /p}, consumer_properties: {sasl.mechanism: PLAIN, sasl.username: c}",
        ] {
            let loaded = kafka(settings);
            assert!(loaded.is_ok(), "{settings}: {loaded:?}");
        }
        // What the environment adds counts as what the file says.
        let text = format!("{MINIMAL}kafka: {{properties: {{security.protocol: SASL_SSL}}}}\n");
        let env = [
            ("VOMSIS__KAFKA__PROPERTIES__SASL_MECHANISM", "PLAIN"),
            ("VOMSIS__KAFKA__PROPERTIES__SASL_USERNAME", "u"),
            ("VOMSIS__KAFKA__PROPERTIES__SASL_PASSWORD_FILE", "/p"),
        ];
        assert!(with_env(&text, &env).is_ok());
    }
}
