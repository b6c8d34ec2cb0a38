//! `docs/faults.md` names tests that are there, for each fault and each input.

use std::{fs, path::Path};

const PAGE: &str = "docs/faults.md";
const FAULTS: usize = 30;
const INPUTS: usize = 27;

/// The lines of the table below a heading: number, cells, and the tests of the last one.
fn rows<'p>(page: &'p str, heading: &str) -> Vec<(&'p str, Vec<&'p str>)> {
    let (_, rest) = page.split_once(&format!("\n## {heading}\n")).expect(heading);
    let table = rest.split("\n## ").next().unwrap();
    let lines = table.lines().filter(|line| line.starts_with("| "));
    let cells = |line: &'p str| -> (&'p str, Vec<&'p str>) {
        let cells: Vec<_> = line.trim_matches(['|', ' ']).split(" | ").collect();
        let [number, _, _, held] = cells[..] else { panic!("four cells: {line}") };
        (number, held.split('`').skip(1).step_by(2).collect())
    };
    lines.skip(1).map(cells).collect()
}

/// The files that may hold a module's tests: one of its own, one beside its parent, or the parent's.
fn files(module: &str) -> Vec<String> {
    let place = module.replace("::", "/");
    let mut files = vec![format!("tests/it/{place}.rs"), format!("src/{place}.rs")];
    if let Some((parent, below)) = place.split_once("/tests") {
        let below = below.replace('/', "_");
        files.push(format!("src/{parent}{below}_tests.rs"));
        files.push(format!("src/{parent}.rs"));
    }
    files
}

/// The tests of a source whose names begin so.
fn tests_of(source: &str, name: &str) -> usize {
    let lines: Vec<_> = source.lines().collect();
    let is_test = |at: usize| {
        let above = lines.iter().take(at).rev().take_while(|line| !line.trim().is_empty());
        above.into_iter().any(|line| line.contains("#[test]") || line.contains("#[tokio::test"))
    };
    let begins = |line: &str| {
        let named = line.trim().trim_start_matches("async ").strip_prefix("fn ")?;
        let found = named.split('(').next()?;
        Some(match name.strip_suffix('…') {
            Some(beginning) => found.starts_with(beginning),
            None => found == name,
        })
    };
    let named = lines.iter().enumerate().filter(|(_, line)| begins(line) == Some(true));
    named.filter(|(at, _)| is_test(*at)).count()
}

/// How many tests a path of the page stands for.
fn tests_at(path: &str) -> usize {
    let (module, name) = path.rsplit_once("::").unwrap_or(("", path));
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = files(module).into_iter().filter_map(|f| fs::read_to_string(root.join(f)).ok());
    sources.map(|source| tests_of(&source, name)).sum()
}

#[test]
fn every_fault_and_every_input_is_held_by_tests_that_are_there() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE)).unwrap();
    for (heading, count) in [("Faults", FAULTS), ("Inputs", INPUTS)] {
        let rows = rows(&page, heading);
        let numbers: Vec<_> = rows.iter().map(|(number, _)| (*number).to_owned()).collect();
        let wanted: Vec<_> = (1..=count).map(|number| number.to_string()).collect();
        assert_eq!(numbers, wanted, "{heading}: the numbers of the lines");
        for (number, tests) in rows {
            assert!(!tests.is_empty(), "{heading} {number}: nothing holds it");
            for path in tests {
                let found = tests_at(path);
                assert_eq!(found, 1, "{heading} {number}: tests that are called {path}");
            }
        }
    }
}

#[test]
fn the_check_sees_what_it_forbids() {
    let own = "pages::faults::the_check_sees_what_it_forbids";
    assert_eq!((tests_at(own), tests_at("pages::faults::the_check_sees…")), (1, 1));
    assert_eq!(tests_at("state::position::tests::cursor_never_goes_back_whatever…"), 1);
    // No such test, no such file, no test at all, and more than one.
    for wrong in
        ["pages::faults::the_check_sees", "nowhere::the_check_sees…", "pages::faults::rows"]
    {
        assert_eq!(tests_at(wrong), 0, "{wrong}");
    }
    assert_eq!(tests_at("pages::faults::…"), 2);
}
