//! What is refused of brokers, ids and variables, and in which words.

use super::*;

#[test]
fn brokers_are_written_without_a_scheme_that_is_not_kafkas() {
    let servers =
        |text: &str| refused(&format!("{MINIMAL}kafka: {{bootstrap_servers: '{text}'}}\n"));
    for text in ["http://h:9092", "a:1, kafka://h:9092/"] {
        let told = servers(text);
        assert!(
            told.contains("kafka.bootstrap_servers: ") && told.contains("write h:9092"),
            "{told}"
        );
    }
    assert!(servers("kafka://h").contains("write h:PORT"));
    for text in ["h", "PLAINTEXT://h", "h:", "h:port", "h:9092,", "h/:1"] {
        assert!(servers(text).contains("write host:port, several with commas"), "{text}");
    }
    for text in ["[::1]:9092,h:1", "PLAINTEXT://h:9092"] {
        let text = format!("{MINIMAL}kafka: {{bootstrap_servers: '{text}'}}\n");
        assert!(parsed(&text).is_ok(), "{text}");
    }
}

#[test]
fn a_login_among_the_brokers_is_refused_and_not_repeated() {
    for servers in ["user:canary@h:9092", "h:9092, kafka://user:canary@h:9092", "canary@h"] {
        let text = refused(&format!("{MINIMAL}kafka: {{bootstrap_servers: '{servers}'}}\n"));
        assert!(text.contains("kafka.bootstrap_servers: a login does not belong here"), "{text}");
        assert!(text.contains("sasl.password_file") && !text.contains("canary"), "{text}");
    }
}

#[test]
fn an_id_is_refused_with_the_rule_that_it_breaks() {
    use crate::domain::ids::{ConnectionId, InvalidId};
    let broken = ConnectionId::try_new("_acme").unwrap_err().to_string();
    assert!(InvalidId::RULE.contains("no _") && broken.ends_with(InvalidId::RULE), "{broken}");
    let text = refused(&MINIMAL.replace("acme", "_acme"));
    assert!(text.contains(&format!("[0].id: write {}", InvalidId::RULE)), "{text}");
    let doc = crate::config::schema::explain("connections.id").unwrap().doc;
    assert!(doc.contains(InvalidId::RULE), "{doc}");
}

#[test]
fn an_empty_variable_is_named_and_takes_no_cap_away() {
    let file = format!("{MINIMAL}sink: {{max_amount: 100}}\n");
    for (name, text) in [("VOMSIS__SINK__MAX_AMOUNT", ""), ("VOMSIS__KAFKA", " ")] {
        let told = with_env(&file, &[(name, text)]).unwrap_err().to_string();
        assert!(told.starts_with(&format!("environment variable {name}: is empty: ")), "{told}");
    }
}
