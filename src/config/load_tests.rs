use std::time::Duration;

use super::*;
use crate::{
    config::model::{DateType, Deletions, Feed, Selection},
    domain::money::Money,
};

#[path = "refused_tests.rs"]
mod refused;

const MINIMAL: &str =
    "connections:\n  - id: acme\n    bank_pos: {app_key_file: /k, app_secret_file: /s}\n";

fn parsed(text: &str) -> Result<Loaded, Error> {
    with_env(text, &[])
}

fn with_env(text: &str, env: &[(&str, &str)]) -> Result<Loaded, Error> {
    parse("c.yaml", text, env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
}

fn refused(text: &str) -> String {
    parsed(text).unwrap_err().to_string()
}

#[test]
fn a_minimal_file_has_every_default_of_the_contract() {
    let loaded = parsed(MINIMAL).unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let config = loaded.config;
    assert_eq!(config.env, "production");
    assert_eq!(config.kafka.bootstrap_servers, "localhost:9092");
    assert_eq!((config.kafka.shards, config.kafka.replication_factor), (8, 3));
    assert_eq!(config.schema_registry.url, "http://localhost:8081");
    assert_eq!(config.state_dir.to_str(), Some("/var/lib/vomsis-connect"));
    assert_eq!(config.http_listen.to_string(), "0.0.0.0:8080");
    assert!(config.admin.is_none() && !config.sink.enabled);
    assert_eq!(config.sink.quiescence, Duration::from_mins(15));
    let connection = &config.connections[0];
    assert_eq!(
        connection.bank_pos.as_ref().unwrap().base_url,
        "https://developers.vomsis.com/api/v2"
    );
    assert_eq!(connection.quota.requests_per_minute, 60);
    let bank = connection.streams.bank_transactions.as_ref().unwrap();
    assert_eq!(bank.following.poll_interval, Duration::from_mins(5));
    assert_eq!((bank.following.start_days, bank.following.lookback_days), (30, 14));
    assert_eq!(bank.following.deletions, Deletions::Ignore);
    assert_eq!((bank.date_type, bank.feed), (DateType::SystemDate, Feed::Auto));
    assert_eq!(bank.check_interval, Duration::from_secs(86_400));
    assert_eq!(bank.accounts, Selection::All);
    assert!(
        connection.streams.pos_transactions.is_some() && connection.streams.reference.is_some()
    );
    assert!(connection.streams.virtual_pos_transactions.is_none());
    assert!(connection.streams.tos_payments.is_none());
}

#[test]
fn a_stream_is_off_by_null_or_enabled_false() {
    let text = format!(
        "{MINIMAL}    streams:\n      bank_transactions: null\n      pos_transactions: {{enabled: false}}\n"
    );
    let streams = parsed(&text).unwrap().config.connections[0].streams.clone();
    assert!(streams.bank_transactions.is_none() && streams.pos_transactions.is_none());
    assert!(streams.reference.is_some());
}

#[test]
fn a_stream_without_its_api_is_off_with_a_warning() {
    let text = format!("{MINIMAL}    streams: {{tos_payments: {{poll_interval: 15m}}}}\n");
    let loaded = parsed(&text).unwrap();
    assert!(loaded.config.connections[0].streams.tos_payments.is_none());
    assert!(loaded.warnings[0].contains("no tos section"), "{:?}", loaded.warnings);
}

#[test]
fn the_virtual_pos_borrows_the_keys_of_the_bank_api() {
    let loaded = parsed(&format!("{MINIMAL}    virtual_pos: {{}}\n")).unwrap();
    let api = loaded.config.connections[0].virtual_pos.clone().unwrap();
    assert_eq!(api.base_url, "https://uygulama.vomsis.com/api/vpos/v3");
    assert_eq!(api.app_key_file.to_str(), Some("/k"));
    let alone = refused("connections: [{id: a, virtual_pos: {}}]");
    assert!(alone.contains("app_key_file is missing"), "{alone}");
}

#[test]
fn an_unknown_key_names_file_line_column_and_the_nearest() {
    let text = refused("connections:\n  - id: a\n    bank_pos: {base_ur: x}\nkafkaa: {}\n");
    assert!(text.contains("c.yaml:3:16: connections[0].bank_pos: unknown key \"base_ur\"; did you mean \"base_url\"?"), "{text}");
    assert!(text.contains("c.yaml:4:1: unknown key \"kafkaa\"; did you mean \"kafka\"?"), "{text}");
}

#[test]
fn a_secret_in_the_file_is_answered_with_the_key_for_its_path() {
    let text = refused("connections: [{id: a, bank_pos: {app_key: hunter2}}]");
    assert!(text.contains("\"app_key_file\""), "{text}");
    assert!(!text.contains("hunter2"));
}

#[test]
fn a_wrong_type_names_line_and_key_but_not_the_value() {
    let text = refused("kafka:\n  shards: TR330006100519786457841326\nconnections: []\n");
    assert!(text.starts_with("c.yaml:2:11: kafka.shards: expected a whole number"), "{text}");
    assert!(!text.contains("TR33"));
    let text =
        refused(&format!("{MINIMAL}    streams: {{bank_transactions: {{accounts: [1, TR33]}}}}\n"));
    assert!(text.contains("connections[0].streams.bank_transactions.accounts[1]"), "{text}");
    let text =
        refused(&format!("{MINIMAL}    streams: {{bank_transactions: {{check_interval: 0s}}}}\n"));
    assert!(text.contains("streams.bank_transactions.check_interval"), "{text}");
    let text = refused(&format!("{MINIMAL}    streams: {{bank_transactions: {{feed: both}}}}\n"));
    assert!(text.contains("expected one of auto, account, connection"), "{text}");
}

#[test]
fn every_wrong_type_and_every_missing_key_is_named_at_once() {
    let text = refused(
        "connections:\n  - id: [a]\n    bank_pos: /k\n    tos: {base_url: {}, colour: red, institutions: [{sender_accounts: x}, {code: '1'}, 7]}\n    quota: {concurrency: many, burst: 1}\n    streams:\n      bank_transactions: {accounts: [1, x, 2, y], feed: both, lookback: long}\nkafka:\n  shards: some\n  manage_topics: perhaps\n  properties: [a]\n",
    );
    let found: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("c.yaml:")).collect();
    let expected = [
        "2:9: connections[0].id: expected a text, found a list",
        "3:15: connections[0].bank_pos: expected a section with keys",
        "4:10: connections[0].tos: \"token_url\" is missing",
        "4:10: connections[0].tos: \"client_id_file\" is missing",
        "4:10: connections[0].tos: \"client_secret_file\" is missing",
        "4:10: connections[0].tos: \"consent_id\" is missing",
        "4:21: connections[0].tos.base_url: expected a text, found a section",
        "4:25: connections[0].tos: unknown key \"colour\"",
        "4:53: connections[0].tos.institutions[0]: \"code\" is missing",
        "4:71: connections[0].tos.institutions[0].sender_accounts: expected a list",
        "4:88: connections[0].tos.institutions[2]: expected a section with keys",
        "5:26: connections[0].quota.concurrency: expected a whole number from 0 to 4294967295, found a text",
        "5:32: connections[0].quota: unknown key \"burst\"",
        "7:41: connections[0].streams.bank_transactions.accounts[1]: expected a whole number",
        "7:47: connections[0].streams.bank_transactions.accounts[3]: expected a whole number",
        "7:57: connections[0].streams.bank_transactions.feed: expected one of",
        "7:73: connections[0].streams.bank_transactions.lookback: ",
        "9:11: kafka.shards: expected a whole number",
        "10:18: kafka.manage_topics: expected true or false",
        "11:15: kafka.properties: expected a section with keys",
    ];
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found:?} is not {expected:?} in\n{text}");
    }
    assert_eq!(found.len(), expected.len(), "{text}");
}

#[test]
fn a_number_of_another_kind_is_named_with_what_is_wanted() {
    let told = |text: &str| {
        let text = refused(&format!("{MINIMAL}    quota: {{concurrency: {text}}}\n"));
        text.trim_end().to_owned()
    };
    let wanted = "quota.concurrency: expected a whole number from 0 to 4294967295, found ";
    for (written, found) in [
        ("1.5", "the number 1.5"),
        ("-1", "the number -1"),
        ("4294967296", "a number"),
        ("'8'", "a text"),
        ("1 2", "a text"),
        ("inf", "a text"),
    ] {
        assert!(told(written).ends_with(&format!("{wanted}{found}")), "{}", told(written));
    }
    let text = refused(&format!("{MINIMAL}kafka: {{shards: 1.5}}\n"));
    assert!(text.contains("a whole number up to 2147483647, found the number 1.5"), "{text}");
}

#[test]
fn days_that_are_too_many_are_told_as_that() {
    let start = |text: &str| {
        let streams = format!("    streams:\n      bank_transactions: {{start: {text}}}\n");
        refused(&format!("{MINIMAL}{streams}"))
    };
    for text in ["99999999999d", "3661d"] {
        assert!(start(text).contains("too long, 3660d is the longest"), "{}", start(text));
    }
    assert!(start("36h").contains("days are the smallest unit here"));
    assert!(start("999999999999999999999d").contains("too long"));
}

#[test]
fn a_file_that_is_a_list_is_told_once() {
    assert_eq!(refused("- a\n- b\n").lines().count(), 1);
    assert_eq!(refused("connections: 5\n").lines().count(), 1);
}

#[test]
fn what_is_wrong_in_the_environment_comes_after_what_is_wrong_in_the_file() {
    let env = [("VOMSIS__KAFKA__SHARDS", "many"), ("VOMSIS__HTTP__PORT", "1")];
    let text = with_env(&format!("{MINIMAL}sink: {{enabled: perhaps}}\n"), &env);
    let text = text.unwrap_err().to_string();
    let places: Vec<_> = text.lines().map(|line| line.split(": ").next().unwrap()).collect();
    let [file, http, kafka] = places.as_slice() else { panic!("{text}") };
    assert_eq!(*file, "c.yaml:4:17", "{text}");
    assert!(http.ends_with("HTTP__PORT") && kafka.ends_with("KAFKA__SHARDS"), "{text}");
}

#[test]
fn a_missing_key_is_named_where_its_section_begins() {
    let text = refused("connections:\n  - bank_pos: {}\n");
    assert!(text.contains("c.yaml:2:5: connections[0]: \"id\" is missing"), "{text}");
    assert!(refused("").contains("\"connections\" is missing"));
}

#[test]
fn the_environment_wins_and_is_named_when_wrong() {
    let env = [("VOMSIS__KAFKA__SHARDS", "16"), ("VOMSIS__CONNECTIONS__0__ID", "other")];
    let config = with_env(MINIMAL, &env).unwrap().config;
    assert_eq!((config.kafka.shards, config.connections[0].id.as_str()), (16, "other"));
    let text = with_env(MINIMAL, &[("VOMSIS__KAFKA__SHARDS", "many")]).unwrap_err().to_string();
    assert!(
        text.starts_with("environment variable VOMSIS__KAFKA__SHARDS: kafka.shards:"),
        "{text}"
    );
    let text = with_env(MINIMAL, &[("VOMSIS__KAFKA__SHARD", "1")]).unwrap_err().to_string();
    assert!(text.contains("did you mean \"shards\""), "{text}");
}

#[test]
fn a_variable_that_sets_nothing_is_a_warning_and_stands_beside_what_is_missing() {
    let slip = [("VOMSIS_KAFKA__SHARDS", "16")];
    let loaded = with_env(MINIMAL, &slip).unwrap();
    assert_eq!(loaded.config.kafka.shards, 8);
    let expected = "environment variable VOMSIS_KAFKA__SHARDS: sets nothing; write \
                    VOMSIS__KAFKA__SHARDS";
    assert_eq!(loaded.warnings, [expected]);
    let text = with_env("env: x", &slip).unwrap_err().to_string();
    assert!(text.contains("\"connections\" is missing") && text.ends_with(expected), "{text}");
}

#[test]
fn an_all_digit_value_of_the_environment_stays_a_text() {
    let env = [("VOMSIS__CONNECTIONS__0__ID", "000123")];
    assert_eq!(with_env(MINIMAL, &env).unwrap().config.connections[0].id.as_str(), "000123");
}

#[test]
fn money_is_exact_quoted_or_not() {
    for written in ["100.50", "\"100.50\"", "100.5"] {
        let text = format!("{MINIMAL}sink: {{max_amount: {written}}}\n");
        let amount = parsed(&text).unwrap().config.sink.max_amount.unwrap();
        assert_eq!(amount, Money::parse("100.50").unwrap());
    }
    let text = format!("{MINIMAL}sink: {{max_amount: 12345678901234567.12}}\n");
    let amount = parsed(&text).unwrap().config.sink.max_amount.unwrap();
    assert_eq!(amount.to_string(), "12345678901234567.12");
    for key in ["max_amount", "max_daily_amount"] {
        let text = refused(&format!("{MINIMAL}sink: {{{key}: 1.234}}\n"));
        assert!(text.contains(key) && text.contains("more than two digits after"), "{text}");
    }
    for wrong in ["1e3", "0", "-5", "'1,000.00'", "0.000001"] {
        let text = refused(&format!("{MINIMAL}sink: {{max_amount: {wrong}}}\n"));
        assert!(text.contains("sink.max_amount"), "{text}");
    }
}

#[test]
fn the_sink_needs_both_switches_and_somebody_to_pay() {
    let text = refused(&format!("{MINIMAL}    virtual_pos: {{}}\nsink: {{enabled: true}}\n"));
    assert!(text.contains("acknowledge_real_money: true"), "{text}");
    let both = "sink: {enabled: true, acknowledge_real_money: true}\n";
    assert!(refused(&format!("{MINIMAL}{both}")).contains("virtual_pos"));
    assert!(
        parsed(&format!("{MINIMAL}    virtual_pos: {{}}\n{both}")).unwrap().config.sink.enabled
    );
}

#[test]
fn a_sink_that_may_cost_money_or_doubts_is_told_so() {
    let told = |timeouts: &str, sink: &str| {
        let both = "enabled: true, acknowledge_real_money: true";
        let text = format!(
            "{MINIMAL}    virtual_pos: {{app_key_file: /k, app_secret_file: /s}}\n    timeouts: {{{timeouts}}}\nsink: {{{both}, {sink}}}\n"
        );
        parsed(&text).unwrap().warnings
    };
    assert!(told("connect: 10s", "max_amount: 10, post_timeout: 30s").is_empty());
    assert!(told("connect: 10s", "max_daily_amount: 10").is_empty());
    for (timeouts, sink, key, word) in [
        ("connect: 10s", "post_timeout: 30s", "sink.enabled", "max_daily_amount"),
        ("connect: 10s", "max_amount: 10, post_timeout: 31s", "sink.post_timeout", "35 s"),
        ("connect: 5s", "max_amount: 10, post_timeout: 5s", "timeouts.connect", "in doubt"),
    ] {
        let warnings = told(timeouts, sink);
        let [warning] = warnings.as_slice() else { panic!("{warnings:?}") };
        assert!(warning.contains(key) && warning.contains(word), "{warning}");
    }
    let off = parsed(&format!("{MINIMAL}sink: {{post_timeout: 60s}}\n")).unwrap();
    assert!(off.warnings.is_empty(), "{:?}", off.warnings);
}

#[test]
fn a_small_quota_has_a_small_reserve() {
    for (requests, reserved) in [(1, 0), (5, 2), (11, 5), (12, 6), (100, 6)] {
        let quota = format!("    quota: {{requests_per_minute: {requests}}}\n");
        let loaded = parsed(&format!("{MINIMAL}{quota}")).unwrap();
        assert_eq!(loaded.config.connections[0].quota.reserved_for_payments, reserved);
        let shown = crate::config::redact::redacted(&loaded.effective);
        let shown = &shown["connections"][0]["quota"]["reserved_for_payments"];
        assert_eq!(*shown, reserved, "`config show` prints what is in force");
    }
}

#[test]
fn what_cannot_work_is_refused_all_at_once() {
    let text = refused(
        "connections:\n  - id: a\n    bank_pos: {base_url: 'ftp://x', app_key_file: /k, app_secret_file: /s}\n    quota: {concurrency: 0, reserved_for_payments: 60}\n    streams:\n      bank_transactions: {poll_interval: 0s, lookback: 400d, start: 36h, max_bad_ratio: 2}\n  - {id: a, tos: {base_url: 'https://h/tos/query', token_url: 'https://u:p@h', client_id_file: /i, client_secret_file: /s, consent_id: '1'}}\nkafka: {bootstrap_servers: nowhere, properties: {acks: 1, sasl.password: x}}\nadmin: {enabled: true, listen: '0.0.0.0:8081'}\n",
    );
    for key in [
        "connections[0].bank_pos.base_url",
        "connections[0].quota.concurrency",
        "connections[0].quota.reserved_for_payments",
        "bank_transactions.poll_interval",
        "bank_transactions.lookback",
        "bank_transactions.start",
        "bank_transactions.max_bad_ratio",
        "connections[1].id",
        "connections[1].tos.base_url",
        "connections[1].tos.token_url",
        "connections[1].tos.institutions",
        "kafka.bootstrap_servers",
        "kafka.properties.acks",
        "kafka.properties.sasl.password",
        "admin.token_file",
    ] {
        assert!(text.contains(key), "{key} is missing in\n{text}");
    }
    assert!(!text.contains("u:p@"));
}

#[test]
fn short_intervals_and_plain_http_are_accepted_with_a_warning() {
    let text = "connections: [{id: a, bank_pos: {base_url: 'http://127.0.0.1:9/api/v2/', app_key_file: /k, app_secret_file: /s}, streams: {bank_transactions: {poll_interval: 1s}}}]\n";
    let loaded = parsed(text).unwrap();
    assert_eq!(loaded.warnings.len(), 2, "{:?}", loaded.warnings);
    assert!(loaded.warnings.iter().any(|w| w.contains("plain http")));
    assert!(loaded.warnings.iter().any(|w| w.contains("5m")));
    let api = loaded.config.connections[0].bank_pos.clone().unwrap();
    assert_eq!(api.base_url, "http://127.0.0.1:9/api/v2");
}

#[test]
fn properties_may_come_from_files() {
    let text = format!(
        "{MINIMAL}kafka: {{properties: {{security.protocol: SSL, sasl.password_file: /run/p}}}}\n"
    );
    let kafka = parsed(&text).unwrap().config.kafka;
    assert_eq!(kafka.properties.len(), 1);
    assert_eq!(kafka.property_files["sasl.password"].to_str(), Some("/run/p"));
}

#[test]
fn hmac_needs_a_key_and_cards_stay_masked() {
    let text = refused(&format!("{MINIMAL}privacy: {{classes: {{P: hmac, K: clear}}}}\n"));
    assert!(text.contains("hmac_key_file") && text.contains("privacy.classes.K"), "{text}");
}

#[test]
fn a_privacy_rule_that_would_never_be_applied_is_refused_and_clear_is_none() {
    for record in ["RowDeletion.source_id", "QuarantinedRow.raw", "PaymentCommand.reason"] {
        let with = |what: &str| format!("{MINIMAL}privacy: {{fields: {{{record}: {what}}}}}\n");
        for treatment in ["mask", "drop"] {
            let text = refused(&with(treatment));
            assert!(text.contains(record) && text.contains("never be applied"), "{text}");
        }
        assert_eq!(parsed(&with("clear")).unwrap().config.privacy.fields.len(), 1);
    }
    let applied = format!("{MINIMAL}privacy: {{fields: {{PaymentResult.detail: drop}}}}\n");
    assert!(parsed(&applied).is_ok());
}

#[test]
fn an_admin_listener_on_the_port_of_a_registry_on_this_machine_is_warned_of() {
    let warned = |listen: &str, registry: &str| {
        let text = format!(
            "{MINIMAL}admin: {{enabled: true, listen: '{listen}'}}\nschema_registry: {{url: '{registry}'}}\n"
        );
        let warnings = parsed(&text).unwrap().warnings;
        warnings.iter().any(|warning| warning.to_string().contains("same port of this machine"))
    };
    assert!(warned("127.0.0.1:8081", "http://localhost:8081"), "the defaults of both");
    assert!(warned("127.0.0.1:8080", "http://127.0.0.1:8080/apis/ccompat/v7"));
    assert!(!warned("127.0.0.1:8084", "http://localhost:8081"));
    assert!(!warned("127.0.0.1:8081", "http://registry:8081"));
    let off = parsed(&format!("{MINIMAL}admin: {{enabled: false}}\n")).unwrap();
    assert!(off.warnings.is_empty(), "{:?}", off.warnings);
}

#[test]
fn the_hash_follows_what_is_in_force() {
    let base = parsed(MINIMAL).unwrap().hash;
    assert_eq!(base.len(), 16);
    assert_eq!(base, parsed(&format!("# same\n{MINIMAL}kafka:\n")).unwrap().hash);
    assert_ne!(base, parsed(&format!("{MINIMAL}kafka: {{shards: 9}}\n")).unwrap().hash);
}

#[test]
fn an_empty_section_has_its_defaults() {
    let text = format!("{MINIMAL}kafka:\nhttp:\nsink:\n");
    assert_eq!(parsed(&text).unwrap().config.kafka.shards, 8);
}

#[test]
fn an_unreadable_file_is_named() {
    let error = load(Path::new("/nowhere/c.yaml"), std::iter::empty()).unwrap_err();
    assert!(error.to_string().starts_with("cannot read the configuration file /nowhere/c.yaml"));
    assert!(error.problems().is_empty());
}

#[test]
fn what_is_shown_hides_accounts_and_consents() {
    let text = "connections: [{id: a, tos: {base_url: 'https://h', token_url: 'https://h/t', client_id_file: /i, client_secret_file: /s, consent_id: 'CANARY1', institutions: [{code: '0006624', sender_accounts: ['CANARY2']}]}}]\nkafka: {properties: {sasl.username: CANARY3}}\n";
    let shown = crate::config::redact::redacted(&parsed(text).unwrap().effective).to_string();
    assert!(!shown.contains("CANARY"), "{shown}");
    assert!(shown.contains("0006624"));
}

#[test]
fn an_institution_that_is_written_in_two_ways_is_one() {
    let with = |codes: &str| {
        let files = "client_id_file: /i, client_secret_file: /s, consent_id: '1'";
        let urls = "base_url: 'https://h', token_url: 'https://h/t'";
        parsed(&format!("{MINIMAL}    tos: {{{urls}, {files}, institutions: [{codes}]}}\n"))
    };
    assert!(with("{code: '0006624'}, {code: '66240'}").is_ok());
    let error = with("{code: '0006624'}, {code: '6624'}").unwrap_err().to_string();
    assert!(error.contains("institutions[1].code: the code stands twice"), "{error}");
}

#[test]
fn a_stream_is_stale_after_three_polls_and_a_minute_unless_something_else_is_said() {
    let streams = |text: &str| {
        let text = format!("{MINIMAL}    streams:\n      bank_transactions: {{{text}}}\n");
        let loaded = parsed(&text).unwrap();
        let connection = &loaded.config.connections[0];
        let slo = connection.streams.bank_transactions.as_ref().unwrap().following.slo;
        (slo.freshness.as_secs(), slo.quiet.as_secs(), loaded.warnings.len())
    };
    assert_eq!(streams(""), (960, 0, 0));
    assert_eq!(streams("poll_interval: 10m, freshness_slo: null"), (1860, 0, 0));
    assert_eq!(streams("freshness_slo: 30m, quiet_slo: 26h"), (1800, 93_600, 0));
    assert_eq!(streams("freshness_slo: 5m").2, 1, "stale between two polls");
    assert_eq!(streams("freshness_slo: 0s"), (0, 0, 0), "nothing is promised");
}

#[test]
fn lists_are_never_quiet_and_take_no_promise_that_they_are_not() {
    let streams = |text: &str| format!("{MINIMAL}    streams:\n      reference: {{{text}}}\n");
    assert!(parsed(&streams("quiet_slo: 0s")).is_ok());
    let text = refused(&streams("quiet_slo: 26h"));
    assert!(text.contains("reference.quiet_slo") && text.contains("0s"), "{text}");
}

#[test]
fn the_registry_takes_a_password_or_a_token_from_files_and_not_both() {
    use crate::config::model::RegistryAuth;
    let with = |auth: &str| format!("{MINIMAL}schema_registry: {{url: 'https://h', {auth}}}\n");
    let basic = "basic_auth: {username: CANARY, password_file: /run/p}";
    let loaded = parsed(&with(basic)).unwrap();
    let expected =
        RegistryAuth::Basic { username: "CANARY".to_owned(), password_file: "/run/p".into() };
    assert_eq!(loaded.config.schema_registry.auth, Some(expected));
    let shown = crate::config::redact::redacted(&loaded.effective).to_string();
    assert!(shown.contains("/run/p") && !shown.contains("CANARY"), "{shown}");
    let bearer = "bearer_token_file: /run/t";
    let auth = parsed(&with(bearer)).unwrap().config.schema_registry.auth;
    assert_eq!(auth, Some(RegistryAuth::Bearer { token_file: "/run/t".into() }));
    let text = refused(&with(&format!("{basic}, {bearer}")));
    assert!(text.contains("keep one of them"), "{text}");
    assert!(refused(&with("basic_auth: {username: u}")).contains("password_file"));
    assert!(
        refused(&with("basic_auth: {username: u, password: p, password_file: f}"))
            .contains("password")
    );
    let plain = format!("{MINIMAL}schema_registry: {{url: 'http://h', {bearer}}}\n");
    assert!(parsed(&plain).unwrap().warnings.iter().any(|w| w.contains("travel readable")));
}
