//! Aggregates, from one session to another.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops where it is wrong")]

mod common;

use std::collections::BTreeSet;

use bgp_packet::{Capability, Message, Open, Options, PeerKind, decode, frame_len, pack_withdrawn};
use bgp_policy::{
    Action, Adjust, CommunityEdit, Conditions, Definition, Definitions, Policy, Sets, Source,
    Statement,
};
use bgp_session::{PeerConfig, State};
use bgp_speaker::*;
use inet::{Family, Prefix};

use common::*;

const OTHER: &str = "10.0.0.3";

fn aggregation(text: &str) -> Aggregation {
    Aggregation {
        route: Origination::new(prefix(text)),
        summary_only: false,
        discard: Some(Discard::Blackhole),
        policy: None,
    }
}

/// Takes only aggregates of IPv4, with all that an own route may be given.
fn marking() -> Policy {
    let conditions = Conditions {
        source: vec![Source::Aggregate],
        family: Some(Family::Ipv4),
        ..Conditions::default()
    };
    let communities = Some(CommunityEdit { add: vec![0x0001_0002], ..CommunityEdit::default() });
    let set = Sets {
        communities,
        local_pref: Some(Adjust::Add(20)),
        med: Some(Adjust::Add(5)),
        ..Sets::default()
    };
    let statements = vec![Statement { conditions, set, ..Statement::new(Action::Accept) }];
    let definition = Definition { statements, default: None };
    definition.resolve("marking", &Definitions::default()).unwrap()
}

fn wanted(aggregates: Vec<Aggregation>) -> Desired {
    let other = PeerConfig { passive: true, ..PeerConfig::new(ip(OTHER), asn(65003)) };
    Desired { aggregates, ..doc(&[peer(PEER), other], &[]) }
}

/// The other peer, which connects and keeps what it hears.
struct Other {
    conn: ConnId,
    heard: BTreeSet<Prefix>,
}

impl Other {
    fn connect(bench: &mut Bench) -> Other {
        let conn = ConnId::Accepted(99);
        let mut capabilities = open().capabilities;
        capabilities.retain(|c| !matches!(c, Capability::FourOctetAs(_)));
        capabilities.push(Capability::FourOctetAs(asn(65003)));
        let router_id = "3.3.3.3".parse().unwrap();
        let open = Open { asn: asn(65003), router_id, capabilities, ..open() };
        bench.handle(Input::Accepted { conn, local: ip("10.0.0.1"), remote: ip(OTHER).into() });
        bench.handle(Input::Frame { conn, bytes: open.encode() });
        bench.handle(Input::Frame { conn, bytes: bgp_packet::KEEPALIVE.to_vec() });
        bench.handle(Input::Room { conn, bytes: 1 << 20 });
        assert_eq!(bench.state(OTHER), State::Established);
        Other { conn, heard: BTreeSet::new() }
    }

    /// Takes in what was sent; gives what it has ever heard of meanwhile.
    fn hear(&mut self, bench: &mut Bench) -> BTreeSet<Prefix> {
        let mut ever = self.heard.clone();
        for output in std::mem::take(&mut bench.outputs) {
            let Output::Send { conn, bytes } = output else { continue };
            let mut rest = if conn == self.conn { &bytes[..] } else { &[] };
            while let Some(len) = frame_len(rest, 65535).unwrap() {
                let (frame, after) = rest.split_at(len);
                rest = after;
                match decode(frame, &Options::new(PeerKind::External)).unwrap() {
                    Message::Update(update) => {
                        for gone in update.withdrawn.iter().flat_map(|nlri| nlri.iter()) {
                            self.heard.remove(&gone);
                        }
                        let new = update.reach.iter().flat_map(|reach| reach.nlri.iter());
                        self.heard.extend(new);
                        ever.extend(&self.heard);
                    }
                    Message::Notification(told) => panic!("the session ended: {told:?}"),
                    _ => {}
                }
            }
        }
        ever
    }

    fn has(&self) -> Vec<String> {
        self.heard.iter().map(ToString::to_string).collect()
    }
}

fn withdraw(bench: &mut Bench, conn: ConnId, prefixes: &[Prefix]) {
    let options = Options::new(PeerKind::External);
    for bytes in pack_withdrawn(prefixes.iter().copied(), &options) {
        bench.handle(Input::Frame { conn, bytes });
    }
}

fn discards(bench: &Bench) -> Vec<(String, Option<Discard>)> {
    let told = bench.outputs.iter().filter_map(|output| match output {
        Output::Best(best) if best.paths.is_empty() => {
            Some((best.prefix.to_string(), best.discard))
        }
        _ => None,
    });
    told.collect()
}

#[test]
fn what_one_peer_sends_is_told_to_another_as_an_aggregate() {
    let (mut bench, conn) = Bench::established(&[]);
    bench.desired("file", wanted(vec![aggregation("10.0.0.0/8"), aggregation("fd00::/16")]));
    let mut other = Other::connect(&mut bench);
    other.hear(&mut bench);
    assert_eq!(other.has(), [""; 0]);
    let longer = [prefix("10.1.0.0/24"), prefix("10.2.0.0/24")];
    bench.announce(conn, &longer);
    assert_eq!(discards(&bench), [("10.0.0.0/8".to_owned(), Some(Discard::Blackhole))]);
    other.hear(&mut bench);
    assert_eq!(other.has(), ["10.0.0.0/8", "10.1.0.0/24", "10.2.0.0/24"]);
    let shown = &bench.speaker.route(&prefix("10.0.0.0/8"))[0];
    assert_eq!((shown.peer, shown.source), (None, Source::Aggregate));
    assert!(shown.attributes.atomic_aggregate && shown.attributes.aggregator.is_some());
    // Its sender is told of it too, and our own AS number is in it: it takes it from nobody.
    assert_eq!(bench.why("10.0.0.0/8"), "announced");

    // In place of the longer ones, without a reset; nothing is away in between.
    let mut summary = aggregation("10.0.0.0/8");
    (summary.summary_only, summary.discard) = (true, None);
    bench.desired("file", wanted(vec![summary.clone()]));
    assert_eq!(discards(&bench), [("10.0.0.0/8".to_owned(), None)]);
    other.hear(&mut bench);
    assert_eq!(other.has(), ["10.0.0.0/8"]);
    let export = bench.speaker.explain_export(ip(OTHER), &longer[0]).unwrap();
    assert_eq!(export.reason.to_string(), "suppressed-by-aggregate");
    assert_eq!(export.paths[0].refused, Some(Reason::SuppressedByAggregate));

    withdraw(&mut bench, conn, &longer[..1]);
    other.hear(&mut bench);
    assert_eq!(other.has(), ["10.0.0.0/8"]);
    withdraw(&mut bench, conn, &longer[1..]);
    other.hear(&mut bench);
    assert_eq!(other.has(), [""; 0]);
    bench.announce(conn, &longer);
    let ever = other.hear(&mut bench);
    assert_eq!(ever, [prefix("10.0.0.0/8")].into(), "a longer one was told");
    // The session that all came from ends.
    bench.handle(Input::AdminReset {
        peer: ip(PEER).into(),
        reset: Reset::Hard { communication: None },
    });
    bench
        .outputs
        .retain(|output| matches!(output, Output::Send { conn, .. } if *conn == other.conn));
    other.hear(&mut bench);
    assert_eq!(other.has(), [""; 0]);
    assert_eq!(bench.state(OTHER), State::Established);
    assert_eq!(bench.speaker.counts().paths, 0);
}

#[test]
fn a_policy_says_what_an_aggregate_carries_and_whether_there_is_one() {
    let (mut bench, conn) = Bench::established(&[]);
    let mut four = aggregation("10.0.0.0/8");
    (four.summary_only, four.route.communities) = (true, vec![0x0001_0001]);
    let mut six = aggregation("fd00::/16");
    six.summary_only = true;
    let with = |policy: Option<Policy>| {
        let both = [four.clone(), six.clone()];
        wanted(both.map(|a| Aggregation { policy: policy.clone(), ..a }).into())
    };
    bench.desired("file", with(Some(marking())));
    let mut other = Other::connect(&mut bench);
    let longer = prefix("10.1.0.0/24");
    bench.announce(conn, &[longer]);
    other.hear(&mut bench);
    assert_eq!(other.has(), ["10.0.0.0/8"]);
    let carries = |bench: &Bench| {
        let shown = bench.speaker.route(&prefix("10.0.0.0/8"));
        let attributes = &shown[0].attributes;
        assert!(attributes.atomic_aggregate && attributes.aggregator.is_some());
        (attributes.communities.clone(), attributes.local_pref, attributes.med)
    };
    // What is missing counts as its default.
    assert_eq!(carries(&bench), (vec![0x0001_0001, 0x0001_0002], Some(120), Some(5)));

    // Changed live: without it the aggregate is what the document says.
    bench.desired("file", with(None));
    other.hear(&mut bench);
    assert_eq!((other.has(), bench.state(OTHER)), (vec!["10.0.0.0/8".into()], State::Established));
    assert_eq!(carries(&bench), (vec![0x0001_0001], None, None));

    // What is rejected keeps nothing back and drops nothing.
    let reject = policy("none", Action::Reject);
    bench.outputs.clear();
    bench.desired("file", with(Some(reject)));
    assert_eq!(discards(&bench), [("10.0.0.0/8".to_owned(), None)]);
    let ever = other.hear(&mut bench);
    assert_eq!(other.has(), ["10.1.0.0/24"]);
    assert!(ever.contains(&prefix("10.0.0.0/8")), "the aggregate went first");
    assert!(bench.speaker.groups_agree());

    // The default of what is added to is the router's own, and that is changed live, too.
    bench.desired("file", with(Some(marking())));
    let mut doc = with(Some(marking()));
    doc.global.as_mut().unwrap().default_local_pref = 300;
    bench.desired("file", doc);
    assert_eq!(carries(&bench).1, Some(320));
}

#[test]
fn own_prefixes_count_and_the_first_owner_by_name_decides() {
    let (mut bench, _) = Bench::established(&[]);
    let mut summary = aggregation("10.0.0.0/8");
    summary.summary_only = true;
    bench.desired("agent", Desired { aggregates: vec![summary.clone()], ..Desired::default() });
    bench.said();
    let both = Desired {
        aggregates: vec![aggregation("10.0.0.0/8"), aggregation("11.0.0.0/8")],
        ..doc(&[peer(PEER)], &["10.9.0.0/24", "11.9.0.0/24"])
    };
    bench.desired("file", both.clone());
    let names: Vec<String> = bench.speaker.conflicts().map(ToString::to_string).collect();
    let expect =
        "duplicate-aggregate: 10.0.0.0/8 is an aggregate of agent; that of file is ignored";
    assert_eq!(names, [expect]);
    let mut said: Vec<String> =
        bench.said().iter().flat_map(|s| s.split(' ')).map(String::from).collect();
    said.sort();
    assert_eq!(said, ["+10.0.0.0/8", "+11.0.0.0/8", "+11.9.0.0/24"]);
    bench.handle(Input::Forget { owner: "agent".into() });
    assert_eq!(bench.said(), ["+10.9.0.0/24"]);
    assert_eq!(bench.speaker.conflicts().count(), 0);
    // Twice the same is no conflict.
    bench.desired("agent", Desired { aggregates: both.aggregates.clone(), ..Desired::default() });
    assert_eq!((bench.speaker.conflicts().count(), bench.said().len()), (0, 0));
    assert!(bench.speaker.groups_agree());
    assert_eq!(bench.speaker.plan("file", &both), Plan::default());
}
