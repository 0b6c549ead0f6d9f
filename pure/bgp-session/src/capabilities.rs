//! Capabilities in words.

use bgp_packet::{AddPathMode, Capability};

/// A capability as people read it: its name, and what it says. Safe to print.
pub fn words(capability: &Capability) -> String {
    match capability {
        Capability::Multiprotocol(family) => format!("{family}-unicast"),
        Capability::RouteRefresh => "route-refresh".to_owned(),
        Capability::ExtendedNextHop(families) => with("extended-next-hop", families.iter()),
        Capability::ExtendedMessage => "extended-message".to_owned(),
        Capability::Role(role) => format!("role {role}"),
        Capability::GracefulRestart(restart) => {
            let forwarding = |kept: bool| if kept { " (forwarding)" } else { "" };
            let flags = [
                (restart.restarted, "restarted".to_owned()),
                (restart.notification, "notification".to_owned()),
            ];
            let flags = flags.into_iter().filter(|(set, _)| *set).map(|(_, name)| name);
            let families = restart.families.iter();
            let families = families.map(|(family, kept)| format!("{family}{}", forwarding(*kept)));
            let time = format!("{} s", restart.restart_time);
            with("graceful-restart", std::iter::once(time).chain(flags).chain(families))
        }
        Capability::FourOctetAs(asn) => format!("four-octet-as {asn}"),
        Capability::AddPath(families) => {
            let families = families.iter().map(|(family, mode)| match mode {
                AddPathMode::Send => format!("{family} send"),
                AddPathMode::Receive => format!("{family} receive"),
                AddPathMode::Both => format!("{family} send and receive"),
            });
            with("add-path", families)
        }
        Capability::EnhancedRouteRefresh => "enhanced-route-refresh".to_owned(),
        Capability::LongLivedGracefulRestart(families) => {
            let families = families.iter().map(|l| {
                let forwarding = if l.forwarding { " (forwarding)" } else { "" };
                format!("{} {} s{forwarding}", l.family, l.stale_time)
            });
            with("long-lived-graceful-restart", families)
        }
        Capability::Unknown { code, value } if value.is_empty() => format!("capability {code}"),
        Capability::Unknown { code, value } => {
            format!("capability {code}, {} bytes", value.len())
        }
    }
}

/// A name, and what belongs to it with commas between.
fn with(name: &str, parts: impl Iterator<Item = impl ToString>) -> String {
    let parts: Vec<String> = parts.map(|part| part.to_string()).collect();
    if parts.is_empty() { name.to_owned() } else { format!("{name} {}", parts.join(", ")) }
}
