//! What people type: `commands list`, `show`, `reconcile`, `resolve`, `submit`, and how they end.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::{
    DEADLINE,
    orders::{Order, produce},
    stage::{OWNED, Said, Stage, change, end, say},
};
use crate::harness::{process::Home, topics::topics_below, wait::wait_until};

const NOT_DONE: i32 = 1;
const USAGE: i32 = 2;
const UNAVAILABLE: i32 = 69;

fn json(said: &Said) -> Value {
    serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error} in {said:?}"))
}

/// `commands ARGUMENTS.. -o json`, which ends well.
#[track_caller]
fn ask(home: &Home, arguments: &[&str]) -> Value {
    let said = say(home, &[&["commands"], arguments, &["-o", "json"]].concat());
    assert_eq!(said.code, 0, "{arguments:?}: {said:?}");
    json(&said)
}

fn ids(rows: &Value) -> Vec<&str> {
    rows.as_array().unwrap().iter().map(|row| row["command_id"].as_str().unwrap()).collect()
}

#[test]
fn a_parked_command_is_listed_shown_compared_and_decided_by_a_person() {
    let stage = Stage::new("pay-people");
    stage.pay(&["A", "B", "C"], "100.00");
    let home = stage.home();
    let mut connector = home.run();
    connector.wait_for_line(OWNED, DEADLINE);
    let mut feed = stage.feed();
    let done = Order::refund("C", 300);
    stage.shop.send([&done]);
    feed.wait_for(&done, "SUCCEEDED");
    // One that never moves, and one that moves when nobody waits for it any more.
    stage.faults(&["closed:x1:change_payment"]);
    let lost = Order::refund("A", 100);
    stage.shop.send([&lost]);
    feed.wait_for(&lost, "IN_DOUBT");
    stage.faults(&["applied_late=14s:x1"]);
    let late = Order::refund("B", 200);
    stage.shop.send([&late]);
    feed.wait_for(&late, "IN_DOUBT");
    let doubts = ask(&home, &["list", "--state", "in-doubt"]);
    assert_eq!(ids(&doubts).len(), 2, "{doubts}");
    feed.wait_for(&lost, "PARKED");
    feed.wait_for(&late, "PARKED");
    wait_until("the late one is applied", DEADLINE, || {
        stage.posts().of("B").any(|post| post.applied_ms.is_some())
    });

    let parked = ask(&home, &["list", "--state", "parked"]);
    assert_eq!(ids(&parked).len(), 2, "{parked}");
    let next = parked[0]["next"].as_str().unwrap();
    assert!(next.contains("commands resolve") && next.contains("--evidence"), "{next}");
    assert_eq!(ids(&ask(&home, &["list", "--reference", "A"])), [lost.id.as_str()]);
    assert_eq!(ids(&ask(&home, &["list", "--connection", "beta"])), Vec::<&str>::new());
    assert_eq!(ids(&ask(&home, &["list", "--state", "all"])).len(), 3);
    assert_eq!(ids(&ask(&home, &["list", "--state", "finished"])), [done.id.as_str()]);

    let story = ask(&home, &["show", &lost.id]);
    let events: Vec<_> =
        story["events"].as_array().unwrap().iter().map(|e| e["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["Received", "Intended", "Doubted", "Parked"], "{story}");
    let times: Vec<_> =
        story["events"].as_array().unwrap().iter().map(|e| e["at"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "in time order: {times:?}");
    let text = say(&home, &["commands", "show", &lost.id]);
    assert!(
        text.code == 0
            && text.out.contains("PARKED")
            && !text.out.contains('{')
            && text.out.contains(&lost.id),
        "{text:?}"
    );

    let before = stage.posts().iter().count();
    let compared = ask(&home, &["reconcile", &lost.id]);
    assert!(compared["says"].as_str().unwrap().contains("does not say"), "{compared}");
    let compared = ask(&home, &["reconcile", &late.id]);
    assert!(compared["says"].as_str().unwrap().contains("it was executed"), "{compared}");
    assert_eq!(compared["now"]["refunded"], "2.00", "{compared}");

    decides(&stage, &home, &lost, &late, &done);
    assert_eq!(stage.posts().iter().count(), before, "none of these calls the API to change");
    feed.wait_for(&lost, "DECLINED");
    feed.wait_for(&late, "SUCCEEDED");
    let checked = stage.check(&[done, lost.clone(), late]);
    let told = &checked.newest[&lost.id];
    assert_eq!((&told["resolved_by"], &told["detail"]), (&"ayse".into(), &"panel, line 7".into()));
    end(&mut connector);
}

/// Decides wrongly in every way, then rightly.
fn decides(stage: &Stage, home: &Home, lost: &Order, late: &Order, done: &Order) {
    let journal = || stage.records("internal.payment-journal").len();
    let before = journal();
    let by = ["--evidence", "panel, line 7", "--actor", "ayse"];
    let resolve = |id: &str, outcome: &str, more: &[&str]| {
        say(home, &[&["commands", "resolve", id, "--outcome", outcome], more].concat())
    };
    let said = resolve(&lost.id, "not-executed", &by);
    assert_eq!(said.code, USAGE, "without --yes: {said:?}");
    assert!(said.err.contains("DECLINED") && said.err.contains("moves no money"), "{said:?}");
    let said = resolve(&lost.id, "perhaps", &[&by[..], &["--yes"]].concat());
    assert_eq!(said.code, USAGE, "{said:?}");
    let said = resolve(&lost.id, "executed", &["--evidence", " ", "--actor", "ayse", "--yes"]);
    assert_eq!(said.code, USAGE, "{said:?}");
    let said = resolve(&lost.id, "executed", &["--evidence", "panel", "--yes"]);
    assert_eq!(said.code, USAGE, "an actor is needed: {said:?}");
    let said = resolve(&done.id, "not-executed", &[&by[..], &["--yes"]].concat());
    assert_eq!(said.code, NOT_DONE, "it is done: {said:?}");
    let nobody = uuid::Uuid::new_v4().to_string();
    for arguments in [&["show", &nobody][..], &["reconcile", &nobody]] {
        let said = say(home, &[&["commands"], arguments].concat());
        assert_eq!(said.code, NOT_DONE, "{arguments:?}: {said:?}");
        assert!(said.err.contains(&nobody), "{said:?}");
    }
    assert_eq!(journal(), before, "nothing was written");

    let said = resolve(&lost.id, "not-executed", &[&by[..], &["--yes"]].concat());
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("DECLINED"), "{said:?}");
    assert!(said.err.contains("this will publish DECLINED for the REFUND"), "{said:?}");
    let said = resolve(&late.id, "executed", &[&by[..], &["--yes"]].concat());
    assert_eq!(said.code, 0, "{said:?}");
    let said = resolve(&lost.id, "executed", &[&by[..], &["--yes"]].concat());
    assert_eq!(said.code, NOT_DONE, "a decision is the last word: {said:?}");
}

#[test]
fn a_decision_that_nobody_hears_yet_counts_when_the_sink_runs_again() {
    let stage = Stage::new("pay-unheard");
    stage.pay(&["A"], "100.00");
    let home = stage.home();
    let mut connector = home.run();
    connector.wait_for_line(OWNED, DEADLINE);
    stage.faults(&["closed:x1:change_payment"]);
    let order = Order::refund("A", 100);
    stage.shop.send([&order]);
    let mut feed = stage.feed();
    feed.wait_for(&order, "PARKED");
    end(&mut connector);
    let arguments = ["commands", "resolve", &order.id, "--outcome", "not-executed", "--evidence"];
    let said = say(&home, &[&arguments[..], &["panel", "--actor", "ayse", "--yes"]].concat());
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("written down") && said.err.contains("when it runs"), "{said:?}");
    for arguments in [&["list"][..], &["show", &order.id]] {
        let said = say(&home, &[&["commands"], arguments].concat());
        assert!(said.out.contains("decided") && said.out.contains("DECLINED"), "{said:?}");
    }
    let shown = ask(&home, &["show", &order.id]);
    assert_eq!((&shown["status"], &shown["decision"]["actor"]), (&"PARKED".into(), &"ayse".into()));
    // Somebody else has not heard of it, and sees it otherwise.
    let written = || {
        let records = stage.records("internal.payment-journal");
        let is_decision = |key: &str| key.starts_with("_resolve/");
        records
            .into_iter()
            .filter(|r| r.key.as_deref().is_some_and(is_decision))
            .collect::<Vec<_>>()
    };
    let arguments = ["commands", "resolve", &order.id, "--outcome", "executed", "--evidence"];
    let said = say(&home, &[&arguments[..], &["a call", "--actor", "mehmet", "--yes"]].concat());
    assert_eq!(said.code, NOT_DONE, "{said:?}");
    assert!(said.err.contains("ayse") && said.err.contains("DECLINED"), "{said:?}");
    let decisions = written();
    let [first] = &decisions[..] else { panic!("{decisions:?}") };
    // At the same time it would have been written, and counts for nothing.
    let (key, value) = (first.key.as_deref().unwrap(), first.value.as_deref().unwrap());
    let other = String::from_utf8_lossy(value).replace("NOT_EXECUTED", "EXECUTED");
    let topic = stage.topic("internal.payment-journal");
    produce(stage.brokers(), &topic, first.partition, key, other.as_bytes());
    let mut connector = home.run();
    let told = feed.wait_for(&order, "DECLINED");
    assert_eq!((&told["resolved_by"], &told["sequence"]), (&"ayse".into(), &3.into()), "{told}");
    let line = connector.wait_for_line("VOM-SNK-022", DEADLINE);
    assert!(line.contains(&order.id) && line.contains("stands"), "{line}");
    // And once only, however often the journal is read.
    end(&mut connector);
    let mut connector = home.run();
    connector.wait_for_line(OWNED, DEADLINE);
    let next = Order::refund("A", 200);
    stage.shop.send([&next]);
    feed.wait_for(&next, "SUCCEEDED");
    end(&mut connector);
    stage.check(&[order, next]);
}

#[test]
fn submit_asks_first_and_prints_the_id_that_show_understands() {
    let stage = Stage::new("pay-submit");
    stage.pay(&["A", "B"], "100.00");
    let home = stage.home();
    let by = ["--connection", "acme", "--reference", "A", "--requested-by", "ayse"];
    let submit = |more: &[&str]| say(&home, &[&["commands", "submit"], &by[..], more].concat());
    for (more, code) in [
        (&["--type", "refund", "--amount", "12.50"][..], USAGE),
        (&["--type", "refund", "--yes"], USAGE),
        (&["--type", "refund", "--amount", "12,50", "--yes"], USAGE),
        (&["--type", "refund", "--amount", "0", "--yes"], USAGE),
        (&["--type", "refund", "--amount", "12.505", "--yes"], USAGE),
        (&["--type", "cancel", "--amount", "1", "--yes"], USAGE),
        (&["--type", "payment", "--amount", "1", "--yes"], USAGE),
        (&["--type", "cancel", "--connection", "nobody", "--yes"], USAGE),
    ] {
        let said = submit(more);
        assert_eq!(said.code, code, "{more:?}: {said:?}");
        assert_eq!(said.out, "", "{more:?}");
    }
    assert_eq!(stage.records("payment.commands").len(), 0, "nothing was sent");

    change(
        &home,
        "enabled: true, acknowledge_real_money",
        "enabled: false, acknowledge_real_money",
    );
    let by_other = ["--connection", "acme", "--reference", "B", "--requested-by", "ayse"];
    let cancelled = ["commands", "submit", "--type", "cancel", "--expires-in", "1s", "--yes"];
    let said = say(&home, &[&cancelled[..], &by_other].concat());
    assert!(said.code == 0 && said.err.contains("sink.enabled is false"), "{said:?}");
    let unheard = Order { id: said.out.trim().to_owned(), ..Order::cancel("B") };
    change(
        &home,
        "enabled: false, acknowledge_real_money",
        "enabled: true, acknowledge_real_money",
    );
    let said = submit(&["--type", "refund", "--amount", "12.50", "--currency", "TRY", "--yes"]);
    assert!(!said.err.contains("warning"), "{said:?}");
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.err.contains("this will refund 12.50 of payment A of acme, with real money"));
    assert!(said.err.contains(&format!("sending command {}", said.out.trim())), "{said:?}");
    let id = said.out.trim().to_owned();
    let order = Order { id: id.clone(), currency: Some("TRY"), ..Order::refund("A", 1_250) };
    let mut connector = home.run();
    let mut feed = stage.feed();
    feed.wait_for(&order, "SUCCEEDED");
    assert_eq!(ask(&home, &["show", &id])["status"], "SUCCEEDED");
    let said = submit(&["--type", "cancel", "--expires-in", "1h", "--yes"]);
    let cancel = Order { id: said.out.trim().to_owned(), ..Order::cancel("A") };
    feed.wait_for(&cancel, "DECLINED");
    end(&mut connector);
    feed.wait_for_final(std::slice::from_ref(&unheard));
    stage.check(&[order, cancel, unheard]);

    change(&home, stage.brokers(), "127.0.0.1:9");
    for arguments in [&["list"][..], &["halt", "--reason", "x", "--actor", "y"]] {
        let said = say(&home, &[&["commands"], arguments].concat());
        assert_eq!(said.code, UNAVAILABLE, "{arguments:?}: {said:?}");
        // That no broker can be reached does not say that none was.
        let is_told = said.err.contains("payments are NOT KNOWN to be halted");
        assert_eq!(is_told, arguments.contains(&"halt"), "{said:?}");
        let advice = "check the brokers";
        assert!(!is_told || said.err.contains(advice), "{advice}: {said:?}");
    }
}

#[test]
fn where_the_topics_are_missing_that_is_told_at_once_and_nothing_is_sent() {
    let stage = Stage::new("pay-missing");
    let home = stage.home();
    let topic_prefix = |prefix: &str| format!("topic_prefix: \"{prefix}\"");
    let nowhere = format!("{}-nowhere", stage.prefix);
    change(&home, &topic_prefix(&stage.prefix), &topic_prefix(&nowhere));
    let by = ["--reason", "drill", "--actor", "ayse", "--yes"];
    let submit = ["submit", "--type", "cancel", "--connection", "acme", "--reference", "A"];
    let submit = [&submit[..], &["--requested-by", "ayse", "--yes"]].concat();
    for (arguments, topic) in [
        (submit, "payment.commands"),
        ([&["halt"][..], &by].concat(), "internal.payment-journal"),
        ([&["resume"][..], &by].concat(), "internal.payment-journal"),
    ] {
        let begun = Instant::now();
        let said = say(&home, &[&["commands"], &arguments[..]].concat());
        let told = format!("there is no topic {nowhere}.{topic}; nothing was sent");
        assert!(said.code == NOT_DONE && said.err.contains(&told), "{said:?}");
        assert!(said.err.contains("topics apply") && said.out.is_empty(), "{said:?}");
        let is_halt = arguments.contains(&"halt");
        assert_eq!(said.err.contains("payments are NOT halted"), is_halt, "{said:?}");
        assert!(begun.elapsed() < Duration::from_secs(20), "no time-out is waited for");
    }
    assert!(topics_below(stage.brokers(), &nowhere).is_empty(), "and none is made");
}
