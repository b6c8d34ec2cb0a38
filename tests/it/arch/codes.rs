//! Codes of log lines and errors have one home: the table of `telemetry/events.rs`.

use std::{collections::BTreeSet, fs, path::Path};

use vomsis_connect::telemetry::events::Event;

use super::{
    report,
    source::{Source, sources},
};

/// The only room where a line may be logged without a code: it is the log.
const HOME: &str = "telemetry/";
const LOUD: [&str; 3] = ["error!", "warn!", "info!"];
/// Documents that may name codes.
const DOCUMENTS: [&str; 4] = ["docs", "README.md", "ARCHITECTURE.md", "CHANGELOG.md"];

fn literal_violations(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    if source.path.starts_with(HOME) {
        return found;
    }
    for (number, line) in source.production.lines().enumerate() {
        if line.contains("\"VOM-") {
            let path = &source.path;
            found.push(format!(
                "src/{path}:{}: codes stand in telemetry/events.rs only",
                number + 1
            ));
        }
    }
    found
}

fn loud_violations(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    if source.path.starts_with(HOME) {
        return found;
    }
    for (number, line) in source.code.lines().enumerate() {
        for level in LOUD {
            if line.contains(&format!("tracing::{level}")) {
                let path = &source.path;
                let line = number + 1;
                found.push(format!("src/{path}:{line}: log with log_event!, so it has a code"));
            }
        }
    }
    found
}

fn uses(sources: &[Source], event: &str) -> bool {
    let name = format!("Event::{event}");
    sources.iter().filter(|source| !source.path.starts_with(HOME)).any(|source| {
        source.code.match_indices(&name).any(|(at, _)| {
            let next = source.code.get(at + name.len()..).and_then(|rest| rest.chars().next());
            !next.is_some_and(|c| c.is_alphanumeric() || c == '_')
        })
    })
}

/// Everything that looks like a code in a text.
fn codes_in(text: &str) -> BTreeSet<String> {
    let is_code = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-';
    text.split(|c| !is_code(c))
        .filter(|word| word.starts_with("VOM-") && word.len() == "VOM-XXX-000".len())
        .map(str::to_owned)
        .collect()
}

fn texts(path: &Path, found: &mut Vec<(String, String)>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            texts(&entry.unwrap().path(), found);
        }
    } else if path.extension().is_some_and(|extension| extension == "md") {
        found.push((path.display().to_string(), fs::read_to_string(path).unwrap()));
    }
}

#[test]
fn no_code_stands_outside_the_table() {
    report(&sources("src").iter().flat_map(literal_violations).collect::<Vec<_>>());
}

#[test]
fn every_line_that_operators_see_has_a_code() {
    report(&sources("src").iter().flat_map(loud_violations).collect::<Vec<_>>());
}

#[test]
fn every_event_of_the_table_is_used() {
    let sources = sources("src");
    let unused = Event::ALL.iter().filter(|event| !uses(&sources, &format!("{event:?}")));
    report(
        &unused
            .map(|e| format!("{}: {e:?} is never used, remove it", e.code()))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn documents_name_only_codes_that_exist_and_errors_md_names_all() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let known: BTreeSet<_> = Event::ALL.iter().map(|event| event.code().to_owned()).collect();
    let mut documents = Vec::new();
    for document in DOCUMENTS {
        texts(&root.join(document), &mut documents);
    }
    let mut violations = Vec::new();
    for (path, text) in &documents {
        for code in codes_in(text).difference(&known) {
            violations.push(format!("{path}: {code} does not exist"));
        }
    }
    let errors = fs::read_to_string(root.join("docs/errors.md")).unwrap();
    for code in known.difference(&codes_in(&errors)) {
        violations.push(format!("docs/errors.md: {code} is missing"));
    }
    report(&violations);
}

#[test]
fn the_checks_see_what_they_forbid() {
    let bad = Source::new("poll/task.rs", "fn f() { tracing::warn!(code = \"VOM-X\", \"x\"); }");
    assert_eq!(literal_violations(&bad).len(), 1);
    assert_eq!(loud_violations(&bad).len(), 1);
    let tests = "fn f() {}\n#[cfg(test)]\nmod tests { const S: &str = \"VOM-API-001\"; }";
    assert!(literal_violations(&Source::new("poll/task.rs", tests)).is_empty());
    let used = [Source::new("poll/task.rs", "f(Event::StoppedNot); // Event::Stopped")];
    assert!(!uses(&used, "Stopped"));
    assert!(uses(&used, "StoppedNot"));
    assert!(codes_in("x `VOM-API-001`, VOM-API-01").contains("VOM-API-001"));
}
