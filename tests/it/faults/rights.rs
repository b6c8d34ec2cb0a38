//! A broker with an authorizer, on which the connector's user lacks a right: on its group, on the
//! transactional id of a shard, on the topics that people's words go to.

use serde_json::Value;

use super::stage::{DEADLINE, Stage, end};
use crate::harness::{
    damage, http,
    kafka::{Broker, BrokerOptions},
    topics::create_topic,
    wait::wait_until,
};

const PASSWORD: &str = "sandbox-password";
const ACLS: &str = "org.apache.kafka.tools.AclCommand";

/// A broker whose clients log in by name, and whose resources are open until a rule names them.
fn broker() -> Broker {
    let login = format!(
        "org.apache.kafka.common.security.plain.PlainLoginModule required \
         user_vomsis=\"{PASSWORD}\";"
    );
    let properties = [
        (
            "listener.security.protocol.map",
            "CLIENT:SASL_PLAINTEXT,DIRECT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        ),
        ("sasl.enabled.mechanisms", "PLAIN"),
        ("listener.name.client.plain.sasl.jaas.config", &login),
        ("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer"),
        ("super.users", "User:ANONYMOUS"),
        ("allow.everyone.if.no.acl.found", "true"),
    ];
    let properties = properties.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
    Broker::start(BrokerOptions { properties, ..BrokerOptions::default() })
}

/// A deployment whose connector logs in at the broker.
fn logged_in(test: &str, broker: &Broker) -> Stage {
    let stage = Stage::with_broker(test, &broker.client_bootstrap(), &broker.bootstrap());
    let login = "properties: {security.protocol: SASL_PLAINTEXT, sasl.mechanism: PLAIN, \
                 sasl.username: vomsis, sasl.password_file: \"{home}/password\"}, consumer_properties";
    let home = stage.home.path().display().to_string();
    stage.change("bootstrap_servers", "consumer_properties", &login.replace("{home}", &home));
    stage.home.write("password", PASSWORD);
    stage
}

#[test]
fn a_right_on_the_group_that_is_missing_is_named_once_and_its_grant_goes_unasked() {
    let broker = broker();
    let stage = logged_in("rights", &broker);
    let rule = |user: &'static str| ["--add", "--allow-principal", user, "--operation", "Read"];
    let of_groups = ["--resource-pattern-type", "literal", "--group", "*"];
    // Who else may use the groups is named, so the connector may not.
    broker.tool(ACLS, &[&rule("User:somebody-else")[..], &of_groups].concat());

    let mut connector = stage.home.run();
    let address = connector.address(DEADLINE);
    wait_until("readiness names the group's missing right", DEADLINE, || {
        assert!(connector.is_running(), "{}", connector.stderr());
        http::get(address, "/readyz?verbose")
            .is_ok_and(|answer| answer.body.contains("grant it Read on the group"))
    });
    let told = connector.stderr().matches("VOM-KFK-009").count();
    assert_eq!(told, 1, "{}", connector.stderr());

    broker.tool(ACLS, &[&rule("User:vomsis")[..], &of_groups].concat());
    connector.wait_for_status("/readyz", 200, DEADLINE);
    stage.wait_for_all();
    end(&mut connector);
    stage.assert_exactly_once();
}

#[test]
fn a_reset_that_is_refused_half_way_names_what_is_accepted_and_goes_on_with_the_right() {
    let broker = broker();
    let stage = logged_in("half-reset", &broker);
    let mut connector = stage.start();
    stage.wait_for_all();
    end(&mut connector);
    damage::recreate(stage.brokers(), &stage.topic("internal.state"), 2, "compact");
    let id = format!("test.{0}.{0}.src.v1.1", stage.prefix);
    let of_the_second = ["--operation", "Write", "--transactional-id", id.as_str()];
    let grant = |user: &'static str| {
        broker.tool(ACLS, &[&["--add", "--allow-principal", user][..], &of_the_second].concat());
    };
    grant("User:somebody-else");
    let reset = || {
        let arguments = ["checkpoint", "reset", "--why", "drill", "--by", "ops", "--yes"];
        let (code, stdout, stderr) = stage.command(&[&arguments[..], &["-o", "json"]].concat());
        let rows: Vec<Value> = serde_json::from_str(&stdout).unwrap_or_default();
        (code, rows.iter().map(|row| row["state"].clone()).collect::<Vec<_>>(), stderr)
    };
    let (code, states, said) = reset();
    assert_eq!((code, states), (77, vec!["accepted".into(), "lost".into()]), "{said}");
    assert!(said.contains("shard 1: ") && said.contains("with the loss before: 0"), "{said}");
    assert!(said.contains("kafka-acls.md") && !said.contains("nothing was changed"), "{said}");
    grant("User:vomsis");
    let (code, states, said) = reset();
    assert_eq!((code, states), (0, vec!["ok".into(), "accepted".into()]), "{said}");
}

#[test]
fn words_that_the_user_may_not_write_are_told_as_refused_and_as_unwritten() {
    let broker = broker();
    let stage = logged_in("unwritten", &broker);
    for topic in ["internal.payment-journal", "payment.commands"] {
        let topic = stage.topic(topic);
        create_topic(stage.brokers(), &topic, 1, &[]);
        let rule = ["--add", "--allow-principal", "User:somebody-else", "--operation", "Write"];
        broker.tool(ACLS, &[&rule[..], &["--topic", &topic]].concat());
    }
    let by = ["--reason", "drill", "--actor", "ops", "--yes"];
    let (code, _, halt) = stage.command(&[&["commands", "halt"][..], &by].concat());
    assert!(halt.contains("payments are NOT halted") && halt.contains("kafka-acls.md"), "{halt}");
    assert_eq!(code, 77, "{halt}");
    let submit = ["commands", "submit", "--type", "cancel", "--connection", "acme"];
    let whose = ["--reference", "R-1", "--requested-by", "ops", "--yes"];
    let (code, _, submit) = stage.command(&[&submit[..], &whose].concat());
    assert!(submit.contains("nothing was written") && !submit.contains("may have"), "{submit}");
    assert!(submit.contains("kafka-acls.md"), "{submit}");
    assert_eq!(code, 77, "{submit}");
}
