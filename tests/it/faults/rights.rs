//! A broker with an authorizer, on which the connector's user lacks the right on its group.

use super::stage::{DEADLINE, Stage, end};
use crate::harness::{
    http,
    kafka::{Broker, BrokerOptions},
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

#[test]
fn a_right_on_the_group_that_is_missing_is_named_once_and_its_grant_goes_unasked() {
    let broker = broker();
    let stage = Stage::with_broker("rights", &broker.client_bootstrap(), &broker.bootstrap());
    let login = "properties: {security.protocol: SASL_PLAINTEXT, sasl.mechanism: PLAIN, \
                 sasl.username: vomsis, sasl.password_file: \"{home}/password\"}, consumer_properties";
    let home = stage.home.path().display().to_string();
    stage.change("bootstrap_servers", "consumer_properties", &login.replace("{home}", &home));
    stage.home.write("password", PASSWORD);
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
