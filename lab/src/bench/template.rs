//! The peers' configurations: files with a few marked lines, so that they stay readable as what
//! they are.
//!
//! A line with `@each peer` begins what is repeated for every peer, one with `@if kernel` or
//! `@if no kernel` what is kept only then, one with `@end` ends either. `{address}`, `{asn}` and
//! `{number}` are a peer's.

use std::net::Ipv4Addr;

use super::feed;

/// What a configuration is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) peers: usize,
    /// Routes go into the kernel.
    pub(super) kernel: bool,
}

pub(super) fn render(template: &str, shape: Shape) -> String {
    let mut out = String::new();
    let mut lines = template.lines();
    while let Some(line) = lines.next() {
        let keep = if line.contains("@each peer") {
            shape.peers
        } else if line.contains("@if kernel") {
            usize::from(shape.kernel)
        } else if line.contains("@if no kernel") {
            usize::from(!shape.kernel)
        } else {
            out.push_str(line);
            out.push('\n');
            continue;
        };
        let block: Vec<_> = lines.by_ref().take_while(|line| !line.contains("@end")).collect();
        for number in 0..keep {
            for line in &block {
                let line = line
                    .replace("{address}", &Ipv4Addr::from(feed::address(number)).to_string())
                    .replace("{asn}", &feed::asn(number).to_string())
                    .replace("{number}", &number.to_string());
                out.push_str(&line);
                out.push('\n');
            }
        }
    }
    out
}
