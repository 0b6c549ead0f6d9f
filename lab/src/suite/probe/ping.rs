//! ICMP echo over a raw socket, for both families.

use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use socket2::{Domain, Protocol, Socket, Type};

use super::{Clock, Outcome, PATIENCE};

/// Type of an echo request and of its reply, for IPv4 (RFC 792) and IPv6 (RFC 4443 §4).
const ECHO: (u8, u8) = (8, 0);
const ECHO_V6: (u8, u8) = (128, 129);
/// Header (8 bytes) and the question's number (4 bytes).
const LENGTH: usize = 12;

/// Asks until the clock says stop, then waits for the last answers.
pub(super) fn run(target: IpAddr, clock: &Clock) -> Result<(Vec<Outcome>, Option<String>)> {
    let (domain, protocol) = match target {
        IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
        IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
    };
    let socket = Socket::new(domain, Type::RAW, Some(protocol)).context("open a raw socket")?;
    socket.connect(&SocketAddr::new(target, 0).into()).context("no route to the target")?;
    socket.set_read_timeout(Some(Duration::from_millis(100)))?;
    socket.set_recv_buffer_size(1 << 20)?;
    let mark = std::process::id() as u16;
    let outcomes = Arc::new(Mutex::new(Vec::<(Instant, Outcome)>::new()));

    let (receiver, seen) = (socket.try_clone()?, Arc::clone(&outcomes));
    std::thread::spawn(move || {
        let mut buffer = [0; 256];
        loop {
            match (&receiver).read(&mut buffer) {
                Ok(length) => {
                    let packet = buffer.get(..length).unwrap_or_default();
                    if let Some(number) = reply(target, packet, mark) {
                        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                        if let Some((asked, outcome)) = seen.get_mut(number as usize) {
                            outcome.took.get_or_insert(asked.elapsed());
                        }
                    }
                }
                // Silence, or an ICMP error for an earlier question: that one stays unanswered.
                Err(_) => continue,
            }
        }
    });

    let mut error = None;
    let mut number = 0;
    while let Some(at) = clock.next(number) {
        let outcome = (Instant::now(), Outcome { at, took: None });
        outcomes.lock().unwrap_or_else(PoisonError::into_inner).push(outcome);
        if let Err(problem) = send(&socket, &request(target, mark, number)) {
            error.get_or_insert_with(|| problem.to_string());
        }
        number += 1;
    }
    std::thread::sleep(PATIENCE);
    let outcomes = outcomes.lock().unwrap_or_else(PoisonError::into_inner);
    Ok((outcomes.iter().map(|(_, outcome)| *outcome).collect(), error))
}

/// A pending ICMP error is reported by the next call, so one failure is tried once more.
fn send(socket: &Socket, packet: &[u8]) -> io::Result<()> {
    socket.send(packet).or_else(|_| socket.send(packet)).map(drop)
}

pub(super) fn request(target: IpAddr, mark: u16, number: u32) -> [u8; LENGTH] {
    let kind = if target.is_ipv4() { ECHO.0 } else { ECHO_V6.0 };
    let (mark, sequence) = (mark.to_be_bytes(), (number as u16).to_be_bytes());
    let n = number.to_be_bytes();
    let mut packet =
        [kind, 0, 0, 0, mark[0], mark[1], sequence[0], sequence[1], n[0], n[1], n[2], n[3]];
    // The kernel fills in ICMPv6's checksum, which covers addresses (RFC 3542 §3.1).
    if target.is_ipv4() {
        let [high, low] = checksum(&packet).to_be_bytes();
        packet[2] = high;
        packet[3] = low;
    }
    packet
}

/// The number of the question that a packet answers; a raw IPv4 socket gives the IP header too.
pub(super) fn reply(target: IpAddr, packet: &[u8], mark: u16) -> Option<u32> {
    let (kind, icmp) = match target {
        IpAddr::V4(_) => {
            let header = usize::from(packet.first()? & 0x0f) * 4;
            (ECHO.1, packet.get(header..)?)
        }
        IpAddr::V6(_) => (ECHO_V6.1, packet),
    };
    let icmp: &[u8; LENGTH] = icmp.get(..LENGTH)?.try_into().ok()?;
    let [own, code, _, _, m0, m1, _, _, n0, n1, n2, n3] = *icmp;
    let ours = own == kind && code == 0 && u16::from_be_bytes([m0, m1]) == mark;
    ours.then_some(u32::from_be_bytes([n0, n1, n2, n3]))
}

/// The Internet checksum (RFC 1071).
fn checksum(packet: &[u8]) -> u16 {
    let sum = packet.chunks(2).fold(0_u32, |sum, pair| {
        let word = [pair.first().copied().unwrap_or(0), pair.get(1).copied().unwrap_or(0)];
        sum + u32::from(u16::from_be_bytes(word))
    });
    let sum = (sum & 0xffff) + (sum >> 16);
    !((sum & 0xffff) + (sum >> 16)) as u16
}
