//! Choices that can be made again: each test prints its seed.

use super::components::environment;

const VARIABLE: &str = "VOMSIS_TEST_SEED";

/// `SplitMix64`.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// From the seed of `VOMSIS_TEST_SEED`, else from one that is new each time; printed, so that a
    /// failed run can be repeated.
    pub(crate) fn seeded(test: &str) -> Self {
        let seed = match environment(VARIABLE) {
            Some(text) => text.parse().expect("VOMSIS_TEST_SEED is a number"),
            None => uuid::Uuid::new_v4().as_u64_pair().0 >> 32,
        };
        println!("{test}: {VARIABLE}={seed}");
        Self(seed)
    }

    /// Another source, which goes its own way.
    pub(crate) fn fork(&mut self) -> Self {
        Self(self.next())
    }

    /// A number below `bound`, which is above 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// A place in a list of that length.
    pub(crate) fn place(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap()
    }

    /// One of them.
    pub(crate) fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        let place = self.place(all.len());
        all.get(place).expect("a place below the length")
    }

    /// The same in another order.
    pub(crate) fn shuffled<T>(&mut self, mut all: Vec<T>) -> Vec<T> {
        (0..all.len()).map(|_| all.swap_remove(self.place(all.len()))).collect()
    }

    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
