use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn row(id: i64, version: u32) -> SeenRow {
    SeenRow {
        id: SourceId::Number(id),
        version,
        published: Some(Published { hash: u128::from(version) << 64 | 7, rule: 1 }),
        deleted: false,
        quarantined: None,
        partial: false,
        unsure_day: false,
        source_key: None,
        key: None,
    }
}

#[test]
fn a_thousand_rows_of_one_day_cost_sixteen_chunks() {
    let base = SeenRows::default();
    let mut staging = Staging::default();
    (0..1000).for_each(|id| staging.put(&base, Day(1), row(id, 1)));
    assert_eq!(staging.take_unwritten().len(), 1000_usize.div_ceil(CHUNK_ROWS));
}

#[test]
fn nothing_is_seen_before_the_commit_is_applied() {
    let mut seen = SeenRows::default();
    let mut staging = Staging::default();
    staging.put(&seen, Day(1), row(1, 1));
    assert!(seen.get(&SourceId::Number(1)).is_none());
    assert!(staging.get(&seen, &SourceId::Number(1)).is_some());
    seen.apply(staging);
    assert_eq!(seen.get(&SourceId::Number(1)).map(|(r, d)| (r.version, d)), Some((1, Day(1))));
}

#[test]
fn days_before_the_first_kept_become_tombstones() {
    let mut seen = SeenRows::default();
    let mut staging = Staging::default();
    (0..10).for_each(|day| staging.put(&seen, Day(day), row(i64::from(day), 1)));
    seen.apply(staging);
    let mut staging = Staging::default();
    assert!(staging.drop_before(&seen, Day(4), |_| false));
    assert_eq!(staging.take_unwritten().iter().filter(|(_, chunk)| chunk.is_none()).count(), 4);
    seen.apply(staging);
    assert_eq!(seen.len(), 6);
}

#[test]
fn a_chunk_with_a_row_that_is_needed_stays_whole_until_it_is_no_more() {
    let mut seen = SeenRows::default();
    let mut staging = Staging::default();
    for (id, day) in [(1, 1), (7, 1), (2, 2)] {
        staging.put(&seen, Day(day), row(id, 1));
    }
    seen.apply(staging);
    let mut staging = Staging::default();
    // This one is needed and not committed yet.
    staging.put(&seen, Day(3), row(8, 1));
    assert!(staging.drop_before(&seen, Day(4), |id| id > 6));
    assert!(staging.get(&seen, &SourceId::Number(8)).is_some());
    seen.apply(staging);
    let there = |seen: &SeenRows, id| seen.get(&SourceId::Number(id)).is_some();
    assert_eq!([1, 7, 2, 8].map(|id| there(&seen, id)), [true, true, false, true]);
    let mut staging = Staging::default();
    assert!(staging.drop_before(&seen, Day(5), |id| id > 8));
    seen.apply(staging);
    assert!(seen.is_empty());
}

proptest! {
    /// Whatever is put under whatever day in whatever batches, what is restored from the written
    /// chunks equals what memory holds and what a plain map would hold.
    #[test]
    fn restored_chunks_equal_memory(
        batches in prop::collection::vec(
            prop::collection::vec((0_i64..200, 0_i32..5), 1..100), 1..8)
    ) {
        let mut seen = SeenRows::default();
        let mut model: BTreeMap<i64, (u32, i32)> = BTreeMap::new();
        let mut changelog: BTreeMap<ChunkId, Chunk> = BTreeMap::new();
        for batch in batches {
            let mut staging = Staging::default();
            for (id, day) in batch {
                let version = staging.get(&seen, &SourceId::Number(id)).map_or(1, |(r, _)| r.version + 1);
                staging.put(&seen, Day(day), row(id, version));
                model.insert(id, (version, day));
            }
            for (id, chunk) in staging.take_unwritten() {
                match chunk {
                    Some(chunk) => { changelog.insert(id, chunk.clone()); }
                    None => { changelog.remove(&id); }
                }
            }
            seen.apply(staging);
        }
        let mut restored = SeenRows::default();
        changelog.into_iter().for_each(|(id, chunk)| restored.put_chunk(id, &chunk));
        for source in [&seen, &restored] {
            prop_assert_eq!(source.len(), model.len());
            for (id, (version, day)) in &model {
                let (row, found_day) = source.get(&SourceId::Number(*id)).expect("row is seen");
                prop_assert_eq!((row.version, found_day.0), (*version, *day));
            }
        }
    }
}

#[test]
fn days_the_wrong_way_round_hold_no_rows() {
    let mut seen = SeenRows::default();
    seen.put_chunk(ChunkId { day: Day(2), index: 0 }, &Chunk { rows: vec![row(1, 1)] });
    assert_eq!(seen.rows_between(Day(3), Day(1)).count(), 0);
    assert_eq!(seen.rows_between(Day(1), Day(3)).count(), 1);
}
