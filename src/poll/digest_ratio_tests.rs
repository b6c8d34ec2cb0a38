//! How many bad rows an answer may have.

use super::*;

#[test]
fn more_than_a_fifth_of_bad_rows_publishes_nothing() {
    let rows: Vec<String> = (0..20)
        .map(|id| row(id, &if id < 5 { json!({"amount": "NaN"}) } else { json!({}) }))
        .collect();
    let refused =
        digest(&target(), &EntityState::default(), &answer(&rows, Reason::LookBack, None));
    assert!(matches!(refused, Err(Refusal::TooManyBad { bad: 5, rows: 20, .. })), "{refused:?}");
    let few = rows.get(..19).unwrap();
    let published =
        digest(&target(), &EntityState::default(), &answer(few, Reason::LookBack, None));
    assert_eq!(published.unwrap().quarantined.len(), 5, "nineteen rows prove nothing");
}

#[test]
fn bad_rows_that_were_let_pass_before_do_not_stand_in_the_way_of_later_ones() {
    let bad = |id| row(id, &json!({"amount": "NaN"}));
    let lessened = |id| row(id, &json!({"description": {}}));
    let mut state = EntityState::default();
    // Each came by itself: fewer than twenty rows prove nothing.
    for id in 0..4 {
        take(&mut state, &[bad(id)], Reason::Live);
        take(&mut state, &[lessened(100 + id)], Reason::Live);
    }
    let mut rows: Vec<String> = (0..4).flat_map(|id| [bad(id), lessened(100 + id)]).collect();
    rows.extend((10..22).map(|id| row(id, &json!({}))));
    rows.extend((30..34).map(bad));
    let published = take(&mut state, &rows, Reason::LookBack);
    assert_eq!((published.counts.new, published.quarantined.len()), (12, 4), "4 of 24 are new");
    let worse: Vec<String> = rows.iter().cloned().chain((40..46).map(bad)).collect();
    let passes = digest(&target(), &state, &answer(&worse, Reason::LookBack, None));
    assert_eq!(passes.unwrap().quarantined.len(), 6, "of 30");
    let worst: Vec<String> = rows.iter().cloned().chain((40..47).map(bad)).collect();
    let refused = digest(&target(), &state, &answer(&worst, Reason::LookBack, None));
    assert!(matches!(refused, Err(Refusal::TooManyBad { bad: 7, rows: 31, .. })), "{refused:?}");
}

#[test]
fn fields_that_many_rows_lose_are_as_bad_as_rows_that_cannot_be_mapped() {
    let rows: Vec<String> = (0..20)
        .map(|id| row(id, &if id < 5 { json!({"description": {}}) } else { json!({}) }))
        .collect();
    let state = EntityState::default();
    let refused = digest(&target(), &state, &answer(&rows, Reason::LookBack, None));
    let Err(refusal @ Refusal::TooManyBad { bad: 5, rows: 20, .. }) = refused else { panic!() };
    assert!(refusal.to_string().contains("UNREADABLE:description"), "{refusal}");
    let few = digest(&target(), &state, &answer(&rows[1..], Reason::LookBack, None)).unwrap();
    assert_eq!(
        (few.counts.new, few.quarantined.len()),
        (19, 0),
        "published, and not in quarantine"
    );
}
