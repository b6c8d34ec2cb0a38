//! Commands read and decided by the admin listener, and exported: the same words as the command line,
//! and nothing that only reads leaves a trace.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    DEADLINE,
    orders::Order,
    stage::{Stage, change, end, say},
};
use crate::harness::{
    http,
    process::{Home, Process},
    topics::{ends, topics_below},
};

const USAGE: i32 = 2;

/// The listener of a running connector.
struct Desk<'p>(&'p mut Process);

impl Desk<'_> {
    /// `METHOD /api/v1/commandsPATH`; the status, and the body as JSON.
    fn ask(&mut self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let address = self.0.address_in("listening for operators", DEADLINE);
        let body = body.map(Value::to_string);
        let body = body.as_deref().map(|body| ("application/json", body));
        let answer = http::request(address, method, &format!("/api/v1/commands{path}"), body);
        let answer = answer.unwrap();
        (answer.status, answer.json())
    }

    #[track_caller]
    fn get(&mut self, path: &str) -> Value {
        let (status, said) = self.ask("GET", path, None);
        assert_eq!(status, 200, "{path}: {said}");
        said
    }
}

/// `commands ARGUMENTS..`; what it printed.
#[track_caller]
fn printed(home: &Home, arguments: &[&str]) -> String {
    let said = say(home, &[&["commands"], arguments].concat());
    assert_eq!(said.code, 0, "{arguments:?}: {said:?}");
    said.out
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text:?}"))
}

/// Where every topic of the deployment ends, what is not committed included.
fn all_ends(stage: &Stage) -> BTreeMap<String, Vec<(i64, i64)>> {
    let topics = topics_below(stage.brokers(), &format!("{}.", stage.prefix));
    let of = |topic: String| {
        let found = ends(stage.brokers(), &stage.topic(&topic)).into_values().collect();
        (topic, found)
    };
    topics.into_iter().map(of).collect()
}

#[test]
fn the_listener_tells_and_decides_what_the_command_line_does_and_reading_writes_nothing() {
    let stage = Stage::new("pay-desk");
    stage.pay(&["A", "B"], "100.00");
    let home = stage.home();
    let admin = "\nadmin: {enabled: true, listen: \"127.0.0.1:0\"}";
    change(&home, "\nsink: {", &format!("{admin}\nsink: {{"));
    let (done, lost) = (Order::refund("B", 200), Order::refund("A", 100));
    let mut connector = home.run();
    let mut feed = stage.feed();
    stage.shop.send([&done]);
    feed.wait_for(&done, "SUCCEEDED");
    stage.faults(&["closed:x1:change_payment"]);
    stage.shop.send([&lost]);
    feed.wait_for(&lost, "PARKED");
    end(&mut connector);

    let (before, posts) = (all_ends(&stage), stage.posts().iter().count());
    assert!(before["internal.payment-journal"].iter().any(|(_, end)| *end > 0), "{before:?}");
    let told = reads(&home, &done, &lost);
    assert_eq!(all_ends(&stage), before, "who only reads writes nothing");
    assert_eq!(stage.posts().iter().count(), posts, "and asks for no money to be moved");

    let mut connector = home.run();
    let mut desk = Desk(&mut connector);
    let list = desk.get("");
    assert_eq!((&list["commands"], &list["halted"]), (&told.list, &Value::Null));
    assert_eq!(list["left_out"], 0);
    assert_eq!(desk.get("?state=all&reference=B")["commands"][0]["command_id"], done.id.as_str());
    assert_eq!(desk.get("?state=finished&connection=beta")["commands"], json!([]));
    assert_eq!(desk.get(&format!("/{}", lost.id)), told.story);
    let nothing = json!({});
    let reconciled = desk.ask("POST", &format!("/{}/reconcile", lost.id), Some(&nothing));
    assert_eq!(reconciled, (200, told.compared));
    let sign_ins = || {
        let seen = stage.simulator().requests().last;
        seen.iter().filter(|request| request.operation == "virtual_pos_token").count()
    };
    let before = sign_ins();
    assert_eq!(desk.ask("POST", &format!("/{}/reconcile", lost.id), Some(&nothing)).0, 200);
    assert_eq!(sign_ins(), before, "the connector's own token, and its quota");
    let nobody = uuid::Uuid::new_v4();
    let (status, problem) = desk.ask("GET", &format!("/{nobody}"), None);
    assert!(status == 404 && problem["detail"].as_str().unwrap().contains(&nobody.to_string()));

    let word = json!({ "outcome": "not_executed", "evidence": "panel, line 7", "actor": "ayse" });
    let mut resolve =
        |order: &Order, word| desk.ask("POST", &format!("/{}/resolve", order.id), Some(word));
    assert_eq!(resolve(&done, &word).0, 409, "nobody is needed there");
    let (status, said) = resolve(&lost, &word);
    assert_eq!((status, &said["outcome"]), (200, &"DECLINED".into()), "{said}");
    assert_eq!(resolve(&lost, &word).0, 409, "a decision is the last word");
    feed.wait_for(&lost, "DECLINED");
    assert_eq!(stage.posts().iter().count(), posts, "a decision moves no money");
    end(&mut connector);
    let checked = stage.check(&[done, lost.clone()]);
    assert_eq!(checked.newest[&lost.id]["resolved_by"], "ayse");
}

/// What the command line tells of the parked one.
struct Told {
    list: Value,
    story: Value,
    compared: Value,
}

/// Everything that only reads, while no connector runs.
fn reads(home: &Home, done: &Order, lost: &Order) -> Told {
    let json = |arguments: &[&str]| parsed(&printed(home, &[arguments, &["-o", "json"]].concat()));
    let exported = printed(home, &["export"]);
    let lines: Vec<Value> = exported.lines().map(parsed).collect();
    let stories = [done, lost].map(|order| json(&["show", &order.id]));
    assert_eq!(lines, stories, "each once, the oldest first, as `show` tells it");
    assert_eq!(lines[0]["events"].as_array().unwrap().len(), 3, "{}", lines[0]);
    let parked = printed(home, &["export", "--state", "parked", "--connection", "acme"]);
    assert_eq!(parked.lines().map(parsed).collect::<Vec<_>>(), stories[1..]);
    assert_eq!(printed(home, &["export", "--reference", "C"]), "");
    let said = say(home, &["commands", "export", "-o", "table"]);
    assert_eq!(said.code, USAGE, "{said:?}");
    let [_, story] = stories;
    let compared = json(&["reconcile", &lost.id]);
    assert!(compared["now"].is_object() && compared["status"] == "PARKED", "{compared}");
    Told { list: json(&["list"]), story, compared }
}
