use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::sink::tests::key_of;

fn place(partition: i32, offset: i64) -> Place {
    Place { partition, offset }
}

#[test]
fn a_key_is_found_where_it_was_put_last() {
    let mut finished = Finished::default();
    let (one, two) = (key_of("REF-1", 1), key_of("REF-1", 2));
    assert!(finished.is_empty());
    finished.insert(&one, place(3, 40)).unwrap();
    finished.insert(&two, place(3, 41)).unwrap();
    finished.insert(&one, place(3, 42)).unwrap();
    assert_eq!(finished.len(), 2);
    assert_eq!(finished.get(&one), Some(place(3, 42)));
    assert_eq!(finished.get(&two), Some(place(3, 41)));
    assert_eq!(finished.get(&key_of("REF-2", 1)), None);
    assert!(finished.remove(&one));
    assert!(!finished.remove(&one));
    assert_eq!((finished.get(&one), finished.len()), (None, 1));
}

#[test]
fn places_at_the_ends_of_the_range_come_back() {
    let mut finished = Finished::default();
    let last = place(65_535, (1 << 48) - 1);
    for (n, place) in [(1, place(0, 0)), (2, last)] {
        finished.insert(&key_of("REF-1", n), place).unwrap();
        assert_eq!(finished.get(&key_of("REF-1", n)), Some(place));
    }
    for wrong in [place(65_536, 0), place(0, 1 << 48), place(-1, 0), place(0, -1)] {
        assert_eq!(finished.insert(&key_of("REF-1", 3), wrong), Err(OutOfRange(wrong)));
    }
    assert_eq!(finished.len(), 2);
}

#[test]
fn a_million_commands_take_30_bytes_each_at_most() {
    const COUNT: u32 = 1_000_000;
    let mut finished = Finished::default();
    for n in 0..COUNT {
        finished.insert(&key_of("REF-1", n.into()), place(7, n.into())).unwrap();
    }
    assert_eq!(finished.len(), COUNT as usize);
    let bytes = finished.memory_bytes();
    assert!(bytes <= 30 * COUNT as usize, "{bytes} bytes");
    assert!(bytes <= 60_000_000);
    for n in (0..COUNT).step_by(9973) {
        assert_eq!(finished.get(&key_of("REF-1", n.into())), Some(place(7, n.into())));
    }
}

proptest! {
    #[test]
    fn it_is_a_map(steps in prop::collection::vec((0_u8..3, 0_u128..40, 0_i64..1000), 0..200)) {
        let mut finished = Finished::default();
        let mut model = BTreeMap::new();
        for (what, n, offset) in steps {
            let key = key_of("REF-1", n);
            if what == 0 {
                prop_assert_eq!(finished.remove(&key), model.remove(&n).is_some());
            } else {
                finished.insert(&key, place(0, offset)).unwrap();
                model.insert(n, place(0, offset));
            }
            prop_assert_eq!(finished.len(), model.len());
        }
        for n in 0..40 {
            prop_assert_eq!(finished.get(&key_of("REF-1", n)), model.get(&n).copied());
        }
    }
}
