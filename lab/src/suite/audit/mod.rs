//! The audit: what kernels and the API hold, compared with each other; sart is not asked.
//!
//! No address twice, none leaked, no route left over, none missing. It waits a little for the world
//! to settle, since deletions take their time, and then lists all that is wrong at once.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Result, bail};

use super::ctx::Ctx;
use super::wait::wait_for;

mod fabric;
mod node;
mod objects;
#[cfg(test)]
mod tests;
pub(crate) mod world;

use world::World;

/// Waits until nothing is wrong, or says what still is.
pub(crate) fn audit(ctx: &Ctx, limit: Duration) -> Result<()> {
    wait_for("the audit", limit, || {
        let world = World::read(ctx)?;
        let mut wrong = Findings::default();
        objects::check(&world, &mut wrong);
        node::check(&world, &mut wrong);
        fabric::check(&world, &mut wrong);
        wrong.verdict()
    })
}

/// All that is wrong, in words.
#[derive(Debug, Default)]
pub(crate) struct Findings(Vec<String>);

impl Findings {
    fn add(&mut self, what: String) {
        self.0.push(what);
    }

    fn verdict(self) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        bail!("{} findings:\n    {}", self.0.len(), self.0.join("\n    "))
    }
}

/// A prefix as `ip` and the API write it; an address alone is a host's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Range {
    pub(crate) address: IpAddr,
    pub(crate) length: u8,
}

impl Range {
    /// Reads `10.1.0.0/24`, `10.1.0.0`, or `default`'s absence.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address.parse().ok()?, Some(length.parse().ok()?)),
            None => (text.parse().ok()?, None),
        };
        Some(Self { address, length: length.unwrap_or(width(address)) })
    }

    pub(crate) fn host(address: IpAddr) -> Self {
        Self { address, length: width(address) }
    }

    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let shift = u32::from(width(self.address) - self.length);
        let cut = |ip: IpAddr| match ip {
            IpAddr::V4(v4) => u128::from(v4.to_bits()).checked_shr(shift).unwrap_or(0),
            IpAddr::V6(v6) => v6.to_bits().checked_shr(shift).unwrap_or(0),
        };
        self.address.is_ipv4() == address.is_ipv4() && cut(self.address) == cut(address)
    }
}

impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}
