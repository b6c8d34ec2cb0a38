//! The arrows between the rooms of `src/`, as one table: who may know whom, and which crate lives
//! where. Production code counts; `#[cfg(test)]` modules at the end of a file do not.

mod codes;
mod source;

use std::fmt::Write as _;

use self::source::{Source, mentions, rooms_of, sources};

/// Room → rooms that it may know beside itself.
const ROOMS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("failpoints", &[]),
    ("config", &["domain"]),
    ("telemetry", &["domain"]),
    ("mapping", &["domain", "config"]),
    // mapping: a payment's state is put together from two answers, the first of which tells which
    // list to ask for the second.
    ("api", &["domain", "config", "telemetry", "mapping"]),
    ("kafka", &["domain", "config", "telemetry"]),
    ("state", &["domain", "failpoints"]),
    ("publish", &["domain", "failpoints", "config", "telemetry", "state", "kafka"]),
    (
        "poll",
        &["domain", "failpoints", "config", "telemetry", "mapping", "api", "state", "publish"],
    ),
    ("shards", &["domain", "failpoints", "config", "telemetry", "state", "kafka", "publish"]),
    (
        "sink",
        &[
            "domain",
            "failpoints",
            "config",
            "telemetry",
            "mapping",
            "api",
            "kafka",
            "state",
            "publish",
        ],
    ),
    ("http", &["config", "telemetry"]),
    ("sandbox", &["domain", "config", "telemetry", "kafka"]),
    (
        "app",
        &[
            "domain",
            "failpoints",
            "config",
            "telemetry",
            "mapping",
            "api",
            "kafka",
            "state",
            "publish",
            "poll",
            "shards",
            "sink",
            "http",
        ],
    ),
    (
        "cli",
        &[
            "domain",
            "config",
            "telemetry",
            "api",
            "kafka",
            "state",
            "publish",
            "poll",
            "shards",
            "sink",
            "http",
            "sandbox",
            "app",
        ],
    ),
    ("main", &["cli"]),
];

/// Path (a crate or a part of std) → where it may stand (prefixes below `src/`), and why.
const HOMES: &[(&str, &[&str], &str)] = &[
    ("reqwest", &["api/", "api.rs"], "only api/ speaks HTTP to the sources"),
    ("schema_registry_converter", &["publish/"], "only publish/ encodes for the registry"),
    ("sled", &["state/store"], "only the store behind state/ knows the local cache"),
    (
        "rdkafka",
        &["kafka/", "publish/", "shards/", "sink/", "sandbox/"],
        "Kafka's client stays in kafka/, publish/, shards/, sink/ and the sandbox's broker",
    ),
    ("axum", &["http/", "http.rs", "sandbox/"], "only http/ and the simulator serve HTTP"),
    (
        "clap",
        &["cli/", "main.rs", "telemetry/logs.rs"],
        "arguments end in cli/ and the log's format",
    ),
    ("clap_complete", &["cli/"], "arguments end in cli/"),
    ("comfy_table", &["cli/"], "tables for people are cli/'s"),
    ("indicatif", &["cli/"], "progress bars are cli/'s"),
    ("anyhow", &["cli/", "main.rs", "app.rs", "app/"], "rooms have typed errors"),
];

/// Rooms that decide and never act, and what they must not even name.
const PURE: &[&str] = &["domain", "mapping"];
/// Files that decide, in rooms that also act; as paths below `src/` begin.
const PURE_PATHS: &[&str] = &[
    "sink/admission.rs",
    "sink/answer.rs",
    "sink/brakes.rs",
    "sink/command.rs",
    "sink/doubt.rs",
    "sink/finished.rs",
    "sink/journal/",
    "sink/look.rs",
    "sink/memory.rs",
    "sink/payload.rs",
    "sink/plan.rs",
    "sink/queue.rs",
    "sink/result.rs",
    "sink/retention.rs",
    "sink/text.rs",
];
const IMPURE: &[&str] = &[
    "tokio",
    "tokio_util",
    "reqwest",
    "rdkafka",
    "sled",
    "axum",
    "std::fs",
    "std::env",
    "std::net",
    "std::process",
    "std::thread",
    "SystemTime::now",
    "Instant::now",
    "Utc::now",
    "Local::now",
];

const MAX_LINES: usize = 500;

fn report(violations: &[String]) {
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

fn room_violations(source: &Source) -> Vec<String> {
    let room = source.room();
    let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room) else {
        let path = &source.path;
        return vec![format!("src/{path}:1: no rule for the room {room}: add it to the table")];
    };
    let known: Vec<&str> = ROOMS.iter().map(|(name, _)| *name).collect();
    let mut found = Vec::new();
    for (line, other) in rooms_of(source, &known) {
        if other != room && !allowed.contains(&other.as_str()) {
            let may =
                if allowed.is_empty() { "no other room".to_owned() } else { allowed.join(", ") };
            found.push(format!(
                "src/{}:{line}: {room} must not know {other} (it may know {may})",
                source.path
            ));
        }
    }
    found
}

fn crate_violations(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    for (name, homes, why) in HOMES {
        if !homes.iter().any(|home| source.path.starts_with(home)) {
            for line in mentions(source, name) {
                found.push(format!("src/{}:{line}: {name} stands here: {why}", source.path));
            }
        }
    }
    let pure_room = PURE.contains(&source.room());
    if pure_room || is_pure_file(source) {
        let pure = if pure_room { "pure room" } else { "pure file" };
        for name in IMPURE {
            for line in mentions(source, name) {
                let room = source.room();
                found.push(format!("src/{}:{line}: {name} in {room}, a {pure}", source.path));
            }
        }
    }
    found
}

fn is_pure_file(source: &Source) -> bool {
    PURE_PATHS.iter().any(|path| source.path.starts_with(path))
}

/// Pure files wait for nothing, so they have no `async`, not even without a runtime's name.
fn async_violations(source: &Source) -> Vec<String> {
    if !PURE.contains(&source.room()) && !is_pure_file(source) {
        return Vec::new();
    }
    let words = |line: &str, word: &str| {
        line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|part| part == word)
    };
    let lines = source.code.lines().enumerate();
    let found = lines.filter(|(_, line)| words(line, "async") || words(line, "await"));
    found.map(|(at, _)| format!("src/{}:{}: async in a pure file", source.path, at + 1)).collect()
}

#[test]
fn rooms_know_only_the_rooms_below_them() {
    report(
        &sources("src")
            .iter()
            .filter(|s| s.path != "lib.rs")
            .flat_map(room_violations)
            .collect::<Vec<_>>(),
    );
}

#[test]
fn every_arrow_of_the_table_is_used() {
    let sources = sources("src");
    let known: Vec<&str> = ROOMS.iter().map(|(name, _)| *name).collect();
    let mut unused = Vec::new();
    for (room, allowed) in ROOMS {
        let own = sources.iter().filter(|source| source.room() == *room);
        let named: Vec<String> =
            own.flat_map(|source| rooms_of(source, &known)).map(|(_, other)| other).collect();
        let idle = allowed.iter().filter(|other| !named.iter().any(|name| name == *other));
        unused.extend(idle.map(|other| format!("{room} may know {other} and does not")));
    }
    report(&unused);
}

#[test]
fn crates_stay_in_their_rooms_and_pure_rooms_do_no_io() {
    let sources = sources("src");
    report(&sources.iter().flat_map(crate_violations).collect::<Vec<_>>());
    report(&sources.iter().flat_map(async_violations).collect::<Vec<_>>());
}

#[test]
fn every_pure_path_still_exists() {
    let sources = sources("src");
    let gone = PURE_PATHS.iter().filter(|path| !sources.iter().any(|s| s.path.starts_with(**path)));
    report(&gone.map(|path| format!("src/{path} is gone: mend PURE_PATHS")).collect::<Vec<_>>());
}

#[test]
fn the_table_of_rooms_has_no_circle() {
    let mut above: Vec<&str> = Vec::new();
    for (room, allowed) in ROOMS {
        let ahead: Vec<_> = allowed.iter().filter(|other| !above.contains(other)).collect();
        assert!(ahead.is_empty(), "{room} may know {ahead:?}, which stand below it in the table");
        above.push(room);
    }
}

#[test]
fn no_source_file_is_longer_than_500_lines() {
    let long = sources("src").into_iter().filter(|source| source.lines() > MAX_LINES);
    report(
        &long.map(|s| format!("src/{}: {} lines, split it", s.path, s.lines())).collect::<Vec<_>>(),
    );
}

#[test]
fn lints_are_expected_with_a_reason_and_never_allowed() {
    let mut found = Vec::new();
    for folder in ["src", "tests", "benches"] {
        for source in sources(folder) {
            for (number, line) in source.whole.lines().enumerate() {
                if line.contains("#[allow(") || line.contains("#![allow(") {
                    let path = &source.path;
                    found
                        .push(format!("{folder}/{path}:{}: use #[expect(.., reason)]", number + 1));
                }
            }
        }
    }
    report(&found);
}

#[test]
fn the_checks_see_what_they_forbid() {
    let cases = [
        (
            "domain/money.rs",
            "use crate::api::Client;",
            "src/domain/money.rs:1: domain must not know api",
        ),
        (
            "poll/task.rs",
            "\nuse crate::{\n    api::Client,\n    shards::{Lock, a::B},\n};",
            "src/poll/task.rs:4: poll must not know shards",
        ),
        ("mapping/mod.rs", "fn f() { crate::state::go() }", "mapping must not know state"),
        ("api/mod.rs", "use super::sandbox::Simulator;", "api must not know sandbox"),
        ("state/codec.rs", "use super::super::kafka::X;", "state must not know kafka"),
        ("main.rs", "vomsis_connect::sandbox::run();", "main must not know sandbox"),
        ("garage/mod.rs", "", "no rule for the room garage"),
        ("poll/task.rs", "use rdkafka::ClientConfig;", "src/poll/task.rs:1: rdkafka stands here"),
        ("poll/task.rs", "let c = ::reqwest::Client::new();", "reqwest stands here"),
        ("state/codec.rs", "use {std::io, sled};", "sled stands here"),
        ("cli/tail.rs", "use rdkafka as kafka;", "rdkafka stands here"),
        ("domain/time.rs", "let now = Utc::now();", "Utc::now in domain"),
        ("domain/time.rs", "use std::{fmt, fs};", "std::fs in domain"),
        ("sink/plan.rs", "use tokio::time;", "tokio in sink, a pure file"),
        ("sink/journal/entry.rs", "let now = Utc::now();", "Utc::now in sink, a pure file"),
        ("sink/plan.rs", "async fn next() {}", "async in a pure file"),
        ("sink/plan.rs", "use crate::poll::Feed;", "sink must not know poll"),
    ];
    for (path, text, expected) in cases {
        let source = Source::new(path, text);
        let found =
            [room_violations(&source), crate_violations(&source), async_violations(&source)]
                .concat()
                .join("\n");
        assert!(found.contains(expected), "{path}: {text}\nexpected: {expected}\nfound: {found}");
    }
    let innocent = "//! See [`crate::sandbox`] and reqwest::Client.\nuse crate::domain::ids;\n\
        const S: &str = \"crate::sandbox reqwest::\"; /* crate::cli */ use super::kafka as k;\n\
        #[cfg(test)]\nmod tests { use crate::sandbox::X; use reqwest::Y; }\n";
    let source = Source::new("mapping/sub/mod.rs", innocent);
    let mut found = String::new();
    for violation in [room_violations(&source), crate_violations(&source)].concat() {
        writeln!(found, "{violation}").unwrap();
    }
    assert_eq!(found, "");
}
