//! Every state with every event (RFC 4271 §8.2.2).

use bgp_packet::{Cease, KEEPALIVE, Notification, RefreshKind, encode_route_refresh, end_of_rib};
use inet::Family;

use super::{IN, OUT, at, drain, plain_open, session, words};
use crate::{Conn, Event, Session, State, Stop};

const STATES: [&str; 8] = [
    "Stopped",
    "Holding",
    "Active",
    "Connect",
    "OpenSent",
    "OpenConfirm",
    "Established",
    "Passive",
];

const EVENTS: [&str; 20] = [
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
                _ => unreachable!("{timer}"),
            };
            // An OPEN is waited for while connect retries come and go.
            while let Some((due, what)) = s.wake_at() {
                drain(s);
                let passes = s.status().state >= State::OpenSent && wanted == "hold time";
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
Active + Keep = Idle:
Active + Cease = Idle:
Active + Connected = Active: close
Active + Accepted = OpenSent: OPEN
Active + ConnectRetry = Connect: dial
Connect + Keep = Idle: close
Connect + Cease = Idle: close
Connect + Connected = OpenSent: OPEN
Connect + Accepted = OpenSent: OPEN
Connect + Failed = Active:
Connect + Closed = Active:
Connect + Reset = Idle: close
Connect + ConnectRetry = Connect: close dial
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
Passive + Keep = Idle:
Passive + Cease = Idle:
Passive + Connected = Active: close
Passive + Accepted = OpenSent: OPEN
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
