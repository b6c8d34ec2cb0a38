//! Each promise of the README has one file that keeps it and one that holds it to it.

use std::{fs, path::Path};

const HEADING: &str = "## Promises of the README, and what keeps them";
/// The section of the README of which each point must have its line in the table.
const SECTION: &str = "## What is promised, and what is not";

fn read(page: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).unwrap()
}

/// The text below a heading, up to the next of its kind.
fn below<'t>(text: &'t str, heading: &str) -> &'t str {
    let (_, rest) = text.split_once(&format!("{heading}\n")).expect(heading);
    rest.split("\n## ").next().unwrap()
}

/// As it is read: no breaks, no targets of links, no marks of emphasis.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("](") {
        plain.push_str(before);
        rest = after.split_once(')').map_or("", |(_, after)| after);
    }
    plain.push_str(rest);
    let words: Vec<_> = plain.split_whitespace().collect();
    words.join(" ").replace(['[', ']'], "").replace("**", "")
}

/// What is promised, by which file, held by which test.
fn rows() -> Vec<[String; 3]> {
    let page = read("ARCHITECTURE.md");
    let lines = below(&page, HEADING).lines().filter(|line| line.starts_with("| "));
    let cells = |line: &str| {
        let kept = line.replace("\\|", "\u{0}");
        let cells = kept.trim_matches(['|', ' ']).split(" | ");
        let cells: Vec<_> = cells.map(|cell| cell.trim().replace('\u{0}', "|")).collect();
        <[String; 3]>::try_from(cells).unwrap_or_else(|_| panic!("three cells: {line}"))
    };
    lines.skip(1).map(cells).collect()
}

#[test]
fn every_promise_is_in_the_readme_and_its_files_are_there() {
    let readme = plain(&read("README.md"));
    let rows = rows();
    assert!(rows.len() > 10, "the table was found: {rows:?}");
    for [promise, kept, held] in &rows {
        assert!(readme.contains(promise), "the README does not say: {promise}");
        for (file, begins) in [(kept, &["src/"][..]), (held, &["tests/", "src/"])] {
            let path = file.trim_matches('`');
            assert!(begins.iter().any(|begin| path.starts_with(begin)), "{promise}: {file}");
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
            assert!(path.is_file(), "{promise}: there is no {file}");
        }
        let test = read(held.trim_matches('`'));
        assert!(
            test.contains("#[test]") || test.contains("#[tokio::test]") || test.contains("assert"),
            "{promise}: nothing is asserted in {held}"
        );
    }
}

#[test]
fn every_point_of_what_is_promised_has_its_line() {
    let page = read("README.md");
    let points =
        below(&page, SECTION).split("\n- ").map(|point| plain(point.trim_start_matches("- ")));
    let rows = rows();
    for point in points.filter(|point| !point.is_empty()) {
        let has_line = rows.iter().any(|[promise, ..]| point.contains(promise));
        assert!(has_line, "ARCHITECTURE.md names nothing that keeps: {point}");
    }
}
