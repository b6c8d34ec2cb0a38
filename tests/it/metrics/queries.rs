//! The queries of alerts and dashboards against a scrape: every metric and label is there.

use std::collections::BTreeSet;

use crate::{
    harness::scrape::{Sample, Scrape},
    monitoring::shipped,
};

/// Labels that Prometheus adds when it scrapes.
const ADDED: [&str; 4] = ["namespace", "pod", "job", "instance"];

/// A metric that a query reads, with what it wants of its labels.
#[derive(Debug, PartialEq, Eq)]
struct Selector {
    metric: String,
    /// Label, and the value of `=`; a pattern only wants the label.
    matchers: Vec<(String, Option<String>)>,
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn selectors(query: &str) -> Vec<Selector> {
    let starts = query.match_indices("vomsis_").chain(query.match_indices("process_"));
    let starts = starts.filter(|(at, _)| !query.split_at(*at).0.ends_with(is_name));
    starts
        .map(|(at, _)| {
            let rest = query.split_at(at).1;
            let (metric, rest) = rest.split_at(rest.find(|c| !is_name(c)).unwrap_or(rest.len()));
            let inside = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
            let matchers = inside.map_or("", |(inside, _)| inside).split(',');
            let matchers = matchers.filter(|text| !text.is_empty()).map(|text| {
                let (label, value) = text.split_once('=').expect("a matcher");
                let exact = value.strip_prefix('"').map(|value| value.trim_end_matches('"'));
                (label.to_owned(), exact.map(str::to_owned))
            });
            Selector { metric: metric.to_owned(), matchers: matchers.collect() }
        })
        .collect()
}

/// Every label in a `by (…)` of the query.
fn grouped_by(query: &str) -> BTreeSet<&str> {
    query
        .match_indices("by (")
        .flat_map(|(at, by)| query.split_at(at + by.len()).1.split(')').next().unwrap().split(','))
        .map(str::trim)
        .filter(|label| !label.is_empty())
        .collect()
}

fn fits(sample: &Sample, selector: &Selector, by: &BTreeSet<&str>) -> bool {
    let has = |label: &str| ADDED.contains(&label) || sample.labels.contains_key(label);
    sample.name == selector.metric
        && by.iter().all(|label| has(label))
        && selector.matchers.iter().all(|(label, value)| match value {
            Some(value) => sample.labels.get(label) == Some(value),
            None => has(label),
        })
}

/// What the scrape cannot answer. Two sides that `on` joins, or of which one stands for the other, are
/// grouped each in their own way.
fn unanswered(query: &str, scrape: &Scrape) -> Vec<String> {
    let of_side = |side: &str| {
        let by = grouped_by(side);
        // What is known of the process is joined with `on`, and has no label of ours.
        let none = BTreeSet::new();
        let is_answered = |selector: &Selector| {
            let by = if selector.metric.starts_with("process_") { &none } else { &by };
            scrape.samples.iter().any(|sample| fits(sample, selector, by))
        };
        let missing = selectors(side).into_iter().filter(|selector| !is_answered(selector));
        missing.map(|selector| format!("{selector:?} by {by:?}: {side}")).collect::<Vec<_>>()
    };
    let words: Vec<_> = query.split_whitespace().collect();
    let query = words.join(" ");
    query.split(" on (").flat_map(|side| side.split(" or ")).flat_map(of_side).collect()
}

pub(super) fn assert_answered(scrape: &Scrape) {
    let queries = shipped::queries();
    let missing: Vec<_> = queries.iter().flat_map(|(_, query)| unanswered(query, scrape)).collect();
    assert!(missing.is_empty(), "\n{}\n", missing.join("\n"));
    // The others ask Prometheus itself or the kubelet.
    let own = queries.iter().filter(|(_, query)| !selectors(query).is_empty()).count();
    assert!(own > 65, "{own}");
}

#[test]
fn a_query_for_another_name_label_or_value_is_unanswered() {
    let scrape = Scrape::parse("vomsis_a_total{stream=\"x\",outcome=\"error\"} 1\nprocess_a 1\n");
    for (query, missing) in [
        ("sum by (pod,stream) (rate(vomsis_a_total{outcome=\"error\"}[1m])) > 0", 0),
        ("vomsis_a_total{outcome=~\"e.*\"}", 0),
        ("vomsis_a", 1),
        ("vomsis_a_total{outcome=\"empty\"} / vomsis_a_total", 1),
        ("sum by (topic) (vomsis_a_total)", 1),
        ("vomsis_a_total{state=~\"x|y\"} == 1", 1),
        ("sum by (a) (vomsis_a_total) and on (b) sum by (stream) (vomsis_a_total)", 1),
        ("sum by (stream) (vomsis_a_total) and on (b) sum by (a) (vomsis_a_total)", 1),
        (
            "sum by (stream) (vomsis_a_total) and on (b) (process_a < 1) / sum by (stream) (vomsis_a_total)",
            0,
        ),
        ("sum by (stream) (vomsis_a_total)\n  or sum by (a) (vomsis_a_total)", 1),
    ] {
        assert_eq!(unanswered(query, &scrape).len(), missing, "{query}");
    }
}
