//! The cases on clusters, by group.

use super::groups::{Case, Group, Objects};
use crate::bring_up::Mode;
use crate::topology::kind::ProxyMode;

mod away;
mod bad_input;
mod common;
mod established;
mod fabric;
mod interop;
mod machine;
mod old_manifests;
mod pods;
mod reboot;
mod router_bed;
mod router_process;
mod routers;
mod security;
mod services;
mod the_lab;

/// Shorthand for a case.
macro_rules! case {
    ($name:literal, $run:path) => {
        Case { name: $name, run: $run }
    };
}

const BED: Group = Group {
    name: "",
    topology: "sart",
    mode: Mode::Dual,
    proxy: None,
    plain_network: false,
    objects: Objects::TestBed,
    long: false,
    cases: &[],
};

const SERVICES: &[Case] = &[
    case!("cluster-policy", services::cluster_policy),
    case!("local-policy-follows-endpoints", services::local_policy_follows_endpoints),
    case!("wanted-addresses-and-pools", services::wanted_addresses_and_pools),
    case!("dual-stack", services::dual_stack),
    case!("class-and-finalizer", services::class_and_finalizer),
];

/// Every group, in the order in which they run.
pub(crate) const GROUPS: &[Group] = &[
    Group {
        name: "machine",
        topology: "sart",
        mode: Mode::None,
        objects: Objects::None,
        cases: &[case!("nothing-is-left", machine::nothing_is_left)],
        ..BED
    },
    Group {
        name: "lab",
        mode: Mode::None,
        plain_network: true,
        objects: Objects::None,
        cases: &[
            case!("images-by-any-name", the_lab::images_by_any_name),
            case!("probes-count", the_lab::probes_count),
            case!("hosts-come-back", the_lab::hosts_come_back),
        ],
        ..BED
    },
    Group {
        name: "dual",
        cases: &[
            case!("up-and-established", established::up_and_established),
            case!("the-routers-agree", established::the_routers_agree),
            case!("pods-fill-blocks-in-order", pods::fill_blocks_in_order),
            case!("pods-choose-pools", pods::choose_pools),
            case!("pods-reach-each-other", pods::reach_each_other),
            case!("host-ports", pods::host_ports),
            case!("empty-blocks-go-back", pods::empty_blocks_go_back),
            case!("cluster-policy", services::cluster_policy),
            case!("local-policy-follows-endpoints", services::local_policy_follows_endpoints),
            case!("wanted-addresses-and-pools", services::wanted_addresses_and_pools),
            case!("dual-stack", services::dual_stack),
            case!("class-and-finalizer", services::class_and_finalizer),
            case!("groups-of-peers", services::groups_of_peers),
            case!("metrics-and-health", established::metrics_and_health),
        ],
        ..BED
    },
    Group { name: "nftables", proxy: Some(ProxyMode::Nftables), cases: SERVICES, ..BED },
    Group {
        name: "cni",
        mode: Mode::Cni,
        cases: &[
            case!("pods-choose-pools", pods::choose_pools),
            case!("pods-reach-each-other", pods::reach_each_other),
            case!("host-ports-by-an-older-portmap", pods::host_ports_by_an_older_portmap),
        ],
        ..BED
    },
    Group { name: "lb", mode: Mode::Lb, cases: SERVICES, ..BED },
    Group {
        name: "old-manifests",
        objects: Objects::None,
        cases: &[
            case!("apply-unchanged", old_manifests::apply_unchanged),
            case!("columns", old_manifests::columns),
            case!("commands", old_manifests::commands),
            case!("leftovers-are-removed", old_manifests::leftovers_are_removed),
        ],
        ..BED
    },
    Group {
        name: "away",
        cases: &[
            case!("agent", away::agent),
            case!("leader", away::leader),
            case!("api-server", away::api_server),
        ],
        ..BED
    },
    Group {
        name: "controllers-away",
        long: true,
        cases: &[case!("both", away::controllers)],
        ..BED
    },
    Group {
        name: "router",
        cases: &[
            case!("killed", router_process::killed),
            case!("rollout-with-agent", router_process::rollout_with_agent),
            case!("killed-without-api", router_process::killed_without_api),
            case!("both-restart-without-api", router_process::both_restart_without_api),
        ],
        ..BED
    },
    Group {
        name: "fabric",
        cases: &[
            case!("spine-bgpd-killed", fabric::bgpd_killed),
            case!("spine-cable-cut", fabric::cable_cut),
            case!("spine-gone", fabric::spine_gone),
        ],
        ..BED
    },
    Group { name: "reboot", cases: &[case!("node", reboot::node)], ..BED },
    Group {
        name: "bad-input",
        cases: &[
            case!("pools", bad_input::pools),
            case!("services", bad_input::services),
            case!("peers", bad_input::peers),
            case!("nodes", bad_input::nodes),
            case!("cel", bad_input::cel),
            case!("garbage", bad_input::garbage),
            case!("cni-config", bad_input::cni_config),
            case!("router-config", bad_input::router_config),
        ],
        ..BED
    },
    Group {
        name: "security",
        cases: &[
            case!("stolen-agent-token", security::stolen_agent_token),
            case!("sockets", security::sockets),
        ],
        ..BED
    },
    Group {
        name: "router-bed",
        topology: "router",
        mode: Mode::Lb,
        objects: Objects::None,
        cases: &[case!("services-behind-one-router", router_bed::services_behind_one_router)],
        ..BED
    },
    Group {
        name: "routers",
        topology: "routers",
        mode: Mode::None,
        objects: Objects::None,
        cases: &[
            case!("all-learn-all", routers::all_learn_all),
            case!("what-is-gone-is-withdrawn", routers::what_is_gone_is_withdrawn),
        ],
        ..BED
    },
    Group {
        name: "interop",
        topology: "routers",
        mode: Mode::None,
        objects: Objects::None,
        cases: interop::CASES,
        ..BED
    },
];
