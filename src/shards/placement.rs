//! Which shard a connection belongs to.

use crate::domain::ids::ConnectionId;

/// The shard of a connection: murmur2 of its id, as Kafka's default partitioner would place it.
pub fn shard_of(connection: &ConnectionId, shards: i32) -> i32 {
    let positive = murmur2(connection.as_str().as_bytes()) & 0x7fff_ffff;
    // The mask keeps the value within i32.
    i32::try_from(positive).unwrap_or(0) % shards.max(1)
}

/// MurmurHash2 with Kafka's seed (`org.apache.kafka.common.utils.Utils.murmur2`).
fn murmur2(bytes: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let mut words = bytes.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let tail = words.remainder();
    if !tail.is_empty() {
        for (position, byte) in tail.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * position);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Vectors of Kafka's own test (`UtilsTest.testMurmur2`).
    #[test]
    fn murmur2_is_the_one_of_java_clients() {
        for (text, expected) in [
            ("21", -973_932_308_i32),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(text.as_bytes()), expected.cast_unsigned(), "{text}");
        }
    }

    #[test]
    fn every_connection_has_one_shard_in_range() {
        for i in 0..100 {
            let id = ConnectionId::try_new(&format!("c{i}")).unwrap();
            assert!((0..8).contains(&shard_of(&id, 8)));
            assert_eq!(shard_of(&id, 1), 0);
        }
    }
}
