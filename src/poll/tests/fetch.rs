//! Counts that a row limit would give: what is asked again, and what is believed.

use std::collections::BTreeSet;

use serde_json::json;

use super::*;
use crate::{
    api::Purpose,
    config::model::DateType,
    domain::time::Day,
    poll::{
        digest::id_of,
        fetch::{Fetcher, Origin, Read},
        plan::Window,
    },
    telemetry::clock::now,
};

const ROWS: &str = "account_transactions";

fn fetcher(stage: &Stage) -> Fetcher {
    let origin = Origin::Account { id: 73, date_type: DateType::SystemDate };
    Fetcher::new(stage.parts.api.clone(), origin)
}

/// So many rows of yesterday, with ids from 1,000 on.
fn add_rows(stage: &Stage, count: i64) {
    for id in 1000..1000 + count {
        stage.add_row("73", json!({"id": id, "system_date": days_ago(1)}));
    }
}

fn yesterday() -> Day {
    now().local_day().plus(-1)
}

async fn read(fetcher: &mut Fetcher, window: Window) -> (usize, bool) {
    let Read { answers, whole } = fetcher.window(Purpose::Repair, window).await.unwrap();
    (answers.iter().map(crate::api::Rows::len).sum(), whole)
}

#[tokio::test]
async fn a_day_with_more_rows_than_an_answer_may_have_is_read_on_by_ids() {
    for (rows, calls) in [(150, 2), (200, 3), (230, 3)] {
        let stage = Stage::in_order(RowOrder::Ascending).await;
        add_rows(&stage, rows);
        stage.set_faults(&["cap=100:account_transactions"]);
        let day = Window { from: yesterday(), to: yesterday() };
        let all = usize::try_from(rows).unwrap();
        assert_eq!(read(&mut fetcher(&stage), day).await, (all, true), "{rows} rows");
        let asked = stage.asked(ROWS);
        assert_eq!(asked.len(), calls);
        assert!(asked[1].target.contains("lastId=1099&"), "{}", asked[1].target);
        assert!(asked[1].target.contains("beginDate="), "{}", asked[1].target);
    }
}

#[tokio::test]
async fn a_day_whose_older_rows_may_be_held_back_is_not_believed_to_be_whole() {
    let stage = Stage::new().await;
    add_rows(&stage, 150);
    stage.set_faults(&["cap=100:account_transactions"]);
    let mut fetcher = fetcher(&stage);
    let day = Window { from: yesterday(), to: yesterday() };
    assert_eq!(read(&mut fetcher, day).await, (100, false));
    // Nor is a window whose rows are all of that day, however its halves add up.
    let week = Window { from: yesterday().plus(-5), to: yesterday().plus(1) };
    assert_eq!(read(&mut fetcher, week).await, (100, false));
    assert_eq!(read(&mut fetcher, week).await, (100, false), "again");
}

/// So many rows of yesterday, spread over the day, with ids from 1,000 on.
fn spread_rows(stage: &Stage, count: i64) {
    let day = yesterday().to_date();
    for n in 0..count {
        let second = n * 86_399 / (count - 1).max(1);
        let time = format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60);
        stage.add_row("73", json!({"id": 1000 + n, "system_date": format!("{day} {time}")}));
    }
}

fn ids(read: &Read) -> BTreeSet<i64> {
    read.answers.iter().flat_map(crate::api::Rows::iter).filter_map(id_of).collect()
}

#[tokio::test]
async fn a_day_that_holds_back_older_rows_is_read_by_its_hours() {
    for order in [RowOrder::Descending, RowOrder::Shuffled] {
        let stage = Stage::in_order(order).await;
        spread_rows(&stage, 1_000);
        stage.set_faults(&["cap=100:account_transactions"]);
        let mut fetcher = fetcher(&stage);
        for window in [(0, 0), (-4, 1)] {
            let (from, to) = (yesterday().plus(window.0), yesterday().plus(window.1));
            let window = Window { from, to };
            let found = fetcher.window(Purpose::Repair, window).await.unwrap();
            assert_eq!(ids(&found), (1000..2000).collect(), "{order:?}, {window:?}");
            assert!(found.whole, "{order:?}, {window:?}");
        }
    }
}

#[tokio::test]
async fn a_day_of_a_round_count_is_whole_where_its_hours_hold_no_more() {
    let stage = Stage::new().await;
    spread_rows(&stage, 100);
    let mut fetcher = fetcher(&stage);
    let day = Window { from: yesterday(), to: yesterday() };
    for calls in [4, 8, 12, 13] {
        assert_eq!(read(&mut fetcher, day).await, (100, true));
        assert_eq!(stage.asked(ROWS).len(), calls, "proven three times it is not asked for again");
    }
    assert!(stage.asked(ROWS)[2].target.contains("+00%3A00%3A00&endDate"));
    assert!(stage.asked(ROWS)[3].target.contains("+12%3A00%3A00&endDate"));
}

#[tokio::test]
async fn hours_that_tell_nothing_are_not_asked_for_for_ever() {
    // All rows of one second: as good as dates without a time.
    let stage = Stage::new().await;
    add_rows(&stage, 150);
    stage.set_faults(&["cap=100:account_transactions"]);
    let mut fetcher = fetcher(&stage);
    let day = Window { from: yesterday(), to: yesterday() };
    for _ in 0..3 {
        assert_eq!(read(&mut fetcher, day).await, (100, false));
    }
    let asked = stage.asked(ROWS).len();
    assert!(asked <= 3 * (2 + 2 * 11), "{asked} calls");
    assert_eq!(read(&mut fetcher, day).await, (100, false));
    assert_eq!(stage.asked(ROWS).len(), asked + 2);
}

#[tokio::test]
async fn an_api_that_does_not_read_the_time_is_asked_for_two_parts_of_a_day() {
    let stage = Stage::new().await;
    spread_rows(&stage, 500);
    stage.set_faults(&["default_range:account_transactions", "cap=100:account_transactions"]);
    let mut fetcher = fetcher(&stage);
    let day = Window { from: yesterday(), to: yesterday() };
    assert_eq!(read(&mut fetcher, day).await, (100, false));
    assert_eq!(stage.asked(ROWS).len(), 4, "the day, above it, its two halves");
}

#[tokio::test]
async fn a_round_count_is_whole_once_a_larger_answer_was_seen() {
    let stage = Stage::new().await;
    add_rows(&stage, 100);
    let mut fetcher = fetcher(&stage);
    let day = Window { from: yesterday(), to: yesterday() };
    assert_eq!(read(&mut fetcher, day).await, (100, false));
    stage.add_row("73", json!({"id": 2000, "system_date": days_ago(2)}));
    let two_days = Window { from: yesterday().plus(-1), to: yesterday() };
    assert_eq!(read(&mut fetcher, two_days).await, (101, true));
    assert_eq!(read(&mut fetcher, day).await, (100, true));
}

#[tokio::test]
async fn a_limit_that_is_no_hundred_is_found_too() {
    // 130 rows of yesterday and 130 of the day before.
    for cap in [50, 75, 120, 200, 250] {
        let stage = Stage::in_order(RowOrder::Ascending).await;
        add_rows(&stage, 130);
        for id in 2000..2130 {
            stage.add_row("73", json!({"id": id, "system_date": days_ago(2)}));
        }
        stage.set_faults(&[&format!("cap={cap}:account_transactions")]);
        let mut fetcher = fetcher(&stage);
        let two_days = Window { from: yesterday().plus(-1), to: yesterday() };
        let first = Window { from: yesterday().plus(-5), to: yesterday().plus(-1) };
        read(&mut fetcher, first).await;
        assert_eq!(read(&mut fetcher, two_days).await.0, 260, "cap {cap}");
    }
}

#[tokio::test]
async fn pages_in_no_order_are_read_and_not_believed_to_be_whole() {
    let stage = Stage::in_order(RowOrder::Shuffled).await;
    add_rows(&stage, 200);
    stage.set_faults(&["cap=100:account_transactions"]);
    let day = Window { from: yesterday(), to: yesterday() };
    let (rows, whole) = read(&mut fetcher(&stage), day).await;
    assert!(rows > 100 && !whole, "{rows} rows");
}

#[tokio::test]
async fn the_halves_of_a_window_are_believed_where_they_hold_more_and_else_prove_the_whole() {
    let stage = Stage::new().await;
    let two_days = Window { from: yesterday().plus(-1), to: yesterday() };
    add_rows(&stage, 50);
    for id in 2000..2050 {
        stage.add_row("73", json!({"id": id, "system_date": days_ago(2)}));
    }
    let mut fetcher = fetcher(&stage);
    for calls in [3, 6, 9, 10] {
        assert_eq!(read(&mut fetcher, two_days).await, (100, true));
        assert_eq!(stage.asked(ROWS).len(), calls, "proven three times it is not asked for again");
    }
    for id in 3000..3020 {
        stage.add_row("73", json!({"id": id, "system_date": days_ago(2)}));
    }
    stage.set_faults(&["cap=100:account_transactions"]);
    let mut fetcher = self::fetcher(&stage);
    assert_eq!(read(&mut fetcher, two_days).await, (120, true));
}
