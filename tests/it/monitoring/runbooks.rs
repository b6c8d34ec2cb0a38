//! The pages of the alerts: their index and severities are those of the rules, and what they tell
//! somebody to type is a whole command.

use std::fs;

use clap::Parser;
use vomsis_connect::cli::Cli;

use super::shipped::{Alert, alerts, in_repository};
use crate::pages;

const INDEX: &str = "# Runbooks

One page an alert of `helm/vomsis-connect/files/rules/vomsis.rules.yaml`: what it means, whom it hurts, what to look at, \
what to do, whom to call. This index is made from the rules and the pages; `UPDATE=1 cargo test --test it monitoring::` \
writes it.

| Alert | Severity | What it says |
|---|---|---|
";

/// Pages beside the runbooks whose commands are typed in trouble.
const COMMANDS: [&str; 2] = ["docs/deploy/", "docs/operations/"];

/// Every page of the folder, the index among them.
pub(super) fn runbooks() -> Vec<(String, String)> {
    let folder = in_repository("docs/runbooks");
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let mut found: Vec<_> = files
        .map(|file| {
            let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(&file).unwrap())
        })
        .collect();
    found.sort();
    found
}

/// What the page must say of when it fires and whom it wakes.
fn severity(rule: &serde_json::Value) -> String {
    let severity = rule["labels"]["severity"].as_str().unwrap();
    let after = |time: &str| {
        let (count, unit) = time.split_at(time.len() - 1);
        let unit = if unit == "h" { "hours" } else { "minutes" };
        format!("after {count} {unit}")
    };
    let after = rule["for"].as_str().map_or_else(|| "at once".to_owned(), after);
    let escalates = rule["labels"]["escalate"].as_str().is_some();
    format!("{severity}, {after}{}", if escalates { ", with `escalate: \"true\"`" } else { "" })
}

/// The first sentence of what it means.
fn meaning(text: &str) -> String {
    let (_, meaning) = text.split_once("\n## Meaning\n").unwrap();
    let words: Vec<_> = meaning.split("\n## ").next().unwrap().split_whitespace().collect();
    let words = words.join(" ");
    words.split_once(". ").map_or_else(|| words.clone(), |(sentence, _)| format!("{sentence}."))
}

#[test]
fn the_index_and_the_pages_say_of_each_alert_what_its_rule_says() {
    let runbooks = runbooks();
    let mut index = INDEX.to_owned();
    for Alert { name, rule } in alerts() {
        let (_, text) = runbooks.iter().find(|(page, _)| *page == name).expect(&name);
        let severity = severity(&rule);
        let line = text.lines().find(|line| line.starts_with("Severity: ")).expect(&name);
        // A page may add when it never fires.
        let says = line.trim_start_matches("Severity: ").trim_end_matches('.');
        let fits = says
            .strip_prefix(&severity)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with("; "));
        assert!(fits, "{name}.md says {says:?}, the rule {severity:?}");
        index += &format!("| [{name}]({name}.md) | {says} | {} |\n", pages::cell(&meaning(text)));
    }
    pages::assert_committed("docs/runbooks/README.md", &index);
}

#[test]
fn runbooks_name_codes_and_pages_that_exist() {
    let codes = fs::read_to_string(in_repository("docs/errors.md")).unwrap();
    let mut links = 0;
    for (name, text) in runbooks() {
        for (at, _) in text.match_indices("VOM-") {
            let code: String = text.get(at..).unwrap().chars().take("VOM-SRC-001".len()).collect();
            assert!(codes.contains(&format!("| {code} |")), "{name}: {code} is not in errors.md");
        }
        for (at, opening) in text.match_indices("](") {
            let target = text.get(at + opening.len()..).unwrap().split([')', '#']).next().unwrap();
            assert!(in_repository("docs/runbooks").join(target).exists(), "{name}: {target}");
            links += 1;
        }
    }
    assert!(links > 20, "{links} links");
}

#[test]
fn a_command_in_a_runbook_is_one_that_can_be_typed() {
    let mut texts = runbooks();
    let beside =
        pages::all().into_iter().filter(|page| COMMANDS.iter().any(|at| page.starts_with(at)));
    texts.extend(beside.map(|page| {
        let text = fs::read_to_string(in_repository(&page)).unwrap();
        (page, text)
    }));
    let mut commands = 0;
    for (name, text) in texts {
        // A fence of three would turn inside out what lies between single ones.
        let prose: String = text.split("```").step_by(2).collect();
        for span in prose.split('`').skip(1).step_by(2) {
            let short = span.starts_with("commands ").then_some(span);
            if let Some(words) = span.strip_prefix("vomsis-connect ").or(short)
                && !words.contains('…')
            {
                assert_parses(&name, words);
                commands += 1;
            }
        }
    }
    assert!(commands > 30, "{commands} commands");
}

/// The command line takes it; words in capitals stand for something.
fn assert_parses(page: &str, words: &str) {
    let meant = words.split_whitespace().map(|word| match word {
        "ID" => "00000000-0000-4000-8000-000000000000",
        "STREAM" => "bank_transactions",
        other => other,
    });
    let parsed = Cli::try_parse_from(std::iter::once("vomsis-connect").chain(meant));
    assert!(parsed.is_ok(), "{page}: {words}\n{}", parsed.unwrap_err());
}
