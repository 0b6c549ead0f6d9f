//! Reading what people write into annotations.

use std::collections::BTreeSet;
use std::net::IpAddr;

/// The entries of a comma list: trimmed, without empty ones and doubles, in the order written.
pub fn list(text: &str) -> Vec<String> {
    let mut seen = BTreeSet::new();
    text.split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty() && seen.insert(*entry))
        .map(str::to_owned)
        .collect()
}

/// The addresses of a comma list, in the order written.
///
/// # Errors
/// The first entry that is no address.
pub fn addresses(text: &str) -> Result<Vec<IpAddr>, String> {
    let mut found = Vec::new();
    for entry in list(text) {
        let address: IpAddr = entry.parse().map_err(|_| entry)?;
        if !found.contains(&address) {
            found.push(address);
        }
    }
    Ok(found)
}
