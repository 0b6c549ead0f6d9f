//! What the fuzzers do with bytes. One function a target, shared by `fuzz/fuzz_targets` and by the
//! test that replays the kept corpora (`tests/replay.rs`).

#[path = "../../../../fuzz/bytes.rs"]
mod bytes;
#[path = "bodies/model.rs"]
mod model;
#[path = "bodies/net.rs"]
mod net;

use bgp_speaker::{Input, Reset};
use bytes::Bytes;
use model::{HOSTS, Wanted};
use net::Net;

/// A target's body: it panics where something is wrong.
pub(crate) type Body = fn(&[u8]);

/// Targets and their bodies; a target's name is that of its folder in `fuzz/corpus`.
pub(crate) const ALL: &[(&str, Body)] = &[("speaker_scenario", scenario)];

/// Steps after which the rest of the bytes is not looked at: a run shall end soon.
const MOST_STEPS: usize = 2000;

/// Three speakers in a triangle, each with a few prefixes and rules, over a network that does what
/// the bytes say: a byte for each step, and what belongs to it. Then the network behaves, and in the
/// end each host's routes are those of the model.
pub(crate) fn scenario(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let mut net = Net::new(bytes.u8());
    for _ in 0..MOST_STEPS {
        let Some(step) = bytes.next() else { break };
        take(&mut net, step, &mut bytes);
    }
    net.quiet();
    net.is_as_modelled();
    for host in 0..HOSTS {
        net.wanted_twice_is_once(host);
    }
    net.forgets_all();
}

fn take(net: &mut Net, step: u8, bytes: &mut Bytes<'_>) {
    // A host, and one of the two others.
    let host = usize::from(step >> 4) % HOSTS;
    let other = (host + 1 + usize::from(step >> 7)) % HOSTS;
    match step & 0x0F {
        0 => net.answer(bytes.u8()),
        1 => net.refuse(bytes.u8()),
        2 => {
            let (pipe, count) = (bytes.u8(), bytes.u8());
            net.deliver(pipe, usize::from(count));
        }
        3 => net.deliver(bytes.u8(), usize::MAX),
        4 => net.cut(bytes.u8()),
        5 => net.half_open(bytes.u8()),
        6 => net.pass(u64::from(bytes.u8()) * 100),
        7 => net.next(),
        8 => {
            net.want(host, |wanted| wanted.own = bytes.u8());
        }
        9 => {
            let choice = bytes.u8();
            net.want(host, |wanted| wanted.rules[other] = model::Rules::from(choice));
        }
        10 => {
            let reset = match bytes.u8() & 3 {
                0 => Reset::SoftIn,
                1 => Reset::SoftOut,
                2 => Reset::Soft,
                _ => Reset::Hard { communication: Some("a window".into()) },
            };
            net.tell(host, Input::AdminReset { peer: model::address(other, host).into(), reset });
        }
        11 => net.want(host, |wanted: &mut Wanted| wanted.peers[other] ^= true),
        12 => net.wanted_twice_is_once(host),
        13 => {
            let name = model::link(other);
            net.tell(host, Input::Link { name, up: bytes.u8() & 1 != 0 });
        }
        14 => {
            let how = bytes.u8();
            net.restart(host, how & 1 != 0, how & 2 != 0);
        }
        _ => net.behave(u64::from(bytes.u8()) * 50),
    }
}
