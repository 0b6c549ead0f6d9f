use hashbrown::HashTable;

const SHARDS: usize = 256;

/// Finds slot numbers by hash. Cut into shards, so that no single insertion pays for the growth
/// of the whole.
#[derive(Debug)]
pub(crate) struct ShardedIndex {
    shards: Vec<HashTable<u32>>,
}

impl Default for ShardedIndex {
    fn default() -> ShardedIndex {
        ShardedIndex { shards: (0..SHARDS).map(|_| HashTable::new()).collect() }
    }
}

impl ShardedIndex {
    pub(crate) fn find(&self, hash: u64, is: impl Fn(u32) -> bool) -> Option<u32> {
        self.shards[shard(hash)].find(hash, |at| is(*at)).copied()
    }

    pub(crate) fn insert(&mut self, hash: u64, at: u32, rehash: impl Fn(u32) -> u64) {
        self.shards[shard(hash)].insert_unique(hash, at, |at| rehash(*at));
    }

    pub(crate) fn remove(&mut self, hash: u64, at: u32) {
        if let Ok(found) = self.shards[shard(hash)].find_entry(hash, |other| *other == at) {
            found.remove();
        }
    }
}

/// Bits that the shard's own table, which takes the lowest and the highest seven, uses least.
fn shard(hash: u64) -> usize {
    (hash >> 40) as usize % SHARDS
}
