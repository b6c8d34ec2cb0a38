//! Links between pages lead somewhere, and each page of the documentation is reached from its index.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What stands in round brackets after square ones, outside of code.
fn links(text: &str) -> Vec<&str> {
    let prose = text.split("```").step_by(2);
    let targets = prose.flat_map(|prose| prose.split("](").skip(1));
    let targets = targets.filter_map(|rest| rest.split([')', ' ']).next());
    targets.filter(|target| !target.contains("://") && !target.starts_with("mailto:")).collect()
}

/// A heading as the web shows its name: lower case, spaces as dashes, nothing but letters.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_matches(['#', ' ']).to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// Fails where the file is not there, or has no such heading; the file itself.
#[track_caller]
fn resolved(page: &Path, link: &str) -> PathBuf {
    let (file, heading) = link.split_once('#').unwrap_or((link, ""));
    let target = if file.is_empty() { page.to_owned() } else { page.parent().unwrap().join(file) };
    let target = fs::canonicalize(&target)
        .unwrap_or_else(|e| panic!("{}: the link to {link} leads nowhere: {e}", page.display()));
    if !heading.is_empty() {
        let text = fs::read_to_string(&target).unwrap();
        let mut headings = text.lines().filter(|line| line.starts_with('#'));
        assert!(headings.any(|line| anchor(line) == heading), "{}: no {link}", page.display());
    }
    target
}

#[test]
fn every_link_of_the_documentation_leads_somewhere_and_every_page_is_reached() {
    let all: Vec<_> = super::all().iter().map(|page| root().join(page)).collect();
    let mut reached = BTreeSet::new();
    for page in &all {
        let text = fs::read_to_string(page).unwrap();
        reached.extend(links(&text).into_iter().map(|link| resolved(page, link)));
    }
    for page in all.iter().filter(|page| page.starts_with(root().join("docs"))) {
        // The index of the decisions is their folder.
        let folder = page.parent().unwrap();
        assert!(
            reached.contains(page) || reached.contains(folder),
            "nothing leads to {}",
            page.display()
        );
    }
}
