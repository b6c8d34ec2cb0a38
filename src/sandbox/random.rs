//! A small deterministic random source: the same seed always gives the same sandbox.

/// SplitMix64: one word of state, good enough for believable rows, never for secrets.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 where the bound is 0.
    pub(super) const fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.next() % bound }
    }

    /// A number from `low` up to and including `high`.
    pub(super) const fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.below((high - low + 1).unsigned_abs()).cast_signed()
    }

    /// True that many times in a thousand.
    pub(super) const fn per_mille(&mut self, share: u32) -> bool {
        self.below(1000) < share as u64
    }

    pub(super) fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        let index = self.below(choices.len() as u64);
        &choices[usize::try_from(index).unwrap_or(0)]
    }

    /// One of some fixed words.
    pub(super) fn word(&mut self, choices: &[&'static str]) -> &'static str {
        let word: &&'static str = self.pick(choices);
        word
    }

    /// A text of that many decimal digits; the first is never 0.
    pub(super) fn digits(&mut self, count: usize) -> String {
        (0..count)
            .map(|place| {
                let digit = if place == 0 { 1 + self.below(9) } else { self.below(10) };
                char::from_digit(u32::try_from(digit).unwrap_or(0), 10).unwrap_or('0')
            })
            .collect()
    }

    /// 32 hexadecimal digits, as the source's `key` has them.
    pub(super) fn hex32(&mut self) -> String {
        format!("{:016x}{:016x}", self.next(), self.next())
    }

    /// An amount in kuruş whose size is spread over orders of magnitude, as real ones are.
    pub(super) const fn kurus(&mut self, low_digits: u32, high_digits: u32) -> i64 {
        let digits = low_digits + self.below((high_digits - low_digits + 1) as u64) as u32;
        let low = 10_i64.pow(digits - 1);
        self.between(low, low * 10 - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn same_seed_gives_the_same_numbers_and_another_seed_others() {
        let draw = |seed| {
            let mut random = Random::new(seed);
            (0..8).map(|_| random.next()).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn bounds_are_kept() {
        let mut random = Random::new(1);
        for _ in 0..1000 {
            assert!((3..=9).contains(&random.between(3, 9)));
            assert!((100..100_000).contains(&random.kurus(3, 5)));
            assert_eq!(random.digits(10).len(), 10);
        }
    }
}
