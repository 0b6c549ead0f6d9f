use hashbrown::HashTable;

const SHARDS: usize = 256;

/// Finds slot numbers by hash. Cut into shards, so that no single insertion pays for the growth
/// of the whole; growing reads nothing but the index itself.
#[derive(Debug)]
pub(crate) struct ShardedIndex {
    shards: Vec<HashTable<Spot>>,
}

/// A slot number, and enough of its hash to tell it from nearly all others of the shard.
#[derive(Clone, Copy, Debug)]
struct Spot {
    at: u32,
    hash: u32,
}

impl Default for ShardedIndex {
    fn default() -> ShardedIndex {
        ShardedIndex { shards: (0..SHARDS).map(|_| HashTable::new()).collect() }
    }
}

impl ShardedIndex {
    pub(crate) fn find(&self, hash: u64, is: impl Fn(u32) -> bool) -> Option<u32> {
        let found = |spot: &Spot| spot.hash == hash as u32 && is(spot.at);
        self.shards[shard(hash)].find(spread(hash as u32), found).map(|spot| spot.at)
    }

    pub(crate) fn insert(&mut self, hash: u64, at: u32) {
        let spot = Spot { at, hash: hash as u32 };
        let shard = &mut self.shards[shard(hash)];
        shard.insert_unique(spread(spot.hash), spot, |spot| spread(spot.hash));
    }

    pub(crate) fn remove(&mut self, hash: u64, at: u32) {
        let shard = &mut self.shards[shard(hash)];
        if let Ok(found) = shard.find_entry(spread(hash as u32), |spot| spot.at == at) {
            found.remove();
        }
    }
}

/// The table takes the lowest and the highest seven bits: all of them come from the half that is
/// kept.
fn spread(half: u32) -> u64 {
    u64::from(half) << 32 | u64::from(half)
}

/// From the half that is not kept.
fn shard(hash: u64) -> usize {
    (hash >> 40) as usize % SHARDS
}
