//! sart as a plain router between routers of other makes.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::established::vtysh;
use crate::suite::ctx::{Ctx, list, text};
use crate::suite::wait::{s, wait_for};

const HUB: &str = "sart0";
/// In the order of their links; the AS numbers go on from 65001.
const ENDS: [&str; 6] = ["frr0", "bird0", "gobgp0", "openbgpd0", "exabgp0", "gobgp4"];

/// Number `n` originates these: 0 is the hub, then the ends.
fn originated(n: usize) -> [String; 2] {
    match n {
        0 => ["10.9.0.0/24".into(), "fd00:10:9::/64".into()],
        n => [format!("10.9.{n}.0/24"), format!("fd00:10:9:{n}::/64")],
    }
}

/// What each end must know but its own, with the AS path it must see: the hub, then the origin.
fn expected(own: usize) -> Vec<(String, String)> {
    (0..=ENDS.len())
        .filter(|n| *n != own)
        .flat_map(|n| {
            let path = if n == 0 { "65000".to_owned() } else { format!("65000 {}", 65000 + n) };
            originated(n).map(|prefix| (prefix, path.clone()))
        })
        .collect()
}

pub(super) fn all_learn_all(ctx: &mut Ctx) -> Result<()> {
    wait_for("sart0 has every session", s(30), || {
        let said = ctx.lab.run(HUB, &["sart", "bgp", "neighbor", "list", "-o", "json"])?;
        let up = said.matches("Established").count();
        // OpenBGPD has one for each family.
        ensure!(up == ENDS.len() + 1, "{up} sessions are Established: {said}");
        Ok(())
    })?;
    for (end, name) in ENDS.iter().enumerate() {
        let Some(paths_of) = reader(name) else { continue };
        wait_for(format_args!("{name} knows every prefix"), s(20), || {
            for (prefix, path) in expected(end + 1) {
                let found = paths_of(ctx, name, &prefix)?;
                ensure!(found == path, "{prefix} has the AS path {found:?}, not {path:?}");
            }
            Ok(())
        })?;
    }
    wait_for("sart0's kernel has every route", s(20), || {
        for (n, _) in (1..).zip(ENDS) {
            let [v4, v6] = originated(n);
            for (family, prefix, gateway) in
                [("-4", v4, format!("192.168.{n}.2")), ("-6", v6, format!("fd00:192:168:{n}::2"))]
            {
                let routes = ctx.ip(HUB, &[family, "route", "show", &prefix])?;
                let found = routes.first().map(gateways).unwrap_or_default();
                ensure!(found == [gateway.as_str()], "{prefix} goes to {found:?}, not {gateway}");
            }
        }
        Ok(())
    })?;
    // FRR and BIRD forward too: a packet goes there and back through the hub.
    for (source, target) in [("10.9.1.1", "10.9.2.1"), ("fd00:10:9:1::1", "fd00:10:9:2::1")] {
        wait_for("frr0 reaches bird0", s(10), || {
            ctx.lab.run("frr0", &["ping", "-c", "1", "-W", "1", "-I", source, target])
        })?;
    }
    Ok(())
}

/// Where a route leads: IPv6 routes over a next-hop group list its legs, be there only one.
fn gateways(route: &Value) -> Vec<&str> {
    match list(route, "/nexthops") {
        [] => vec![text(route, "/gateway")],
        legs => legs.iter().map(|leg| text(leg, "/gateway")).collect(),
    }
}

/// A daemon that goes without graceful restart takes its routes along, everywhere.
pub(super) fn what_is_gone_is_withdrawn(ctx: &mut Ctx) -> Result<()> {
    ctx.lab.run("bird0", &["birdc", "disable", "sart0"])?;
    let gone = originated(2);
    for name in ENDS {
        let Some(paths_of) = reader(name).filter(|_| name != "bird0") else { continue };
        wait_for(format_args!("{name} has lost bird0's routes"), s(10), || {
            for prefix in &gone {
                let found = paths_of(ctx, name, prefix)?;
                ensure!(found.is_empty(), "{prefix} is still there, by {found:?}");
            }
            Ok(())
        })?;
    }
    for (family, prefix) in ["-4", "-6"].iter().zip(&gone) {
        wait_for("sart0's kernel has lost them", s(10), || {
            let left = ctx.ip(HUB, &[family, "route", "show", prefix])?;
            ensure!(left.is_empty(), "{prefix}: {left:?}");
            Ok(())
        })?;
    }
    ctx.lab.run("bird0", &["birdc", "enable", "sart0"])?;
    all_learn_all(ctx)
}

/// Gives the AS path of a prefix's best path, its numbers with blanks between; empty without one.
type PathsOf = fn(&Ctx, &str, &str) -> Result<String>;

/// How a router is asked; none for ExaBGP, which keeps no table.
fn reader(name: &str) -> Option<PathsOf> {
    match name {
        "frr0" => Some(of_frr),
        "bird0" => Some(of_bird),
        "gobgp0" | "gobgp4" => Some(of_gobgp),
        "openbgpd0" => Some(of_openbgpd),
        _ => None,
    }
}

fn of_frr(ctx: &Ctx, host: &str, prefix: &str) -> Result<String> {
    let family = if prefix.contains(':') { "ipv6" } else { "ipv4" };
    let said = vtysh(ctx, host, &format!("show bgp {family} unicast {prefix} json"))?;
    Ok(list(&said, "/paths").first().map(|path| text(path, "/aspath/string")).unwrap_or("").into())
}

fn of_bird(ctx: &Ctx, host: &str, prefix: &str) -> Result<String> {
    let said = ctx.lab.exec(host, &["birdc", "show", "route", "for", prefix, "all"])?;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let path = said.lines().find_map(|line| line.trim().strip_prefix("BGP.as_path:"));
    Ok(path.unwrap_or_default().trim().to_owned())
}

fn of_gobgp(ctx: &Ctx, host: &str, prefix: &str) -> Result<String> {
    let family = if prefix.contains(':') { "ipv6" } else { "ipv4" };
    let said = ctx.lab.exec(host, &["gobgp", "global", "rib", "-a", family, prefix, "-j"])?;
    let Ok(said) = serde_json::from_slice::<Value>(&said.stdout) else { return Ok(String::new()) };
    let paths = said.as_array().or_else(|| said.as_object()?.values().next()?.as_array());
    let path = paths.and_then(|paths| paths.first()).cloned().unwrap_or_default();
    let is_as_path = |attribute: &&Value| attribute["type"] == 2;
    let Some(attribute) = list(&path, "/attrs").iter().find(is_as_path) else {
        return Ok(String::new());
    };
    let numbers = list(attribute, "/as_paths").iter().flat_map(|part| list(part, "/asns"));
    Ok(numbers.map(Value::to_string).collect::<Vec<_>>().join(" "))
}

fn of_openbgpd(ctx: &Ctx, host: &str, prefix: &str) -> Result<String> {
    let said = ctx.lab.run(host, &["bgpctl", "-j", "show", "rib", prefix])?;
    let said: Value = serde_json::from_str(&said).with_context(|| said.clone())?;
    Ok(list(&said, "/rib").first().map(|path| text(path, "/aspath")).unwrap_or("").into())
}
