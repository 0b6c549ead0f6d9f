//! What the kernel holds, heard on rtnetlink: the same listener for every daemon. And the yardstick:
//! the same routes written by hand, in batches.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;

use anyhow::{Context, Result, bail};

use super::model::Index;
use super::netlink;
use super::wire::{self, Key};

const NEW_ROUTE: u16 = 24;
const DELETE_ROUTE: u16 = 25;
const GET_ROUTE: u16 = 26;
const NEW_NEXT_HOP: u16 = 104;
const DONE: u16 = 3;
const ERROR: u16 = 2;

const MAIN: u8 = 254;
const DST: u16 = 1;
const OIF: u16 = 4;
const GATEWAY: u16 = 5;
const MULTIPATH: u16 = 9;
const NEXT_HOP_ID: u16 = 30;
const NHA_ID: u16 = 1;
const NHA_GROUP: u16 = 2;
const NHA_GATEWAY: u16 = 6;

/// Follows the gateway of each prefix of a table in the kernel's main table.
pub(super) struct Monitor {
    socket: OwnedFd,
    keys: Arc<Vec<Key>>,
    index: Index,
    /// The gateway held, 0 for none.
    now: Vec<u32>,
    want: Vec<u32>,
    wanted: usize,
    right: usize,
    wrong: usize,
    next_hops: HashMap<u32, u32>,
    /// Messages were dropped, so the table is to be read again.
    lost: bool,
    reading: bool,
    buffer: Vec<u8>,
}

impl AsRawFd for Monitor {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl Monitor {
    pub(super) fn new(socket: OwnedFd, keys: &[Key]) -> Monitor {
        Monitor {
            socket,
            keys: Arc::new(keys.to_vec()),
            index: Index::new(keys),
            now: vec![0; keys.len()],
            want: vec![0; keys.len()],
            wanted: 0,
            right: 0,
            wrong: 0,
            next_hops: HashMap::new(),
            lost: false,
            reading: false,
            buffer: vec![0; 1 << 20],
        }
    }

    /// From now on these gateways are wanted, 0 for no route.
    pub(super) fn expect(&mut self, want: Vec<u32>) {
        self.want = want;
        (self.wanted, self.right, self.wrong) = (0, 0, 0);
        for (now, want) in self.now.iter().zip(&self.want) {
            self.wanted += usize::from(*want != 0);
            self.right += usize::from(*want != 0 && now == want);
            self.wrong += usize::from(*now != 0 && now != want);
        }
    }

    pub(super) fn complete(&self) -> bool {
        self.right == self.wanted && self.wrong == 0 && !self.lost && !self.reading
    }

    pub(super) fn complaint(&self) -> String {
        let example = (0..self.keys.len()).find(|i| self.now[*i] != self.want[*i]);
        let example = example.map(|i| {
            let address = std::net::Ipv4Addr::from;
            let key = wire::text(self.keys[i]);
            format!("{key} via {}, not {}", address(self.now[i]), address(self.want[i]))
        });
        format!(
            "the kernel holds {} of {} routes, {} wrong; {}",
            self.right,
            self.wanted,
            self.wrong,
            example.unwrap_or_default()
        )
    }

    /// Takes in what the kernel has said since.
    pub(super) fn read(&mut self) -> Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        // Bounded, so that sessions are served too.
        for _ in 0..256 {
            match netlink::receive(self.socket.as_fd(), &mut buffer) {
                Ok(count) => {
                    let end = count.min(buffer.len());
                    messages(&buffer[..end], |kind, body| self.message(kind, body));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => self.lost = true,
                Err(error) => return Err(error).context("listen to the kernel"),
            }
        }
        self.buffer = buffer;
        if self.lost && !self.reading {
            self.ask()?;
        }
        Ok(())
    }

    /// Reads the whole table anew: what is not there any more is forgotten first. Serve the
    /// sessions until [`Monitor::complete`] says so.
    pub(super) fn ask(&mut self) -> Result<()> {
        self.lost = false;
        self.reading = true;
        self.now.fill(0);
        let want = std::mem::take(&mut self.want);
        self.expect(want);
        let mut out = Vec::new();
        // NLM_F_REQUEST | NLM_F_DUMP
        message(GET_ROUTE, 0x301, &mut out, |out| {
            out.extend_from_slice(&[2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        });
        netlink::send(self.socket.as_fd(), &out).context("ask the kernel for its routes")
    }

    fn message(&mut self, kind: u16, body: &[u8]) {
        match kind {
            NEW_ROUTE | DELETE_ROUTE => self.route(kind == NEW_ROUTE, body),
            NEW_NEXT_HOP => self.next_hop(body),
            DONE => self.reading = false,
            _ => {}
        }
    }

    fn route(&mut self, new: bool, body: &[u8]) {
        // rtmsg: family, destination length, …, table at 4.
        let Some(([family, length, _, _, table, ..], attributes)) = body.split_first_chunk::<12>()
        else {
            return;
        };
        if (*family, *table) != (2, MAIN) {
            return;
        }
        let (mut address, mut gateway) = (0, 0);
        each_attribute(attributes, |kind, value| match kind {
            DST => address = number(value),
            GATEWAY => gateway = number(value),
            // The first of several: rtnexthop is 8 bytes, its attributes follow.
            MULTIPATH => each_attribute(value.get(8..).unwrap_or_default(), |kind, value| {
                if kind == GATEWAY && gateway == 0 {
                    gateway = number(value);
                }
            }),
            NEXT_HOP_ID if gateway == 0 => {
                gateway = self.next_hops.get(&id(value)).copied().unwrap_or(u32::MAX);
            }
            _ => {}
        });
        let Some(prefix) = self.index.find(wire::key(address, *length)) else { return };
        let now = if new { gateway } else { 0 };
        let (before, want) = (std::mem::replace(&mut self.now[prefix], now), self.want[prefix]);
        self.right -= usize::from(want != 0 && before == want);
        self.wrong -= usize::from(before != 0 && before != want);
        self.right += usize::from(want != 0 && now == want);
        self.wrong += usize::from(now != 0 && now != want);
    }

    fn next_hop(&mut self, body: &[u8]) {
        let (mut own, mut gateway) = (0, None);
        each_attribute(body.get(8..).unwrap_or_default(), |kind, value| match kind {
            NHA_ID => own = id(value),
            NHA_GATEWAY => gateway = Some(number(value)),
            NHA_GROUP => gateway = self.next_hops.get(&id(value)).copied(),
            _ => {}
        });
        if let Some(gateway) = gateway {
            self.next_hops.insert(own, gateway);
        }
    }
}

fn number(value: &[u8]) -> u32 {
    value.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

fn id(value: &[u8]) -> u32 {
    value.first_chunk().map_or(0, |bytes| u32::from_ne_bytes(*bytes))
}

fn messages(mut bytes: &[u8], mut each: impl FnMut(u16, &[u8])) {
    while let Some(([l0, l1, l2, l3, t0, t1, ..], _)) = bytes.split_first_chunk::<16>() {
        let length = u32::from_ne_bytes([*l0, *l1, *l2, *l3]) as usize;
        let Some(body) = bytes.get(16..length) else { return };
        each(u16::from_ne_bytes([*t0, *t1]), body);
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
}

fn each_attribute(mut bytes: &[u8], mut each: impl FnMut(u16, &[u8])) {
    while let Some(([l0, l1, t0, t1], _)) = bytes.split_first_chunk::<4>() {
        let length = usize::from(u16::from_ne_bytes([*l0, *l1]));
        let Some(value) = bytes.get(4..length) else { return };
        each(u16::from_ne_bytes([*t0, *t1]) & 0x3fff, value);
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
}

fn message(kind: u16, flags: u16, out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&kind.to_ne_bytes());
    out.extend_from_slice(&flags.to_ne_bytes());
    out.extend_from_slice(&[0; 8]);
    body(out);
    let length = (out.len() - start) as u32;
    out[start..start + 4].copy_from_slice(&length.to_ne_bytes());
}

/// Writes routes as fast as the kernel takes them: many in a message, the last one acknowledged.
/// A route that is there already is replaced.
pub(super) fn write_raw(socket: &OwnedFd, keys: &[Key], gateways: &[u32], link: u32) -> Result<()> {
    let routes: Vec<_> = keys.iter().zip(gateways).filter(|(_, gateway)| **gateway != 0).collect();
    let chunks = routes.chunks(1_000);
    let last = chunks.len();
    for (number, chunk) in chunks.enumerate() {
        let mut out = Vec::with_capacity(chunk.len() * 60);
        for (place, (key, gateway)) in chunk.iter().enumerate() {
            let end = number + 1 == last && place + 1 == chunk.len();
            // NLM_F_REQUEST | NLM_F_REPLACE | NLM_F_CREATE, NLM_F_ACK for the last
            let flags = 0x501 | if end { 4 } else { 0 };
            message(NEW_ROUTE, flags, &mut out, |out| {
                out.extend_from_slice(&[2, wire::length(**key), 0, 0, MAIN, 4, 0, 1, 0, 0, 0, 0]);
                let attributes = [
                    (DST, wire::address(**key).to_be_bytes()),
                    (GATEWAY, gateway.to_be_bytes()),
                    (OIF, link.to_ne_bytes()),
                ];
                for (kind, value) in attributes {
                    out.extend_from_slice(&8_u16.to_ne_bytes());
                    out.extend_from_slice(&kind.to_ne_bytes());
                    out.extend_from_slice(&value);
                }
            });
        }
        netlink::send(socket.as_fd(), &out).context("write routes")?;
    }
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = match netlink::receive(socket.as_fd(), &mut buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                std::thread::yield_now();
                continue;
            }
            Err(error) => return Err(error).context("the answer to a route"),
        };
        let mut code = None;
        messages(&buffer[..count.min(1 << 16)], |kind, body| {
            if kind == ERROR {
                code = body.first_chunk().map(|bytes| i32::from_ne_bytes(*bytes));
            }
        });
        match code {
            Some(0) => return Ok(()),
            Some(code) => bail!("the kernel refuses a route: error {}", -code),
            None => {}
        }
    }
}
