//! Every state with every event (RFC 4271 §8.2.2).

use bgp_packet::{Cease, KEEPALIVE, Notification, RefreshKind, encode_route_refresh, end_of_rib};
use inet::Family;

use super::long_lived::long_lived_open;
use super::{IN, OUT, at, drain, plain_open, session, words};
use crate::{Conn, Event, LongLivedConfig, MaxPrefixesAction, Session, State, Stop};

const STATES: [&str; 12] = [
    "Stopped",
    "Holding",
    "Active",
    "Connect",
    "OpenSent",
    "OpenConfirm",
    "Established",
    "Passive",
    "Shutdown",
    "Blocked",
    "Damped",
    "Away",
];

const EVENTS: [&str; 31] = [
    "Start",
    "Keep",
    "Cease",
    "Connected",
    "Accepted",
    "Failed",
    "Closed",
    "Reset",
    "OPEN",
    "KEEPALIVE",
    "UPDATE",
    "NOTIFICATION",
    "REFRESH",
    "garbage",
    "bad AS",
    "ConnectRetry",
    "Hold",
    "IdleHold",
    "Keepalive",
    "stray",
    "BfdDown",
    "BfdDown C",
    "BfdUp",
    "MaxPrefixes",
    "soft reset",
    "hard reset",
    "shutdown",
    "no shutdown",
    "SendHold",
    "Restart",
    "LongLived",
];

/// A session brought into a state, by the dialled connection where there is one.
fn bring(state: &str) -> Session {
    let mut s = session();
    if state == "Passive" {
        let mut config = s.config().clone();
        config.passive = true;
        s.reconfigure(at(0.0), config);
    }
    let steps: &[&str] = match state {
        "Stopped" => &[],
        "Holding" => &["Start", "Connected", "bad AS"],
        "Active" => &["Start", "Failed"],
        "Connect" | "Passive" => &["Start"],
        "OpenSent" => &["Start", "Connected"],
        "OpenConfirm" => &["Start", "Connected", "OPEN"],
        "Established" => &["Start", "Connected", "OPEN", "KEEPALIVE"],
        "Shutdown" => &["shutdown", "Start"],
        "Blocked" => &["Start", "Connected", "OPEN", "KEEPALIVE", "MaxPrefixes"],
        "Damped" => &["Start", "brief"],
        // Gone, and its routes are kept.
        "Away" => &["long-lived", "Start", "Connected", "long OPEN", "KEEPALIVE", "Closed"],
        _ => unreachable!(),
    };
    for step in steps {
        apply(&mut s, step);
    }
    drain(&mut s);
    s
}

fn apply(s: &mut Session, event: &str) {
    let now = at(1.0);
    let mut frame = |bytes: &[u8]| drop(s.frame(now, OUT, bytes));
    let mut their_open = plain_open();
    match event {
        "OPEN" => frame(&their_open.encode()),
        "bad AS" => {
            their_open.asn = super::asn(65009);
            their_open.capabilities.pop();
            frame(&their_open.encode());
        }
        "KEEPALIVE" => frame(&KEEPALIVE),
        "UPDATE" => frame(&end_of_rib(Family::Ipv4)),
        "NOTIFICATION" => frame(&Notification::new(6, 2).encode()),
        "REFRESH" => frame(&encode_route_refresh(Family::Ipv4, RefreshKind::Request)),
        "garbage" => frame(&[0xAA; 30]),
        "stray" => drop(s.frame(now, Conn::Outgoing(99), &KEEPALIVE)),
        "long OPEN" => frame(&long_lived_open(60, 600).encode()),
        "BfdDown" => s.handle(now, Event::BfdDown { control_plane_independent: false }),
        "BfdDown C" => s.handle(now, Event::BfdDown { control_plane_independent: true }),
        "BfdUp" => s.handle(now, Event::BfdUp),
        "MaxPrefixes" => {
            let action = MaxPrefixesAction::Restart { after: 30 };
            s.handle(now, Event::MaxPrefixes { family: Family::Ipv4, limit: 5, action });
        }
        "soft reset" => {
            s.handle(now, Event::AdminReset { hard: false, communication: None });
        }
        "hard reset" => s.handle(now, Event::AdminReset { hard: true, communication: None }),
        "shutdown" | "no shutdown" | "long-lived" => {
            let mut config = s.config().clone();
            match event {
                "shutdown" => config.shutdown = Some("new fans".into()),
                "no shutdown" => config.shutdown = None,
                _ => config.long_lived = Some(LongLivedConfig { stale_time: 600 }),
            }
            s.reconfigure(now, config);
        }
        // Sessions that do not last.
        "brief" => drop(super::send_hold::brief_sessions(s, now, 4)),
        "Start" => s.handle(now, Event::Start),
        "Keep" => s.handle(now, Event::Stop(Stop::Keep)),
        "Cease" => {
            let why = Cease::AdministrativeShutdown;
            s.handle(now, Event::Stop(Stop::Cease { why, communication: None }));
        }
        "Connected" => s.handle(now, Event::TcpConnected { conn: OUT }),
        "Accepted" => s.handle(now, Event::TcpAccepted { conn: IN }),
        "Failed" => s.handle(now, Event::TcpFailed { conn: OUT, reason: "refused".into() }),
        "Closed" => s.handle(now, Event::TcpClosed { conn: OUT, reason: String::new() }),
        "Reset" => {
            let notification = Notification::new(3, 1);
            s.handle(now, Event::Reset { conn: OUT, notification });
        }
        // Timers: nothing but the wanted one is due at its time.
        timer => {
            let wanted = match timer {
                "ConnectRetry" => "connect retry",
                "Hold" => "hold time",
                "IdleHold" => "idle hold",
                "Keepalive" => "keepalive",
                "SendHold" => "send hold time",
                "Restart" => "restart time",
                "LongLived" => "long-lived stale time",
                _ => unreachable!("{timer}"),
            };
            if timer == "SendHold" {
                for conn in [OUT, IN] {
                    s.handle(now, Event::Written { conn, waiting: 7 });
                }
            }
            // An OPEN is waited for while connect retries come and go.
            while let Some((due, what)) = s.wake_at() {
                drain(s);
                let mut passes = s.status().state >= State::OpenSent && wanted == "hold time";
                // A peer that reads nothing may well speak; one that is away is dialled in vain.
                if wanted == "send hold time" && s.status().state == State::Established {
                    drop(s.frame(due, OUT, &KEEPALIVE));
                    passes = true;
                }
                match wanted {
                    _ if s.helping().next().is_none() => {}
                    "restart time" => passes |= what == "connect retry",
                    "long-lived stale time" => {
                        passes |= matches!(what, "connect retry" | "restart time");
                    }
                    _ => {}
                }
                if what == wanted || passes {
                    s.tick(due);
                }
                if what == wanted || !passes {
                    break;
                }
            }
        }
    }
}

/// State by state; events that change nothing and do nothing are left out.
const TABLE: &str = "\
Stopped + Start = Connect: dial
Stopped + Connected = Idle: close
Stopped + Accepted = Idle: close-in
Holding + Start = Connect: dial
Holding + Connected = Idle: close
Holding + Accepted = Idle: close-in
Holding + IdleHold = Connect: dial
Holding + soft reset = Connect: dial
Holding + hard reset = Connect: dial
Active + Keep = Idle:
Active + Cease = Idle:
Active + Connected = Active: close
Active + Accepted = OpenSent: OPEN
Active + ConnectRetry = Connect: dial
Active + BfdUp = Connect: dial
Active + soft reset = Connect: dial
Active + hard reset = Connect: dial
Active + shutdown = Idle:
Connect + Keep = Idle: close
Connect + Cease = Idle: close
Connect + Connected = OpenSent: OPEN
Connect + Accepted = OpenSent: OPEN
Connect + Failed = Active:
Connect + Closed = Active:
Connect + Reset = Idle: close
Connect + ConnectRetry = Connect: close dial
Connect + soft reset = Connect: close dial
Connect + hard reset = Connect: close dial
Connect + shutdown = Idle: close
OpenSent + Keep = Idle: close
OpenSent + Cease = Idle: 6/2 close
OpenSent + Accepted = OpenSent: OPEN
OpenSent + Failed = Active:
OpenSent + Closed = Active:
OpenSent + Reset = Idle: 3/1 close
OpenSent + OPEN = OpenConfirm: KEEPALIVE
OpenSent + KEEPALIVE = Idle: 5/1 close
OpenSent + UPDATE = Idle: 5/1 close
OpenSent + NOTIFICATION = Active: close
OpenSent + REFRESH = Idle: 5/1 close
OpenSent + garbage = Idle: 1/1 close
OpenSent + bad AS = Idle: 2/2 close
OpenSent + Hold = Active: 4/0 close
OpenSent + soft reset = Active: 6/4 close
OpenSent + hard reset = Active: 6/4 close
OpenSent + shutdown = Idle: 6/2 close
OpenConfirm + Keep = Idle: close
OpenConfirm + Cease = Idle: 6/2 close
OpenConfirm + Accepted = OpenConfirm: OPEN
OpenConfirm + Failed = Active:
OpenConfirm + Closed = Active:
OpenConfirm + Reset = Idle: 3/1 close
OpenConfirm + OPEN = Idle: 5/2 close
OpenConfirm + KEEPALIVE = Established: up
OpenConfirm + UPDATE = Idle: 5/2 close
OpenConfirm + NOTIFICATION = Active: close
OpenConfirm + REFRESH = Idle: 5/2 close
OpenConfirm + garbage = Idle: 1/1 close
OpenConfirm + bad AS = Idle: 5/2 close
OpenConfirm + Hold = Active: 4/0 close
OpenConfirm + soft reset = Active: 6/4 close
OpenConfirm + hard reset = Active: 6/4 close
OpenConfirm + shutdown = Idle: 6/2 close
Established + Keep = Idle: close down
Established + Cease = Idle: 6/2 close down
Established + Accepted = Established: OPEN
Established + Failed = Active: down
Established + Closed = Active: down
Established + Reset = Idle: 3/1 close down
Established + OPEN = Idle: 5/3 close down
Established + NOTIFICATION = Active: close down
Established + REFRESH = Established: refresh
Established + garbage = Idle: 1/1 close down
Established + bad AS = Idle: 5/3 close down
Established + Hold = Active: 4/0 close down
Established + Keepalive = Established: KEEPALIVE
Established + BfdDown = Active: 6/10 close down
Established + BfdDown C = Active: 6/10 close down
Established + MaxPrefixes = Idle: 6/1 close down
Established + soft reset = Active: 6/4 close down
Established + hard reset = Active: 6/4 close down
Established + shutdown = Idle: 6/2 close down
Established + SendHold = Idle: 8/0 close down
Passive + Keep = Idle:
Passive + Cease = Idle:
Passive + Connected = Active: close
Passive + Accepted = OpenSent: OPEN
Passive + shutdown = Idle:
Shutdown + Connected = Idle: close
Shutdown + Accepted = Idle: close-in
Shutdown + no shutdown = Connect: dial
Blocked + Start = Active:
Blocked + Connected = Idle: close
Blocked + Accepted = Idle: close-in
Blocked + IdleHold = Connect: dial
Blocked + soft reset = Active:
Blocked + hard reset = Active:
Damped + Start = Connect: dial
Damped + Connected = Idle: close
Damped + Accepted = Idle: close-in
Damped + IdleHold = Connect: dial
Damped + soft reset = Connect: dial
Damped + hard reset = Connect: dial
Away + Keep = Idle:
Away + Cease = Idle: flush-ipv4 flush-ipv6
Away + Connected = Active: close
Away + Accepted = OpenSent: OPEN
Away + ConnectRetry = Connect: dial
Away + BfdDown C = Active: flush-ipv4 flush-ipv6
Away + BfdUp = Connect: dial
Away + soft reset = Connect: dial
Away + hard reset = Connect: flush-ipv4 flush-ipv6 dial
Away + shutdown = Idle: flush-ipv4 flush-ipv6
Away + Restart = Connect: long-ipv4 long-ipv6
Away + LongLived = Connect: flush-ipv4 flush-ipv6
";

#[test]
fn every_state_answers_every_event() {
    let mut table = String::new();
    for state in STATES {
        for event in EVENTS {
            let mut s = bring(state);
            let before = s.status().state;
            apply(&mut s, event);
            let effects = words(&drain(&mut s));
            let after = s.status().state;
            if before != after || !effects.is_empty() {
                table.push_str(format!("{state} + {event} = {after}: {effects}").trim_end());
                table.push('\n');
            }
        }
    }
    assert!(table == TABLE, "{table}");
}
