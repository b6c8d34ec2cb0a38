//! Records of the journal that cannot be read, by their keys: whether one counts is known at the end of
//! its partition, because only the newest record under a key says anything.

use std::collections::BTreeMap;

use super::journal::codec;

/// Keys that are remembered: whoever writes more into the journal is no slip that somebody mends by hand.
const KEYS_MAX: usize = 1000;

/// An unreadable record that no later one replaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unread {
    /// Where it lies.
    pub(super) offset: i64,
    /// What is wrong with it, and with how many others something is.
    pub(super) why: String,
}

/// The unreadable records of one partition, as far as it is read.
#[derive(Debug, Default)]
pub(super) struct UnreadKeys(BTreeMap<Vec<u8>, (i64, codec::Error)>);

impl UnreadKeys {
    /// A record of this key is readable, or a tombstone: what lay under the key before counts no more.
    pub(super) fn replaced(&mut self, key: &[u8]) {
        self.0.remove(key);
    }

    /// A record cannot be read.
    ///
    /// # Errors
    /// In words, where there are too many of them.
    pub(super) fn add(
        &mut self,
        key: &[u8],
        offset: i64,
        error: codec::Error,
    ) -> Result<(), String> {
        if self.0.len() >= KEYS_MAX && !self.0.contains_key(key) {
            return Err(format!("{error}; {KEYS_MAX} more before it cannot be read either"));
        }
        self.0.insert(key.to_vec(), (offset, error));
        Ok(())
    }

    /// The first one that nothing has replaced.
    pub(super) fn first(&self) -> Option<Unread> {
        let (offset, error) = self.0.values().min_by_key(|(offset, _)| *offset)?;
        let why = match self.0.len() - 1 {
            0 => error.to_string(),
            more => format!("{error}; {more} more of this partition cannot be read either"),
        };
        Some(Unread { offset: *offset, why })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(key: &str) -> codec::Error {
        codec::Error::Key(key.to_owned())
    }

    #[test]
    fn the_newest_record_of_each_key_counts() {
        let mut unread = UnreadKeys::default();
        assert_eq!(unread.first(), None);
        for (key, offset) in [("b", 3), ("a", 4), ("b", 7)] {
            unread.add(key.as_bytes(), offset, error(key)).unwrap();
        }
        let first = unread.first().unwrap();
        assert_eq!(first.offset, 4, "the older one of b counts no more");
        assert!(first.why.contains("\"a\"") && first.why.contains("; 1 more"), "{}", first.why);
        unread.replaced(b"a");
        let Unread { offset, why } = unread.first().unwrap();
        assert_eq!((offset, why), (7, error("b").to_string()));
        unread.replaced(b"b");
        unread.replaced(b"never seen");
        assert_eq!(unread.first(), None);
    }

    #[test]
    fn a_flood_of_them_is_not_kept() {
        let mut unread = UnreadKeys::default();
        let add = |unread: &mut UnreadKeys, n: usize| {
            let key = format!("stray-{n}");
            unread.add(key.as_bytes(), 0, error(&key))
        };
        assert!((0..KEYS_MAX).all(|n| add(&mut unread, n).is_ok()));
        assert!(add(&mut unread, 0).is_ok(), "a known one needs no more room");
        let refused = add(&mut unread, KEYS_MAX).unwrap_err();
        assert!(refused.contains(&format!("stray-{KEYS_MAX}")), "{refused}");
    }
}
