//! What each CNI command does.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use cni_wire::{
    Allocate, Allocated, AllocatedAddress, Attachment, Done, Link, Refusal, Request, Wire, Wired,
};
use kernel::pod::{Attached, End, PodError};
use node_plan::ipam::{self, Assigned, Holder, PoolChoice};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{debug, info};

use super::links::Links;
use super::locks::Locks;
use super::{Books, PodSource, books, code, refusal, refuse, try_later};

/// For how long a call waits for another call of the same container.
const LOCK: Duration = Duration::from_secs(15);
/// For how long the pod's pools are waited for.
const POOLS: Duration = Duration::from_secs(8);
/// For how long a block is waited for. All three together are less than the plugin waits.
const ROOM: Duration = Duration::from_secs(10);
/// How many calls may change links at once: the kernel does one after another anyway.
const KERNEL: usize = 8;
/// How many calls may wait for a block at once, so that others are still served.
const WAITING: usize = 96;

/// Serves calls. Clones serve from the same books.
pub(super) struct Calls<P, L> {
    books: Books,
    pods: Arc<P>,
    links: Arc<L>,
    locks: Locks,
    kernel: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl<P, L> Clone for Calls<P, L> {
    fn clone(&self) -> Calls<P, L> {
        Calls {
            books: self.books.clone(),
            pods: self.pods.clone(),
            links: self.links.clone(),
            locks: self.locks.clone(),
            kernel: self.kernel.clone(),
            waiting: self.waiting.clone(),
        }
    }
}

impl<P: PodSource, L: Links> Calls<P, L> {
    pub(super) fn new(books: Books, pods: Arc<P>, links: Arc<L>, locks: Locks) -> Calls<P, L> {
        let kernel = Arc::new(Semaphore::new(KERNEL));
        let waiting = Arc::new(Semaphore::new(WAITING));
        Calls { books, pods, links, locks, kernel, waiting }
    }

    /// Does what is asked; whatever happens, it comes to an end.
    pub(super) async fn serve(
        &self,
        request: Request,
        netns: Option<OwnedFd>,
    ) -> Result<Done, Refusal> {
        match request {
            Request::Add { attachment, allocate, wire: Some(wire) } => {
                let netns = present(netns)?;
                self.add(holder(&attachment), allocate, wire, netns).await
            }
            Request::Add { wire: None, .. } => {
                Err(refuse("allocate-alone", "addresses without a link are not given yet"))
            }
            Request::Del { attachment } => self.del(holder(&attachment)).await,
            Request::Check { attachment, addresses } => {
                let netns = present(netns)?;
                self.check(holder(&attachment), addresses, netns).await
            }
            // Whoever answers at all can serve; a full pool is no reason to take a node away.
            Request::Status {} => Ok(Done::default()),
        }
    }

    async fn add(
        &self,
        holder: Holder,
        Allocate { pod }: Allocate,
        wire: Wire,
        netns: OwnedFd,
    ) -> Result<Done, Refusal> {
        let _guard = self.lock(&holder).await?;
        let held_before = self.books.held_by(&holder);
        let assigned = match held_before.clone() {
            // Again, or after a restart: what it has is what it keeps.
            Some(assigned) => assigned,
            None => {
                let pools =
                    timeout(POOLS, self.pods.pools_of(&pod)).await.unwrap_or_else(|_| {
                        let name = format!("{}/{}", pod.namespace, pod.name);
                        Err(try_later("pod-unknown", format!("nothing is known of pod {name} yet")))
                    })?;
                self.allocate(&holder, &pools).await?
            }
        };
        let record = books::record(&holder, &assigned);
        let attached = self
            .kernel(move |links| {
                let mtu = wire.mtu.map_or_else(|| links.uplink_mtu(), Ok)?;
                links.attach(netns.as_fd(), &record, mtu)
            })
            .await;
        match attached {
            Ok(attached) => {
                let addresses: Vec<_> = assigned.iter().map(|a| a.address.to_string()).collect();
                info!(
                    namespace = pod.namespace,
                    pod = pod.name,
                    addresses = addresses.join(","),
                    link = attached.host.name,
                    "pod attached"
                );
                Ok(done(assigned, attached))
            }
            Err(refusal) => {
                // The link is gone with the failure, and so is the reason to hold its addresses;
                // but a link from before may still be there.
                if held_before.is_none() {
                    self.books.release(&holder);
                }
                Err(refusal)
            }
        }
    }

    async fn del(&self, holder: Holder) -> Result<Done, Refusal> {
        let _guard = self.lock(&holder).await?;
        let Holder { container_id, ifname } = holder.clone();
        let was_there = self.kernel(move |links| links.detach(&container_id, &ifname)).await?;
        // Only now: until the link is gone, its addresses are in use.
        let freed = self.books.release(&holder);
        let addresses: Vec<_> = freed.iter().map(|a| a.address.to_string()).collect();
        let container = holder.container_id;
        match was_there || !freed.is_empty() {
            true => info!(container, addresses = addresses.join(","), "pod detached"),
            false => debug!(container, "nothing to detach"),
        }
        Ok(Done::default())
    }

    async fn check(
        &self,
        holder: Holder,
        addresses: Vec<IpAddr>,
        netns: OwnedFd,
    ) -> Result<Done, Refusal> {
        let _guard = self.lock(&holder).await?;
        let Some(assigned) = self.books.held_by(&holder) else {
            let message = format!("container {} has no addresses", holder.container_id);
            return Err(refusal(code::UNKNOWN_CONTAINER, "unknown-container", message));
        };
        let expected: BTreeSet<IpAddr> = addresses.into_iter().collect();
        let held: BTreeSet<IpAddr> = assigned.iter().map(|a| a.address).collect();
        if expected != held {
            let message = format!("the container has {held:?}, not {expected:?}");
            return Err(refuse("not-as-attached", message));
        }
        let record = books::record(&holder, &assigned);
        self.kernel(move |links| links.check(netns.as_fd(), &record)).await?;
        Ok(Done::default())
    }

    /// Addresses now, or as soon as a block has room, or the books have heard of a new pool.
    async fn allocate(
        &self,
        holder: &Holder,
        pools: &[PoolChoice],
    ) -> Result<Vec<Assigned>, Refusal> {
        let deadline = Instant::now() + ROOM;
        let mut room = self.books.room();
        let mut permit = None;
        loop {
            room.mark_unchanged();
            let refusal = match self.books.allocate(holder, pools) {
                Ok(assigned) => return Ok(assigned),
                Err(refusal) => refusal,
            };
            if refusal == ipam::Refusal::NoPool {
                return Err(worded(&refusal));
            }
            if permit.is_none() {
                permit = self.waiting.clone().try_acquire_owned().ok();
            }
            let told = match permit {
                Some(_) => timeout_at(deadline, room.changed()).await.is_ok(),
                // Too many wait already.
                None => false,
            };
            if !told {
                self.books.stop_waiting(holder);
                return Err(worded(&refusal));
            }
        }
    }

    async fn lock(&self, holder: &Holder) -> Result<super::locks::Guard, Refusal> {
        timeout(LOCK, self.locks.lock(holder))
            .await
            .map_err(|_| try_later("container-busy", "another call is at the same container"))
    }

    /// Work in the kernel, on a thread that may block. It is never given up half way.
    async fn kernel<T: Send + 'static>(
        &self,
        work: impl FnOnce(&L) -> Result<T, PodError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let _permit = self.kernel.acquire().await;
        let links = self.links.clone();
        match tokio::task::spawn_blocking(move || work(&links)).await {
            Ok(result) => result.map_err(|error| in_kernel(&error)),
            Err(_) => Err(refusal(code::KERNEL, "kernel", "the work on the link failed")),
        }
    }
}

fn holder(attachment: &Attachment) -> Holder {
    Holder { container_id: attachment.container_id.clone(), ifname: attachment.ifname.clone() }
}

fn present(netns: Option<OwnedFd>) -> Result<OwnedFd, Refusal> {
    netns.ok_or_else(|| {
        refusal(code::ENVIRONMENT, "no-namespace", "no namespace came with the request")
    })
}

fn done(assigned: Vec<Assigned>, Attached { host, pod, gateways }: Attached) -> Done {
    let addresses = assigned
        .into_iter()
        .map(|Assigned { address, pool }| AllocatedAddress { address, pool })
        .collect();
    let link = |end: End| Link { mac: end.mac(), name: end.name, mtu: end.mtu };
    Done {
        allocated: Some(Allocated { addresses }),
        wired: Some(Wired { host: link(host), pod: link(pod), gateways }),
    }
}

fn worded(refusal: &ipam::Refusal) -> Refusal {
    match refusal {
        ipam::Refusal::NoRoom { .. } | ipam::Refusal::Exhausted { .. } => {
            try_later(refusal.name(), refusal.to_string())
        }
        ipam::Refusal::UnknownPool { .. } | ipam::Refusal::NoPool => {
            refuse(refusal.name(), refusal.to_string())
        }
    }
}

fn in_kernel(error: &PodError) -> Refusal {
    let code = match error {
        PodError::NoNamespace | PodError::OwnNamespace => code::ENVIRONMENT,
        PodError::Wrong(_) | PodError::InterfaceTaken(_) | PodError::LinkTaken(_) => code::REFUSED,
        PodError::Record(_) => code::REFUSED,
        PodError::Sysctl(_) | PodError::Kernel { .. } => code::KERNEL,
    };
    let mut refusal = refusal(code, error.name(), error.to_string());
    refusal.details = std::error::Error::source(error).map(ToString::to_string);
    refusal
}
