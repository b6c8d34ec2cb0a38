//! What a scrape costs does not grow with the number of accounts.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use vomsis_connect::sandbox::ledger::Load;

use super::{DEADLINE, assert_bounded};
use crate::harness::{
    http, process::Home, scrape::Scrape, source::Source, topics::unique_prefix, wait::wait_until,
};

const ACCOUNTS: u32 = 10_000;
const SCRAPES: usize = 50;
/// The quickest of many: what the connector needs, whatever else the machine does.
const TIME: Duration = Duration::from_millis(20);
const BYTES: usize = 1_000_000;

fn run(accounts: u32, rows_per_account: u32) -> (Source, Home, String) {
    let load = Load { accounts, rows_per_account, days: 3, seed: Some(11), ..Load::default() };
    let source = Source::loaded(&load);
    let prefix = unique_prefix("many");
    let home = source.home(&prefix);
    (source, home, prefix)
}

/// The series' names and labels, without what names this run.
fn series(scrape: &Scrape, prefix: &str) -> BTreeSet<String> {
    let named = |(name, labels)| format!("{name} {labels:?}").replace(prefix, "PREFIX");
    // The two runs have configurations, hence hashes, of their own.
    let of_both = scrape.series().into_iter().filter(|(name, _)| name != "vomsis_config_info");
    of_both.map(named).collect()
}

#[test]
fn ten_thousand_accounts_add_no_series_and_are_scraped_in_twenty_milliseconds() {
    let (_small, small_home, small_prefix) = run(1, 1);
    let mut small = small_home.run();
    let few = Scrape::of(small.address(DEADLINE));

    let (_source, home, prefix) = run(ACCOUNTS, 1);
    let mut connector = home.run();
    let address = connector.address(DEADLINE);
    let rows = [("stream", "bank_transactions"), ("kind", "new")];
    wait_until("each account's row is published", DEADLINE, || {
        Scrape::of(address).value("vomsis_source_records_total", &rows) > f64::from(ACCOUNTS) - 0.5
    });
    let many = Scrape::of(address);
    assert_bounded(&many, &prefix);
    let (many, few) = (series(&many, &prefix), series(&few, &small_prefix));
    let of_accounts: Vec<_> = many.difference(&few).collect();
    assert!(of_accounts.is_empty(), "{of_accounts:#?}");

    let scraped = (0..SCRAPES).map(|_| {
        let began = Instant::now();
        let body = http::get(address, "/metrics").unwrap().body;
        (began.elapsed(), body.len())
    });
    let (took, bytes) = scraped.min().unwrap();
    println!("{ACCOUNTS} accounts: {bytes} bytes in {took:?}");
    assert!(bytes <= BYTES, "{bytes} bytes");
    assert!(took <= TIME, "{took:?}");
}
