use std::collections::BTreeSet;
use std::net::IpAddr;

use inet::Prefix;

/// Which addresses of one block are in use.
///
/// Only used addresses cost memory, so an IPv6 /64 is as cheap as an IPv4 /29. Allocation takes the
/// lowest free address (`allocType: bit`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressSet {
    block: Prefix,
    /// Distances from the block's first address.
    used: BTreeSet<u128>,
    /// Everything below is used; itself is not (it may be one past the end).
    lowest_free: u128,
}

/// Why an address can't be claimed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// The address is not in the block.
    #[error("{address} is not in {block}")]
    Outside {
        /// The address asked for.
        address: IpAddr,
        /// The block.
        block: Prefix,
    },
    /// The address is already in use.
    #[error("{0} is already in use")]
    Taken(IpAddr),
}

impl ClaimError {
    /// The refusal's name as people see it.
    pub const fn name(&self) -> &'static str {
        match self {
            ClaimError::Outside { .. } => "address-outside",
            ClaimError::Taken(_) => "address-taken",
        }
    }
}

impl AddressSet {
    /// An unused block.
    pub fn new(block: Prefix) -> AddressSet {
        AddressSet { block, used: BTreeSet::new(), lowest_free: 0 }
    }

    /// The block.
    pub fn block(&self) -> Prefix {
        self.block
    }

    /// Takes the lowest free address, or none when the block is full.
    pub fn allocate(&mut self) -> Option<IpAddr> {
        let address = self.lowest_free()?;
        self.take(self.lowest_free);
        Some(address)
    }

    /// The address that [`AddressSet::allocate`] would take.
    pub fn lowest_free(&self) -> Option<IpAddr> {
        self.block.nth(self.lowest_free)
    }

    /// The free addresses, lowest first, made one by one.
    pub fn free_addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        let mut next = self.lowest_free;
        std::iter::from_fn(move || {
            while self.used.contains(&next) {
                next += 1;
            }
            let address = self.block.nth(next)?;
            next += 1;
            Some(address)
        })
    }

    /// Takes this very address.
    pub fn claim(&mut self, address: IpAddr) -> Result<(), ClaimError> {
        let outside = ClaimError::Outside { address, block: self.block };
        let offset = self.block.offset_of(&address).ok_or(outside)?;
        if self.used.contains(&offset) {
            return Err(ClaimError::Taken(address));
        }
        self.take(offset);
        Ok(())
    }

    /// Gives an address back; false if it was not in use.
    pub fn release(&mut self, address: &IpAddr) -> bool {
        let Some(offset) = self.block.offset_of(address) else {
            return false;
        };
        let was_used = self.used.remove(&offset);
        if was_used {
            self.lowest_free = self.lowest_free.min(offset);
        }
        was_used
    }

    /// Whether the address lies in the block, used or not.
    pub fn contains(&self, address: &IpAddr) -> bool {
        self.block.contains(address)
    }

    /// How many addresses are in use.
    pub fn used(&self) -> usize {
        self.used.len()
    }

    /// How many addresses are free.
    pub fn free(&self) -> u128 {
        self.block.size().saturating_sub(self.used.len() as u128)
    }

    /// Whether no address is in use.
    pub fn is_empty(&self) -> bool {
        self.used.is_empty()
    }

    /// Whether every address is in use.
    pub fn is_full(&self) -> bool {
        self.free() == 0
    }

    /// The used addresses, lowest first.
    pub fn used_addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.used.iter().filter_map(|offset| self.block.nth(*offset))
    }

    fn take(&mut self, offset: u128) {
        self.used.insert(offset);
        while self.used.contains(&self.lowest_free) {
            self.lowest_free += 1;
        }
    }
}
