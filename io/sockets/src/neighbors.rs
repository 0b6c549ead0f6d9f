//! Finds the neighbors on links without addresses by router advertisements.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use inet::{LinkName, Timestamp};
use libc::c_int;
use neighbor_discovery::{Discovery, Input, Output};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::message::{receive, tell_way, watch};
use crate::options::{has_carrier, link_index, set, set_int};
use crate::sockets::MAX_TTL;

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);

/// `ICMPV6_FILTER` of linux/icmpv6.h, and the two types that pass it.
const ICMPV6_FILTER: c_int = 1;
const SOLICITATION: usize = 133;
const ADVERTISEMENT: usize = 134;

/// How often a link that is not there or has no carrier is looked at again.
const AGAIN: Duration = Duration::from_secs(1);

/// Words that may wait for the owner.
const WAITING: usize = 64;

/// What is longer than a link's MTU of most is cut off, and then malformed.
const LONGEST: usize = 2048;

/// What is known of the neighbor on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The link.
    pub interface: LinkName,
    /// Its index when this was found.
    pub link: u32,
    /// The neighbor's link-local address, or that there is none now.
    pub neighbor: Option<Ipv6Addr>,
}

/// The search on all unnumbered links. Dropping it ends it.
#[derive(Debug)]
pub struct Neighbors {
    events: mpsc::Sender<Found>,
    tasks: BTreeMap<LinkName, JoinHandle<()>>,
}

impl Neighbors {
    /// No links yet.
    pub fn new() -> (Neighbors, mpsc::Receiver<Found>) {
        let (events, receiver) = mpsc::channel(WAITING);
        (Neighbors { events, tasks: BTreeMap::new() }, receiver)
    }

    /// Searches on these links and on no others. A link that is not there is waited for; of one
    /// that is given up nothing more is told. Needs `CAP_NET_RAW`.
    pub fn search(&mut self, links: &BTreeSet<LinkName>) {
        self.tasks.retain(|link, task| {
            let stays = links.contains(link);
            if !stays {
                task.abort();
            }
            stays
        });
        for link in links {
            let events = self.events.clone();
            self.tasks.entry(*link).or_insert_with(|| tokio::spawn(run(*link, events)));
        }
    }
}

impl Drop for Neighbors {
    fn drop(&mut self) {
        for task in self.tasks.values() {
            task.abort();
        }
    }
}

/// Searches on a link until it is aborted; begins anew when the link is lost.
async fn run(interface: LinkName, events: mpsc::Sender<Found>) {
    let mut said = None;
    loop {
        if let Some(link) = link_index(interface) {
            let ended = match open(interface, link) {
                Ok(socket) => search(interface, link, &socket, &events).await,
                Err(error) => Ended::Broken(error),
            };
            match ended {
                Ended::Unwanted => return,
                Ended::Broken(error) => {
                    let text = error.to_string();
                    if said.as_ref() != Some(&text) {
                        tracing::warn!(%interface, %error, "cannot search for a neighbor");
                        said = Some(text);
                    }
                }
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}

enum Ended {
    /// Nobody listens any more.
    Unwanted,
    /// The link or the socket is lost.
    Broken(io::Error),
}

async fn search(
    interface: LinkName,
    link: u32,
    socket: &AsyncFd<Socket>,
    events: &mpsc::Sender<Found>,
) -> Ended {
    let start = Instant::now();
    let now = || Timestamp::from_elapsed(start.elapsed());
    let mut discovery = Discovery::new(RandomState::new().hash_one(link));
    let mut up = false;
    let mut buffer = [0; LONGEST];
    let mut broken = None;
    let mut known = None;
    loop {
        let carrier = has_carrier(socket.get_ref(), interface);
        if carrier != up {
            up = carrier;
            let _ = discovery.handle(now(), if up { Input::LinkUp } else { Input::LinkDown });
        }
        discovery.tick(now());
        while let Some(output) = discovery.poll() {
            let sent = match output {
                Output::Advertise(bytes) => send(socket, link, ALL_NODES, &bytes),
                Output::Solicit(bytes) => send(socket, link, ALL_ROUTERS, &bytes),
                Output::Neighbor(neighbor) => {
                    known = neighbor;
                    if events.send(Found { interface, link, neighbor }).await.is_err() {
                        return Ended::Unwanted;
                    }
                    Ok(())
                }
            };
            match sent {
                Ok(()) => {}
                Err(error) if is_early(&error) => {
                    let _ = discovery.handle(now(), Input::Unsent);
                }
                Err(error) => broken = Some(error),
            }
        }
        if link_index(interface) != Some(link) {
            broken = Some(io::Error::other("the interface is gone"));
        }
        if let Some(error) = broken {
            if known.is_some() {
                let lost = Found { interface, link, neighbor: None };
                if events.send(lost).await.is_err() {
                    return Ended::Unwanted;
                }
            }
            return Ended::Broken(error);
        }
        let wake = discovery.wake_at().map_or(AGAIN, |at| at.since(now())).min(AGAIN);
        tokio::select! {
            ready = socket.readable() => {
                let Ok(mut ready) = ready else {
                    return Ended::Broken(io::Error::other("the runtime ends"));
                };
                let read = ready.try_io(|socket| receive(socket.get_ref(), &mut buffer));
                if let Ok(Ok(Some(way))) = read
                    && let SocketAddr::V6(remote) = way.remote
                    && way.link == link
                {
                    let bytes = buffer.get(..way.len).unwrap_or_default();
                    let source = *remote.ip();
                    let input = Input::Packet { bytes, source, hop_limit: way.ttl };
                    if let Err(ignored) = discovery.handle(now(), input) {
                        tracing::debug!(%interface, %source, %ignored, "router discovery");
                    }
                } else if let Ok(Err(error)) = read {
                    broken = Some(error);
                }
            }
            () = tokio::time::sleep(wake) => {}
        }
    }
}

/// Whether the link has no address to send from yet, or no carrier.
fn is_early(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EADDRNOTAVAIL | libc::ENETUNREACH | libc::ENETDOWN | libc::ENOBUFS)
    )
}

fn send(socket: &AsyncFd<Socket>, link: u32, to: Ipv6Addr, bytes: &[u8]) -> io::Result<()> {
    let to = SocketAddr::from(SocketAddrV6::new(to, 0, 0, link));
    socket.get_ref().send_to(bytes, &to.into()).map(drop)
}

fn open(interface: LinkName, link: u32) -> io::Result<AsyncFd<Socket>> {
    let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6))?;
    socket.set_nonblocking(true)?;
    // A set bit blocks its type.
    let mut filter = [0xFF_FF_FF_FF_u32; 8];
    for kind in [SOLICITATION, ADVERTISEMENT] {
        if let Some(word) = filter.get_mut(kind / 32) {
            *word &= !(1 << (kind % 32));
        }
    }
    let filter: Vec<u8> = filter.into_iter().flat_map(u32::to_ne_bytes).collect();
    set(&socket, libc::IPPROTO_ICMPV6, ICMPV6_FILTER, &filter)?;
    socket.bind_device(Some(interface.as_str().as_bytes()))?;
    tell_way(&socket, false)?;
    socket.set_multicast_hops_v6(MAX_TTL)?;
    socket.set_multicast_loop_v6(false)?;
    let index = c_int::try_from(link).map_err(io::Error::other)?;
    set_int(&socket, libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_IF, index)?;
    for group in [ALL_NODES, ALL_ROUTERS] {
        match socket.join_multicast_v6(&group, link) {
            // The kernel is in the group of all nodes by itself.
            Err(error) if error.raw_os_error() != Some(libc::EADDRINUSE) => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    watch(socket)
}
