//! The routes of one owner: written in batches, listed, removed.
//!
//! A route belongs to the [`Owner`] whose table, protocol id and metric it has. No other route is
//! ever changed: a deletion names all three, and a replacement takes the place of a route of the
//! same prefix, table and metric only (the route table writes none where that is a foreign one).
//!
//! ```no_run
//! # async fn agent() -> Result<(), kernel::routes::RouteError> {
//! use kernel::routes::{OwnRoutes, Owner};
//! let blocks = OwnRoutes::open(Owner::BLOCKS, &[])?;
//! blocks.set_unreachable("10.1.0.0/29".parse().unwrap()).await?;
//! let found = blocks.list().await?;
//! blocks.remove("10.1.0.0/29".parse().unwrap()).await?;
//! # Ok(()) }
//! ```

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use inet::{Family, Prefix};
use route_table::{
    Action, Change, Errno, KernelObject, KernelRoute, KernelTarget, ObjectAction, ObjectChange,
    ObjectContent, ObjectIds, Write,
};

use crate::message;
use crate::nexthop;
use crate::protocol;
use crate::socket::{self, Netlink};
use crate::wire::Writer;

/// The table that the kernel looks routes up in by default.
pub const TABLE_MAIN: u32 = 254;

/// The most messages in one datagram: their answers must fit into the socket's buffer.
const BATCH_MESSAGES: usize = 128;
/// The most bytes in one datagram, well below the socket's send buffer.
const BATCH_BYTES: usize = 64 * 1024;

/// Next-hop objects of one table: 2^18, in 2^12 tables.
const OBJECT_BITS: u32 = 18;
const OBJECT_TABLE_BITS: u32 = 12;

/// Whose routes: by these three numbers they are told from all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The kernel's table, 1 to 2^32 - 1.
    pub table: u32,
    /// The protocol id, as `ip route` shows it behind `proto`.
    pub protocol: u8,
    /// The metric of all its routes. For the same prefix the kernel takes the lowest.
    pub metric: u32,
}

impl Owner {
    /// The router. Its metric is over 1024, the default of IPv6, so that routes put there by hand
    /// or by the kernel win.
    pub const ROUTER: Owner = Owner { table: TABLE_MAIN, protocol: protocol::BGP, metric: 4271 };

    /// The `unreachable` routes of this node's blocks. Their metric tells them from the agent's
    /// routes to its pods (which is better: a block may be of one address), and is below the router's.
    pub const BLOCKS: Owner = Owner { table: TABLE_MAIN, protocol: protocol::AGENT, metric: 1024 };

    /// `sartd fib`: routes of other programs. It may run beside the router, which wins ties.
    pub const FIB: Owner = Owner { table: TABLE_MAIN, protocol: protocol::FIB, metric: 4272 };

    /// The numbers that this owner's next-hop objects have in this table; none: it makes none. Each
    /// table has its own, so that what is found at a start is known to be of one table. Tables of
    /// 4096 and above get none: their routes carry their legs themselves.
    pub const fn object_ids(self) -> Option<ObjectIds> {
        let base: u32 = match self.protocol {
            protocol::BGP => 0x4000_0000,
            protocol::FIB => 0x8000_0000,
            _ => return None,
        };
        if self.table >= 1 << OBJECT_TABLE_BITS {
            return None;
        }
        let first = base + (self.table << OBJECT_BITS);
        Some(ObjectIds { first, last: first + (1 << OBJECT_BITS) - 1 })
    }

    /// The same owner's routes in another table.
    pub const fn in_table(self, table: u32) -> Owner {
        Owner { table, ..self }
    }
}

/// Why a route could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    /// Netlink itself failed.
    #[error("netlink")]
    Netlink(#[from] io::Error),
    /// The kernel refused this route.
    #[error("the kernel refused the route {prefix}")]
    Refused {
        /// The route.
        prefix: Prefix,
        /// Why.
        source: io::Error,
    },
}

/// The routes of one owner. Clones share one socket; batches go one after another.
#[derive(Clone, Debug)]
pub struct OwnRoutes {
    owner: Owner,
    writer: Arc<Mutex<RouteWriter>>,
}

impl OwnRoutes {
    /// Opens a socket in the calling thread's network namespace. `sources` are the source addresses
    /// that routes shall prefer, at most one counts per family.
    pub fn open(owner: Owner, sources: &[IpAddr]) -> Result<OwnRoutes, RouteError> {
        let writer = RouteWriter::open(owner, sources)?;
        Ok(OwnRoutes { owner, writer: Arc::new(Mutex::new(writer)) })
    }

    /// Whose they are.
    pub fn owner(&self) -> Owner {
        self.owner
    }

    /// Writes changes in order, on a thread that may block; one result for each, in order.
    pub async fn apply(&self, changes: Vec<Change>) -> Vec<Result<(), Errno>> {
        let count = changes.len();
        let applied = self.blocking(move |writer| Ok(writer.apply(&changes))).await;
        // The thread is gone only when the runtime is: nothing more is known of any of them.
        applied.unwrap_or_else(|_| vec![Err(Errno(libc::EINTR)); count])
    }

    /// Writes changes of routes and next-hop objects in order; see [`OwnRoutes::apply`].
    pub async fn write(&self, writes: Vec<Write>) -> Vec<Result<(), Errno>> {
        let count = writes.len();
        let written = self.blocking(move |writer| Ok(writer.write(&writes))).await;
        written.unwrap_or_else(|_| vec![Err(Errno(libc::EINTR)); count])
    }

    /// All next-hop objects of this owner; none also where the kernel knows no such thing.
    pub async fn objects(&self) -> Result<Vec<KernelObject>, RouteError> {
        Ok(self.blocking(RouteWriter::objects).await?)
    }

    /// All routes of this owner.
    pub async fn list(&self) -> Result<Vec<KernelRoute>, RouteError> {
        Ok(self.blocking(RouteWriter::list).await?)
    }

    /// Drops packets to a prefix and tells their senders.
    pub async fn set_unreachable(&self, prefix: Prefix) -> Result<(), RouteError> {
        let action = Action::Replace(KernelTarget::Unreachable);
        self.one(Change { prefix, action }).await
    }

    /// Removes this owner's route of a prefix; none there is success.
    pub async fn remove(&self, prefix: Prefix) -> Result<(), RouteError> {
        self.one(Change { prefix, action: Action::Delete }).await
    }

    /// Removes all routes of this owner, then its next-hop objects; tells how many routes.
    pub async fn remove_all(&self) -> Result<usize, RouteError> {
        let removed = self.remove_routes().await?;
        self.remove_objects().await?;
        Ok(removed)
    }

    /// Removes all next-hop objects of this table; the kernel removes with them what still names one.
    pub async fn remove_objects(&self) -> Result<(), RouteError> {
        Ok(self.blocking(RouteWriter::remove_objects).await?)
    }

    /// Removes all routes of this owner and leaves its next-hop objects, which are those of a whole
    /// table: other routes in it may use them. Tells how many.
    pub async fn remove_routes(&self) -> Result<usize, RouteError> {
        let routes = self.list().await?;
        let prefixes: Vec<Prefix> = routes.iter().map(|route| route.prefix).collect();
        let delete = |prefix: &Prefix| Change { prefix: *prefix, action: Action::Delete };
        let results = self.apply(prefixes.iter().map(delete).collect()).await;
        for (prefix, result) in prefixes.iter().zip(results) {
            result.map_err(|errno| refused(*prefix, errno))?;
        }
        Ok(prefixes.len())
    }

    pub(crate) fn port(&self) -> u32 {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).netlink.port
    }

    async fn one(&self, change: Change) -> Result<(), RouteError> {
        let prefix = change.prefix;
        match self.apply(vec![change]).await.pop() {
            Some(Err(errno)) => Err(refused(prefix, errno)),
            Some(Ok(())) | None => Ok(()),
        }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut RouteWriter) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let writer = Arc::clone(&self.writer);
        let task = tokio::task::spawn_blocking(move || {
            work(&mut writer.lock().unwrap_or_else(PoisonError::into_inner))
        });
        task.await.map_err(io::Error::other)?
    }
}

/// Removes all routes of these owners, in whichever table they are; tells how many.
pub async fn cleanup(owners: &[Owner]) -> Result<usize, RouteError> {
    let mut removed = 0;
    for owner in owners {
        let mut tables: Vec<u32> = Vec::new();
        let everywhere = OwnRoutes::open(owner.in_table(0), &[])?;
        tables.extend(everywhere.list().await?.iter().map(|route| route.table));
        tables.sort_unstable();
        tables.dedup();
        for table in tables {
            removed += OwnRoutes::open(owner.in_table(table), &[])?.remove_all().await?;
        }
        // Of whichever table: its routes are gone.
        everywhere.blocking(RouteWriter::remove_objects).await?;
    }
    Ok(removed)
}

fn refused(prefix: Prefix, errno: Errno) -> RouteError {
    RouteError::Refused { prefix, source: io::Error::from_raw_os_error(errno.0) }
}

/// The same without a runtime: each call blocks until the kernel has answered.
#[derive(Debug)]
pub struct RouteWriter {
    owner: Owner,
    sources: Vec<IpAddr>,
    netlink: Netlink,
    out: Writer,
    sequence: u32,
}

impl RouteWriter {
    /// Opens a socket in the calling thread's network namespace; see [`OwnRoutes::open`].
    pub fn open(owner: Owner, sources: &[IpAddr]) -> io::Result<RouteWriter> {
        let netlink = Netlink::open()?;
        netlink.socket.set_netlink_get_strict_chk(true)?;
        netlink.set_receive_buffer(1 << 20)?;
        let (out, sources) = (Writer::default(), sources.to_vec());
        Ok(RouteWriter { owner, sources, netlink, out, sequence: 0 })
    }

    /// Writes changes in order; one result for each, in order. "Already so" is success.
    pub fn apply(&mut self, changes: &[Change]) -> Vec<Result<(), Errno>> {
        self.each(changes, |writer, change| writer.encode_route(change), route_verdict)
    }

    /// Writes changes of routes and next-hop objects in order, likewise.
    pub fn write(&mut self, writes: &[Write]) -> Vec<Result<(), Errno>> {
        let encode = |writer: &mut RouteWriter, write: &Write| match write {
            Write::Route(change) => writer.encode_route(change),
            Write::Object(change) => {
                nexthop::write_change(&mut writer.out, writer.sequence, &writer.owner, change);
            }
        };
        self.each(writes, encode, |write, errno| match write {
            Write::Route(change) => route_verdict(change, errno),
            Write::Object(change) => object_verdict(change, errno),
        })
    }

    fn each<W>(
        &mut self,
        writes: &[W],
        encode: impl Fn(&mut RouteWriter, &W),
        verdict: impl Fn(&W, i32) -> Result<(), Errno>,
    ) -> Vec<Result<(), Errno>> {
        if self.owner.table == 0 {
            // To the kernel this is the main table, to us none.
            return vec![Err(Errno(libc::EINVAL)); writes.len()];
        }
        let mut results = Vec::with_capacity(writes.len());
        let mut rest = writes;
        while !rest.is_empty() {
            let (first, count) = self.fill(rest, &encode);
            let (batch, after) = rest.split_at(count);
            results.extend(self.send(first, batch, &verdict));
            rest = after;
        }
        results
    }

    fn encode_route(&mut self, change: &Change) {
        let (owner, sources) = (&self.owner, &self.sources);
        message::write_change(&mut self.out, self.sequence, owner, sources, change);
    }

    /// All next-hop objects of this owner (of all tables if its table is 0).
    pub fn objects(&mut self) -> io::Result<Vec<KernelObject>> {
        let Owner { table, protocol, .. } = self.owner;
        let Some(ids) = self.owner.object_ids() else {
            return Ok(Vec::new());
        };
        let all = 1 << (OBJECT_BITS + OBJECT_TABLE_BITS);
        let last = if table == 0 { ids.first + (all - 1) } else { ids.last };
        let ids = ObjectIds { last, ..ids };
        let ours = |object: &KernelObject| object.protocol == protocol && ids.contains(object.id);
        Ok(self.netlink.objects()?.unwrap_or_default().into_iter().filter(ours).collect())
    }

    /// Removes all of them, groups first; they may have no routes any more.
    fn remove_objects(&mut self) -> io::Result<()> {
        let mut objects = self.objects()?;
        objects.sort_by_key(|object| !matches!(object.content, ObjectContent::Group(_)));
        let delete = |object: &KernelObject| {
            Write::from(ObjectChange { id: object.id, action: ObjectAction::Delete })
        };
        let writes: Vec<Write> = objects.iter().map(delete).collect();
        match self.write(&writes).into_iter().find_map(Result::err) {
            Some(errno) => Err(io::Error::from_raw_os_error(errno.0)),
            None => Ok(()),
        }
    }

    /// All routes of this owner (of all tables if its table is 0).
    pub fn list(&mut self) -> io::Result<Vec<KernelRoute>> {
        let Owner { table, protocol, metric } = self.owner;
        let mut all = Vec::new();
        for family in Family::ALL {
            let number = message::family_number(family);
            all.extend(self.netlink.dump(message::GET_ROUTE, number, table, |message| {
                message::route(message.payload)
                    .filter(|route| (route.protocol, route.metric) == (protocol, metric))
                    .filter(|route| table == 0 || route.table == table)
            })?);
        }
        Ok(all)
    }

    /// Encodes as many writes as one datagram takes: the first one's number, and how many.
    fn fill<W>(&mut self, writes: &[W], encode: &impl Fn(&mut RouteWriter, &W)) -> (u32, usize) {
        self.out.clear();
        let first = self.sequence;
        let mut count = 0;
        for write in writes.iter().take(BATCH_MESSAGES) {
            if count > 0 && self.out.len() > BATCH_BYTES {
                break;
            }
            encode(self, write);
            self.sequence = self.sequence.wrapping_add(1);
            count += 1;
        }
        // Refusals are answered in any case; the last message's answer says that all are done.
        self.out.add_flags(message::F_ACK);
        (first, count)
    }

    /// Sends what was encoded. The kernel works it off before `send` returns, so that all answers
    /// are there to be read.
    fn send<W>(
        &mut self,
        first: u32,
        batch: &[W],
        verdict: &impl Fn(&W, i32) -> Result<(), Errno>,
    ) -> Vec<Result<(), Errno>> {
        let unknown = |errno: i32| vec![Err(Errno(errno)); batch.len()];
        if let Err(error) = self.netlink.send(self.out.bytes()) {
            return unknown(error.raw_os_error().unwrap_or(libc::EIO));
        }
        let mut results = vec![Ok(()); batch.len()];
        let (mut done, mut lost) = (false, None);
        loop {
            let read = self.netlink.receive(libc::MSG_DONTWAIT, |message| {
                let at = message.sequence.wrapping_sub(first) as usize;
                let (Some(result), Some(write)) = (results.get_mut(at), batch.get(at)) else {
                    return;
                };
                done |= at + 1 == batch.len();
                if message.kind == socket::ERROR {
                    *result = verdict(write, socket::error_number(&message));
                }
            });
            match read {
                Ok(true) => {}
                Ok(false) => break,
                // Answers were lost: which ones, nobody knows.
                Err(error) => lost = Some(error.raw_os_error().unwrap_or(libc::EIO)),
            }
        }
        match (lost, done) {
            (Some(errno), _) => unknown(errno),
            (None, false) => unknown(libc::ENOBUFS),
            (None, true) => results,
        }
    }
}

/// An answer to a route's change: what is already so is success.
fn route_verdict(change: &Change, errno: i32) -> Result<(), Errno> {
    match (&change.action, errno) {
        (_, 0) => Ok(()),
        (Action::Replace(_) | Action::Via(_), libc::EEXIST) => Ok(()),
        (Action::Delete, libc::ESRCH | libc::ENOENT) => Ok(()),
        (Action::Replace(_) | Action::Via(_) | Action::Delete, errno) => Err(Errno(errno)),
    }
}

/// The same of an object's. One that was to be new and is there already is somebody else's.
fn object_verdict(change: &ObjectChange, errno: i32) -> Result<(), Errno> {
    match (&change.action, errno) {
        (_, 0) => Ok(()),
        (ObjectAction::Delete, libc::ENOENT) => Ok(()),
        (ObjectAction::Create(_) | ObjectAction::Replace(_) | ObjectAction::Delete, errno) => {
            Err(Errno(errno))
        }
    }
}
