use std::collections::BTreeSet;

use inet::{Family, Prefix};

/// How many blocks one CIDR offers at most: the first 2^32.
///
/// More can't be kept as objects anyway, and the bound keeps the index of a block in a later CIDR
/// in range, whatever the size of the CIDRs before it.
pub const MAX_BLOCKS_PER_CIDR: u64 = 1 << 32;

/// The prefix lengths of a pool's blocks, per family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct BlockSize {
    /// Length of an IPv4 block, 0 to 32; none: each IPv4 CIDR is one block.
    pub ipv4: Option<u8>,
    /// Length of an IPv6 block, 0 to 128; none: each IPv6 CIDR is one block.
    pub ipv6: Option<u8>,
}

impl BlockSize {
    /// Each CIDR is one block.
    pub const WHOLE: BlockSize = BlockSize { ipv4: None, ipv6: None };

    /// One length for both families, as `spec.blockSize` has it.
    pub const fn one(len: u8) -> BlockSize {
        BlockSize { ipv4: Some(len), ipv6: Some(len) }
    }

    /// The length for a family.
    pub const fn of(self, family: Family) -> Option<u8> {
        match family {
            Family::Ipv4 => self.ipv4,
            Family::Ipv6 => self.ipv6,
        }
    }
}

/// A named list of CIDRs that is cut into blocks. It has at least one CIDR, none of them overlap,
/// and the block size fits each.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pool {
    name: String,
    cidrs: Vec<Prefix>,
    block_size: BlockSize,
}

/// Why something is no pool. [`PoolError::name`] is the reason that a condition shows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// No CIDR at all.
    #[error("the pool has no CIDR")]
    Empty,
    /// A block would be larger than the CIDR that it is cut from.
    #[error("blockSize {len} is shorter than the prefix length of {cidr}")]
    BlockSizeTooShort {
        /// The block size asked for.
        len: u8,
        /// The first CIDR that it doesn't fit.
        cidr: Prefix,
    },
    /// A prefix of this family can't be that long.
    #[error("blockSize {len} is over {}, the longest of an {} prefix like {cidr}", cidr.family().bits(), cidr.family())]
    BlockSizeTooLong {
        /// The block size asked for.
        len: u8,
        /// The first CIDR that it doesn't fit.
        cidr: Prefix,
    },
    /// Two CIDRs of the pool share addresses.
    #[error("{0} and {1} of the pool overlap")]
    SelfOverlap(Prefix, Prefix),
}

impl PoolError {
    /// The refusal's name as people see it.
    pub const fn name(&self) -> &'static str {
        match self {
            PoolError::Empty => "pool-empty",
            PoolError::BlockSizeTooShort { .. } => "block-size-too-short",
            PoolError::BlockSizeTooLong { .. } => "block-size-too-long",
            PoolError::SelfOverlap(..) => "pool-overlaps-itself",
        }
    }
}

impl Pool {
    /// Makes a pool. The order of the CIDRs decides the indexes of the blocks: append, never insert.
    pub fn new(
        name: impl Into<String>,
        cidrs: Vec<Prefix>,
        block_size: BlockSize,
    ) -> Result<Pool, PoolError> {
        if cidrs.is_empty() {
            return Err(PoolError::Empty);
        }
        for cidr in &cidrs {
            match block_size.of(cidr.family()) {
                Some(len) if len > cidr.family().bits() => {
                    return Err(PoolError::BlockSizeTooLong { len, cidr: *cidr });
                }
                Some(len) if len < cidr.len() => {
                    return Err(PoolError::BlockSizeTooShort { len, cidr: *cidr });
                }
                Some(_) | None => {}
            }
        }
        // Sorted by address, a prefix that overlaps any later one overlaps its neighbor.
        let mut sorted = cidrs.clone();
        sorted.sort();
        for (one, next) in sorted.iter().zip(sorted.iter().skip(1)) {
            if one.overlaps(next) {
                return Err(PoolError::SelfOverlap(*one, *next));
            }
        }
        Ok(Pool { name: name.into(), cidrs, block_size })
    }

    /// The pool's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The CIDRs in the order given.
    pub fn cidrs(&self) -> &[Prefix] {
        &self.cidrs
    }

    /// The block size as given.
    pub fn block_size(&self) -> BlockSize {
        self.block_size
    }

    /// Whether a CIDR of this family is in the pool.
    pub fn has_family(&self, family: Family) -> bool {
        self.cidrs.iter().any(|cidr| cidr.family() == family)
    }

    /// Whether the address lies in one of the CIDRs.
    pub fn contains(&self, address: &std::net::IpAddr) -> bool {
        self.cidrs.iter().any(|cidr| cidr.contains(address))
    }

    /// How many addresses the CIDRs of a family hold, saturating.
    pub fn size(&self, family: Family) -> u128 {
        let of_family = self.cidrs.iter().filter(|cidr| cidr.family() == family);
        of_family.fold(0, |sum, cidr| sum.saturating_add(cidr.size()))
    }

    /// How many blocks there are over all CIDRs; each offers at most [`MAX_BLOCKS_PER_CIDR`].
    pub fn block_count(&self) -> u64 {
        self.cidrs.iter().fold(0, |sum, cidr| sum.saturating_add(self.blocks_of(cidr)))
    }

    /// How many blocks of one family there are.
    pub fn block_count_of(&self, family: Family) -> u64 {
        let of_family = self.cidrs.iter().filter(|cidr| cidr.family() == family);
        of_family.fold(0, |sum, cidr| sum.saturating_add(self.blocks_of(cidr)))
    }

    /// The block with this index, or none past the end.
    pub fn block(&self, index: u64) -> Option<Prefix> {
        let mut rest = index;
        for cidr in &self.cidrs {
            let blocks = self.blocks_of(cidr);
            if rest < blocks {
                let len = self.block_len(cidr);
                // `rest` is under 2^(len - cidr.len()), so the shift stays inside the address; a
                // shift by all 128 bits only meets `rest` 0.
                let host_bits = u32::from(cidr.family().bits() - len);
                let offset = u128::from(rest).checked_shl(host_bits).unwrap_or(0);
                return Prefix::new(cidr.nth(offset)?, len).ok();
            }
            rest -= blocks;
        }
        None
    }

    /// The index of a block, or none if the prefix is no block of this pool.
    pub fn index_of(&self, block: &Prefix) -> Option<u64> {
        let mut before = 0u64;
        for cidr in &self.cidrs {
            let blocks = self.blocks_of(cidr);
            if cidr.covers(block) {
                if block.len() != self.block_len(cidr) {
                    return None;
                }
                let host_bits = u32::from(block.family().bits() - block.len());
                let offset = cidr.offset_of(&block.address())?;
                let index = u64::try_from(offset.checked_shr(host_bits).unwrap_or(0)).ok()?;
                return (index < blocks).then(|| before.saturating_add(index));
            }
            before = before.saturating_add(blocks);
        }
        None
    }

    /// The index and prefix of the block that holds an address.
    pub fn block_holding(&self, address: &std::net::IpAddr) -> Option<(u64, Prefix)> {
        let cidr = self.cidrs.iter().find(|cidr| cidr.contains(address))?;
        let block = Prefix::truncated(*address, self.block_len(cidr)).ok()?;
        Some((self.index_of(&block)?, block))
    }

    /// The lowest index that is not in `used`, of either family.
    ///
    /// Costs one step per used block before the first gap.
    pub fn lowest_free(&self, used: &BTreeSet<u64>) -> Option<u64> {
        first_gap(used, 0, self.block_count())
    }

    /// The lowest index of a family's block that is not in `used`.
    pub fn lowest_free_of(&self, family: Family, used: &BTreeSet<u64>) -> Option<u64> {
        let mut start = 0u64;
        for cidr in &self.cidrs {
            let end = start.saturating_add(self.blocks_of(cidr));
            if cidr.family() == family
                && let Some(index) = first_gap(used, start, end)
            {
                return Some(index);
            }
            start = end;
        }
        None
    }

    /// The name of a block: `<pool>-<index>`; where a CIDR is one block, the first one has the
    /// pool's own name. (A name that is too long or taken is the caller's to change.)
    pub fn block_name(&self, index: u64) -> String {
        let whole = self.cidrs.first().is_some_and(|c| self.block_size.of(c.family()).is_none());
        match index {
            0 if whole => self.name.clone(),
            index => format!("{}-{index}", self.name),
        }
    }

    /// The first pair of CIDRs, own and other's, that share addresses.
    pub fn overlap(&self, other: &Pool) -> Option<(Prefix, Prefix)> {
        self.cidrs
            .iter()
            .find_map(|own| other.cidrs.iter().find(|c| c.overlaps(own)).map(|c| (*own, *c)))
    }

    fn block_len(&self, cidr: &Prefix) -> u8 {
        self.block_size.of(cidr.family()).unwrap_or(cidr.len())
    }

    fn blocks_of(&self, cidr: &Prefix) -> u64 {
        let index_bits = u32::from(self.block_len(cidr).saturating_sub(cidr.len()));
        1u64.checked_shl(index_bits).unwrap_or(u64::MAX).min(MAX_BLOCKS_PER_CIDR)
    }
}

/// The first of `pools` that shares addresses with `pool`, and the two CIDRs: own, then the other's.
/// A pool of the same name is skipped: it is an older state of the same pool.
pub fn first_overlap<'a>(
    pool: &Pool,
    pools: impl IntoIterator<Item = &'a Pool>,
) -> Option<(&'a Pool, Prefix, Prefix)> {
    pools
        .into_iter()
        .filter(|other| other.name != pool.name)
        .find_map(|other| pool.overlap(other).map(|(own, theirs)| (other, own, theirs)))
}

/// The lowest number in `start..end` that is not in `used`.
fn first_gap(used: &BTreeSet<u64>, start: u64, end: u64) -> Option<u64> {
    let mut candidate = start;
    for taken in used.range(start..end) {
        if *taken != candidate {
            break;
        }
        candidate += 1;
    }
    (candidate < end).then_some(candidate)
}
