//! Calls and the server with links in memory; and once with the kernel's.

mod calls;
mod real;
mod server;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex};

use cni_wire::{Allocate, Allocated, Attachment, Pod, Refusal, Request, Wire};
use inet::{Family, LinkName};
use kernel::pod::{Attached, End, HostLink, PodError, Record, gateway_for, host_name};
use node_plan::ipam::{Holder, NodeBlock, PoolChoice, PoolFacts};

use super::calls::Calls;
use super::links::Links;
use super::locks::Locks;
use super::*;

/// Links in memory; some may be told to fail.
#[derive(Default)]
pub(super) struct FakeLinks {
    links: Mutex<BTreeMap<LinkName, Option<Record>>>,
    fail: Mutex<bool>,
}

impl FakeLinks {
    fn put(&self, name: LinkName, record: Option<Record>) {
        self.links.lock().unwrap().insert(name, record);
    }

    fn forget(&self, container_id: &str) {
        self.links.lock().unwrap().remove(&host_name(container_id, "eth0"));
    }

    fn fail(&self, fail: bool) {
        *self.fail.lock().unwrap() = fail;
    }

    fn count(&self) -> usize {
        self.links.lock().unwrap().len()
    }
}

impl Links for FakeLinks {
    fn attach(&self, _: BorrowedFd<'_>, record: &Record, mtu: u32) -> Result<Attached, PodError> {
        if *self.fail.lock().unwrap() {
            return Err(PodError::InterfaceTaken(record.ifname.clone()));
        }
        let name = host_name(&record.container_id, &record.ifname);
        self.put(name, Some(record.clone()));
        let end = |name: &str| End { name: name.to_owned(), hardware: [2, 0, 0, 0, 0, 1], mtu };
        Ok(Attached {
            host: end(name.as_str()),
            pod: end(&record.ifname),
            gateways: record.addresses.iter().map(gateway_for).collect(),
        })
    }

    fn detach(&self, container_id: &str, ifname: &str) -> Result<bool, PodError> {
        if *self.fail.lock().unwrap() {
            return Err(PodError::Wrong("told to fail".into()));
        }
        Ok(self.links.lock().unwrap().remove(&host_name(container_id, ifname)).is_some())
    }

    fn check(&self, _: BorrowedFd<'_>, record: &Record) -> Result<(), PodError> {
        let name = host_name(&record.container_id, &record.ifname);
        match self.links.lock().unwrap().get(&name) {
            Some(Some(found)) if found == record => Ok(()),
            _ => Err(PodError::Wrong(format!("the node has no link {name}"))),
        }
    }

    fn list(&self) -> Result<Vec<HostLink>, PodError> {
        let links = self.links.lock().unwrap();
        Ok(links
            .iter()
            .map(|(name, record)| match record.clone() {
                Some(record) => HostLink::Recorded { name: *name, record },
                None => HostLink::HalfMade { name: *name },
            })
            .collect())
    }

    fn remove_half_made(&self, name: LinkName) -> Result<(), PodError> {
        self.links.lock().unwrap().remove(&name);
        Ok(())
    }

    fn uplink_mtu(&self) -> Result<u32, PodError> {
        Ok(1500)
    }
}

/// Pods take from the pool that their annotation names, or from the pool `default`; a pod named
/// `unknown` is never seen.
pub(super) struct FakePods;

impl PodSource for FakePods {
    async fn pools_of(&self, pod: &Pod) -> Result<Vec<PoolChoice>, Refusal> {
        if pod.name == "unknown" {
            std::future::pending::<()>().await;
        }
        let key = "sart.terassyi.net/addresspool";
        let named = pod.annotations.as_ref().and_then(|all| all.get(key)).cloned();
        let pool = named.unwrap_or_else(|| "default".into());
        Ok(vec![PoolChoice { pool, family: Family::Ipv4 }])
    }
}

fn attachment(id: &str) -> Attachment {
    Attachment { network: "sart-network".into(), container_id: id.into(), ifname: "eth0".into() }
}

fn add_from(id: &str, pool: Option<&str>) -> Request {
    let key = "sart.terassyi.net/addresspool".to_owned();
    let pod = Pod {
        namespace: "default".into(),
        name: id.into(),
        uid: None,
        annotations: pool.map(|pool| BTreeMap::from([(key, pool.to_owned())])),
    };
    Request::Add {
        attachment: attachment(id),
        allocate: Allocate { pod },
        wire: Some(Wire { netns: "/run/netns/x".into(), mtu: None }),
    }
}

fn add(id: &str) -> Request {
    add_from(id, None)
}

fn del(id: &str) -> Request {
    Request::Del { attachment: attachment(id) }
}

fn netns() -> Option<OwnedFd> {
    Some(kernel::netns::own().unwrap())
}

fn block(text: &str) -> NodeBlock {
    NodeBlock { prefix: text.parse().unwrap(), pool: "default".into() }
}

fn ips(allocated: Option<Allocated>) -> Vec<IpAddr> {
    allocated.unwrap().addresses.iter().map(|a| a.address).collect()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A directory of its own for a test's socket, removed at the end.
struct Dir(std::path::PathBuf);

impl Dir {
    fn new(name: &str) -> Dir {
        let dir = std::env::temp_dir().join(format!("sart-agent-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        Dir(dir)
    }

    fn config(&self) -> Config {
        Config { run_dir: self.0.clone() }
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
