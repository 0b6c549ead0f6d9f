//! What people see of the channels.

use inet::Prefix;
use node_api::{Refusal, v1};
use route_table::{RouteState, Target};
use router_config::{ChannelEnd, FibPlace, RouterEnd};

use super::channel::{ChannelState, bgp_name, kernel_name};
use super::controller::Controller;

/// Prefixes in a page.
const PAGE: usize = 1000;
const MAX_PAGE: usize = 10_000;

pub(super) fn channels(
    controller: &Controller,
    trouble: impl Fn(&RouterEnd) -> Option<String>,
    missing: impl Fn(FibPlace) -> Option<String>,
) -> v1::ChannelList {
    let ends = |ends: &[ChannelEnd]| -> Vec<String> {
        ends.iter()
            .flat_map(|end| match end {
                ChannelEnd::Kernel { .. } => {
                    let table = |place| match missing(place) {
                        Some(why) => format!("{} ({why})", kernel_name(place)),
                        None => kernel_name(place),
                    };
                    end.places().map(table).collect::<Vec<String>>()
                }
                ChannelEnd::Bgp { endpoint } => vec![match trouble(endpoint) {
                    Some(why) => format!("{} ({why})", bgp_name(endpoint)),
                    None => bgp_name(endpoint),
                }],
            })
            .collect()
    };
    let status = |channel: &ChannelState| v1::ChannelStatus {
        name: channel.config.name.clone(),
        family: channel.config.ip_version.to_string(),
        subscribers: ends(&channel.config.subscribers),
        publishers: ends(&channel.config.publishers),
        owners: channel.owners.iter().cloned().collect(),
        routes: u32::try_from(channel.len()).unwrap_or(u32::MAX),
    };
    v1::ChannelList { channels: controller.channels.iter().map(status).collect() }
}

pub(super) fn routes(
    controller: &Controller,
    request: &v1::ListChannelRoutesRequest,
) -> Result<v1::ChannelRoutePage, Refusal> {
    let named = |channel: &&ChannelState| channel.config.name == request.channel;
    let channel = controller.channels.iter().find(named);
    let channel = channel
        .ok_or_else(|| Refusal::NotFound(format!("there is no channel {:?}", request.channel)))?;
    let after: Option<Prefix> = match request.after.as_str() {
        "" => None,
        text => {
            let wrong = |error| Refusal::Invalid(format!("after {text:?}: {error}"));
            Some(text.parse().map_err(wrong)?)
        }
    };
    let limit = match request.limit {
        0 => PAGE,
        limit => usize::try_from(limit).unwrap_or(MAX_PAGE).min(MAX_PAGE),
    };
    let mut rest = channel.prefixes_after(after);
    let routes = rest.by_ref().take(limit).filter_map(|prefix| {
        let (source, wish) = channel.best(prefix)?;
        Some(v1::ChannelRoute {
            prefix: prefix.to_string(),
            target: target(&wish.target),
            source: source.to_owned(),
            distance: u32::from(wish.distance),
            tables: tables(controller, channel, prefix),
        })
    });
    let routes = routes.collect();
    Ok(v1::ChannelRoutePage { routes, more: rest.next().is_some() })
}

fn tables(controller: &Controller, channel: &ChannelState, prefix: &Prefix) -> Vec<String> {
    let state = |place: FibPlace| {
        let view = controller.tables.get(&place)?.route(prefix)?;
        Some(format!("{place} {}", words(view.state)))
    };
    channel.config.publishers.iter().flat_map(ChannelEnd::places).filter_map(state).collect()
}

fn words(state: RouteState) -> String {
    match state {
        RouteState::Installed => "installed".to_owned(),
        RouteState::Pending => "pending".to_owned(),
        RouteState::Unresolved => "next-hop-unresolved".to_owned(),
        RouteState::Blocked => "foreign-route".to_owned(),
        RouteState::Failed(errno) => std::io::Error::from_raw_os_error(errno.0).to_string(),
        RouteState::Stale => "stale".to_owned(),
        RouteState::NotInstalled => "not-written".to_owned(),
    }
}

fn target(target: &Target) -> String {
    match target {
        Target::Via(hops) => {
            let hop = |hop: &route_table::Hop| match hop.weight {
                1 => hop.next_hop.to_string(),
                weight => format!("{} weight {weight}", hop.next_hop),
            };
            hops.iter().map(hop).collect::<Vec<String>>().join(", ")
        }
        Target::Link(name) => format!("link {name}"),
        Target::Blackhole => "blackhole".to_owned(),
        Target::Unreachable => "unreachable".to_owned(),
        Target::Prohibit => "prohibit".to_owned(),
    }
}
