//! TCP between the hosts: dialling, bytes on their way, and connections of which one end knows
//! nothing any more.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use bgp_packet::{Message, Options, PeerKind, Segment, Verdict, decode, frame_len};
use bgp_speaker::{ConnId, Input};
use inet::Prefix;

use super::{Net, Sabotage};

/// How long a dial to nowhere takes to fail.
const DIAL_TIMEOUT: Duration = Duration::from_secs(3);

/// A TCP connection: two ends, each with what it has sent and the other has not read.
pub(super) struct Pipe {
    pub(super) wire: usize,
    ends: [Option<PipeEnd>; 2],
    /// Bytes on their way, by sending end.
    pub(super) flying: [VecDeque<Vec<u8>>; 2],
    /// The dialling end knows that it is connected.
    answered: bool,
}

struct PipeEnd {
    host: usize,
    conn: ConnId,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Happens {
    /// A SYN reaches the host at the other end of the wire.
    Dialled {
        pipe: u64,
    },
    Answered {
        pipe: u64,
    },
    /// A dial has failed.
    Refused {
        pipe: u64,
        boot: u64,
    },
    /// The next bytes from this end arrive.
    Arrive {
        pipe: u64,
        from: usize,
    },
    /// An end learns that the connection is gone.
    Gone {
        pipe: u64,
        end: usize,
    },
}

impl Net {
    pub(super) fn later(&mut self, time: Duration, what: Happens) {
        self.next_event += 1;
        self.events.push(Reverse((self.now + time, self.next_event, what)));
    }

    fn latency(&mut self, to: usize) -> Duration {
        let slow = if self.nodes[to].slow { 200 } else { 0 };
        Duration::from_millis(1 + self.dice.roll(10) + slow)
    }

    pub(super) fn dial(&mut self, host: usize, conn: ConnId, peer: IpAddr) {
        let (wire, mine) = self.wire_to(host, &peer).expect("a peer is at the other end of a wire");
        let pipe = self.next_pipe;
        self.next_pipe += 1;
        let mut ends = [None, None];
        ends[mine] = Some(PipeEnd { host, conn });
        self.pipes.insert(pipe, Pipe { wire, ends, flying: Default::default(), answered: false });
        self.nodes[host].conns.insert(conn, pipe);
        let time = self.latency(host);
        self.later(time, Happens::Dialled { pipe });
    }

    pub(super) fn send(&mut self, host: usize, conn: ConnId, bytes: Vec<u8>) {
        let Some(id) = self.nodes[host].conns.get(&conn).copied() else { return };
        let transit = self.topology.hosts[host].transit;
        if !transit {
            nothing_learned_is_announced_without_transit(&bytes, self.topology.hosts[host].asn);
        }
        let Some(pipe) = self.pipes.get_mut(&id) else { return };
        let Some(from) = pipe.ends.iter().position(|e| e.as_ref().is_some_and(|e| e.host == host))
        else {
            return;
        };
        let text = self.verbose.then(|| describe(&bytes));
        pipe.flying[from].push_back(bytes);
        let to = self.topology.wires[pipe.wire].ends[1 - from].host;
        let time = self.latency(to);
        self.note(|| format!("{host} sends on {conn}, pipe {id}: {}", text.unwrap_or_default()));
        self.later(time, Happens::Arrive { pipe: id, from });
        self.tell_room(id, from);
    }

    fn tell_room(&mut self, id: u64, end: usize) {
        let Some(pipe) = self.pipes.get(&id) else { return };
        let waiting: usize = pipe.flying[end].iter().map(Vec::len).sum();
        let Some(PipeEnd { host, conn }) = &pipe.ends[end] else { return };
        let input = Input::Room { conn: *conn, bytes: self.buffer.saturating_sub(waiting) };
        if let Some(speaker) = &mut self.nodes[*host].speaker {
            speaker.handle(self.now, input);
        }
    }

    /// An end is closed. The other hears of it, unless that is lost.
    pub(super) fn drop_end(&mut self, id: u64, host: usize, silent: bool) {
        let Some(pipe) = self.pipes.get_mut(&id) else { return };
        let Some(end) = pipe.ends.iter().position(|e| e.as_ref().is_some_and(|e| e.host == host))
        else {
            return;
        };
        pipe.ends[end] = None;
        if pipe.ends[1 - end].is_none() {
            self.pipes.remove(&id);
        } else if !silent {
            // After what was sent before.
            self.later(Duration::from_millis(300), Happens::Gone { pipe: id, end: 1 - end });
        }
    }

    pub(super) fn happen(&mut self, what: Happens) {
        match what {
            Happens::Dialled { pipe } => self.dialled(pipe),
            Happens::Answered { pipe } => {
                let Some(found) = self.pipes.get_mut(&pipe) else { return };
                found.answered = true;
                let wire = &self.topology.wires[found.wire];
                for end in 0..2 {
                    if let Some(PipeEnd { host, conn: conn @ ConnId::Dialled(_) }) = found.ends[end]
                    {
                        let local = wire.address(end);
                        self.tell_facts(host, pipe);
                        self.tell(host, Input::Connected { conn, local });
                        self.tell_room(pipe, end);
                        return self.drain(host);
                    }
                }
            }
            Happens::Refused { pipe, .. } => {
                let Some(found) = self.pipes.remove(&pipe) else { return };
                for PipeEnd { host, conn } in found.ends.into_iter().flatten() {
                    self.nodes[host].conns.remove(&conn);
                    let reason = "no answer".into();
                    self.tell(host, Input::ConnectFailed { conn, reason });
                }
            }
            Happens::Arrive { pipe, from } => self.arrive(pipe, from),
            Happens::Gone { pipe, end } => {
                let Some(found) = self.pipes.get_mut(&pipe) else { return };
                if self.cables[found.wire].down_since.is_some() {
                    // The news is lost; TCP tries again.
                    return self.later(Duration::from_secs(1), Happens::Gone { pipe, end });
                }
                let Some(PipeEnd { host, conn }) = found.ends[end].take() else { return };
                self.pipes.remove(&pipe);
                if self.nodes[host].conns.remove(&conn).is_some() {
                    self.tell(host, Input::Closed { conn, reason: "reset".into() });
                }
            }
        }
    }

    fn dialled(&mut self, id: u64) {
        let Some(pipe) = self.pipes.get(&id) else { return };
        let Some(from) = pipe.ends.iter().position(Option::is_some) else { return };
        let wire = &self.topology.wires[pipe.wire];
        let to = wire.ends[1 - from].host;
        let (local, remote) = (wire.address(1 - from), wire.address(from));
        let refused = Happens::Refused { pipe: id, boot: 0 };
        if self.cables[pipe.wire].down_since.is_some() {
            return self.later(DIAL_TIMEOUT, refused);
        }
        if self.nodes[to].speaker.is_none() {
            return self.later(Duration::from_millis(2), refused);
        }
        let conn = ConnId::Accepted(id);
        if let Some(pipe) = self.pipes.get_mut(&id) {
            pipe.ends[1 - from] = Some(PipeEnd { host: to, conn });
        }
        self.nodes[to].conns.insert(conn, id);
        self.later(Duration::from_millis(3), Happens::Answered { pipe: id });
        self.tell_facts(to, id);
        self.tell(to, Input::Accepted { conn, local, remote: remote.into() });
        self.tell_room(id, 1 - from);
        self.drain(to);
    }

    /// Tells a speaker of the interface that a connection goes over.
    fn tell_facts(&mut self, host: usize, pipe: u64) {
        let Some(n) = self.pipes.get(&pipe).map(|pipe| pipe.wire) else { return };
        let wire = &self.topology.wires[n];
        let Some(mine) = wire.end_of(host) else { return };
        let input = Input::LocalAddress {
            peer: wire.address(1 - mine).into(),
            link: format!("e{n}").parse().ok(),
            ipv4: Some(wire.ends[mine].four),
            ipv6: Some(wire.ends[mine].six),
        };
        self.tell(host, input);
    }

    fn arrive(&mut self, id: u64, from: usize) {
        let Some(pipe) = self.pipes.get_mut(&id) else { return };
        if self.cables[pipe.wire].down_since.is_some() {
            return;
        }
        if !pipe.answered {
            return self.later(Duration::from_millis(4), Happens::Arrive { pipe: id, from });
        }
        let Some(bytes) = pipe.flying[from].pop_front() else { return };
        match &pipe.ends[1 - from] {
            // Nobody there knows the connection: a reset comes back.
            None => self.later(Duration::from_millis(2), Happens::Gone { pipe: id, end: from }),
            Some(PipeEnd { host, conn }) => {
                let (host, conn) = (*host, *conn);
                let mut rest = &bytes[..];
                while let Ok(Some(len)) = frame_len(rest, 65535) {
                    let (frame, after) = rest.split_at(len);
                    rest = after;
                    if self.sabotage == Some(Sabotage::NoWithdraw) && withdraws(frame) {
                        continue;
                    }
                    self.tell(host, Input::Frame { conn, bytes: frame.to_vec() });
                }
                assert!(rest.is_empty(), "messages are sent whole");
            }
        }
        self.tell_room(id, from);
        let sender = self.pipes.get(&id).and_then(|pipe| pipe.ends[from].as_ref());
        if let Some(host) = sender.map(|end| end.host) {
            self.drain(host);
        }
    }
}

fn describe(bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut rest = bytes;
    while let Ok(Some(len)) = frame_len(rest, 65535) {
        let (frame, after) = rest.split_at(len);
        rest = after;
        match decode(frame, &Options::new(PeerKind::External)) {
            Ok(Message::Update(u)) => {
                let gone: Vec<Prefix> = u.withdrawn.iter().flat_map(|n| n.iter()).collect();
                let new: Vec<Prefix> = u.reach.iter().flat_map(|r| r.nlri.iter()).collect();
                text += &format!("[+{new:?} -{gone:?} end {:?}]", u.end_of_rib);
            }
            Ok(Message::Open(_)) => text += "[open]",
            Ok(Message::Keepalive) => text += "[keepalive]",
            other => text += &format!("[{other:?}]"),
        }
    }
    text
}

fn withdraws(frame: &[u8]) -> bool {
    match decode(frame, &Options::new(PeerKind::External)) {
        Ok(Message::Update(update)) => update.withdrawn.iter().any(|nlri| nlri.iter().count() > 0),
        _ => false,
    }
}

fn nothing_learned_is_announced_without_transit(bytes: &[u8], asn: u32) {
    let options = Options::new(PeerKind::External);
    let mut rest = bytes;
    while let Ok(Some(len)) = frame_len(rest, 65535) {
        let (frame, after) = rest.split_at(len);
        rest = after;
        let Ok(Message::Update(update)) = decode(frame, &options) else { continue };
        for reach in &update.reach {
            let verdict = update.attributes.decode(&options, reach.next_hop);
            let Verdict::Accept(attributes, _) = verdict else { panic!("{verdict:?}") };
            let mut numbers = attributes.as_path.segments.iter().flat_map(Segment::numbers);
            let own = numbers.all(|number| *number == asn);
            assert!(own, "nothing_learned_is_announced_without_transit: {attributes:?}");
        }
    }
}
