//! Pods' links: the kernel's, and in tests a list in memory.

use std::os::fd::BorrowedFd;

use inet::LinkName;
use kernel::pod::{self, Attached, HostLink, PodError, Record};

/// What calls do to links. Everything blocks for some milliseconds.
pub(crate) trait Links: Send + Sync + 'static {
    fn attach(
        &self,
        netns: BorrowedFd<'_>,
        record: &Record,
        mtu: u32,
    ) -> Result<Attached, PodError>;
    fn detach(&self, container_id: &str, ifname: &str) -> Result<bool, PodError>;
    fn check(&self, netns: BorrowedFd<'_>, record: &Record) -> Result<(), PodError>;
    fn list(&self) -> Result<Vec<HostLink>, PodError>;
    fn remove_half_made(&self, name: LinkName) -> Result<(), PodError>;
    fn uplink_mtu(&self) -> Result<u32, PodError>;
}

/// The links of the namespace that this process is in.
pub(crate) struct KernelLinks;

impl Links for KernelLinks {
    fn attach(
        &self,
        netns: BorrowedFd<'_>,
        record: &Record,
        mtu: u32,
    ) -> Result<Attached, PodError> {
        pod::attach(netns, record, mtu)
    }

    fn detach(&self, container_id: &str, ifname: &str) -> Result<bool, PodError> {
        pod::detach(container_id, ifname)
    }

    fn check(&self, netns: BorrowedFd<'_>, record: &Record) -> Result<(), PodError> {
        pod::check(netns, record)
    }

    fn list(&self) -> Result<Vec<HostLink>, PodError> {
        pod::list()
    }

    fn remove_half_made(&self, name: LinkName) -> Result<(), PodError> {
        pod::remove_half_made(name)
    }

    fn uplink_mtu(&self) -> Result<u32, PodError> {
        pod::uplink_mtu()
    }
}
