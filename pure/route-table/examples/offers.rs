//! How long one source's many routes take: offered, written, and taken back. Argument: how many.

use std::net::{IpAddr, Ipv4Addr};

use inet::{Family, NextHop, Prefix, RouteTarget, Timestamp};
use route_table::{
    Config, Input, KernelEvent, KernelRoute, KernelTarget, Leg, Link, LinkAddress, LinkIndex,
    Output, RouteTable, Snapshot, SourceId,
};

type Error = Box<dyn std::error::Error>;

fn main() -> Result<(), Error> {
    let routes = std::env::args().nth(1).map_or(Ok(1_000_000), |n| n.parse::<u32>())?;
    for install in [false, true] {
        let lookup = vec![254];
        let (table, protocol, metric) = (254, 99, 20);
        let resolve_via_default = false;
        let objects = None;
        let mut table = RouteTable::new(Config {
            vrf: None,
            table,
            protocol,
            metric,
            install,
            resolve_via_default,
            lookup,
            objects,
        });
        let (link, name) = (LinkIndex(2), "eth0".parse()?);
        let address = "10.0.0.2".parse()?;
        let on_link = KernelRoute {
            prefix: "10.0.0.0/24".parse()?,
            table: 254,
            protocol: 2,
            metric: 0,
            target: KernelTarget::Legs(vec![Leg::new(None, link)]),
            object: None,
        };
        let snapshot = Snapshot {
            links: vec![Link { index: link, name, up: true, master: None, vrf_table: None }],
            addresses: vec![LinkAddress { link, address }],
            routes: vec![on_link],
            objects: None,
        };
        table.handle(Timestamp::ZERO, Input::Kernel(KernelEvent::Snapshot(snapshot)));
        let hop = NextHop::from(IpAddr::from([10, 0, 0, 1]));
        for wanted in [true, false] {
            let start = now();
            let mut writes = 0;
            for n in 0..routes {
                let target = Some(RouteTarget::Via(vec![hop])).filter(|_| wanted);
                let prefix = prefix(n.wrapping_mul(0x9e37_79b1) >> 8);
                let (source, distance) = (SourceId(0), 20);
                table.handle(Timestamp::ZERO, Input::Update { source, distance, prefix, target });
                while let Some(output) = table.poll() {
                    if let Output::Change(change) = output {
                        let (prefix, result) = (change.prefix, Ok(()));
                        table.handle(Timestamp::ZERO, Input::Applied { prefix, result });
                        writes += 1;
                    }
                }
            }
            println!("install {install}, wanted {wanted}: {:?}, {writes} writes", now() - start);
        }
    }
    Ok(())
}

fn prefix(n: u32) -> Prefix {
    let address = Ipv4Addr::from(0x1400_0000_u32.wrapping_add(n << 8));
    Prefix::truncated(address.into(), 24).unwrap_or(Prefix::default_route(Family::Ipv4))
}

/// An example is no part of the library: it may look at the clock.
#[allow(clippy::disallowed_methods)]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}
