//! What happens, for those who watch: one bounded ring for all of them.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::{broadcast, watch};

use crate::v1::{self, event::What};

/// Events that a watcher may be behind; then it misses the oldest.
const RING: usize = 4096;

/// Where the router tells of what happens. Cheap to clone; without a watcher nothing is kept.
#[derive(Clone, Debug)]
pub struct Events {
    ring: broadcast::Sender<Arc<v1::Event>>,
    /// Watchers of best paths: they alone make a word of each change worth its cost.
    of_best: Arc<watch::Sender<usize>>,
}

/// What one watcher wants to hear of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    sessions: bool,
    best: bool,
    conditions: bool,
    within: Option<Net>,
    neighbor: Option<Named>,
}

/// A prefix: this crate has no words of routing of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Net {
    bits: u128,
    len: u8,
    ipv4: bool,
}

/// A neighbor as people name it: of a link-local address with its link, or on any.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Named {
    address: IpAddr,
    link: Option<String>,
}

/// One watcher's end of the ring.
pub(crate) struct Watcher {
    ring: broadcast::Receiver<Arc<v1::Event>>,
    wanted: Wanted,
    /// Counted among the watchers of best paths until it is dropped.
    of_best: Option<Arc<watch::Sender<usize>>>,
}

impl Events {
    pub(crate) fn new() -> Events {
        Events { ring: broadcast::Sender::new(RING), of_best: Arc::default() }
    }

    /// Whether anybody would hear of a session or a condition.
    pub fn is_watched(&self) -> bool {
        self.ring.receiver_count() > 0
    }

    /// How many would hear of a change of best paths.
    pub fn best_watchers(&self) -> watch::Receiver<usize> {
        self.of_best.subscribe()
    }

    /// Tells all who watch.
    pub fn tell(&self, at: u64, what: What) {
        if self.is_watched() {
            // Nobody is left to hear it: no error.
            let _ = self.ring.send(Arc::new(v1::Event { at, what: Some(what) }));
        }
    }

    pub(crate) fn watch(&self, wanted: Wanted) -> Watcher {
        let of_best = wanted.best.then(|| Arc::clone(&self.of_best));
        if let Some(count) = &of_best {
            count.send_modify(|count| *count += 1);
        }
        Watcher { ring: self.ring.subscribe(), wanted, of_best }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        if let Some(count) = &self.of_best {
            count.send_modify(|count| *count -= 1);
        }
    }
}

impl Watcher {
    /// The next event that is wanted, or how many were missed; none when the router goes.
    pub(crate) async fn next(&mut self) -> Option<v1::Event> {
        loop {
            match self.ring.recv().await {
                Ok(event) if self.wanted.covers(&event) => return Some(v1::Event::clone(&event)),
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(count)) => {
                    let what = Some(What::Missed(v1::Missed { count }));
                    return Some(v1::Event { at: 0, what });
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

impl Wanted {
    /// Reads a request; says what is wrong with it.
    pub(crate) fn new(request: &v1::WatchRequest) -> Result<Wanted, String> {
        let mut wanted = Wanted::default();
        for kind in &request.kinds {
            match kind.as_str() {
                "session" => wanted.sessions = true,
                "best" => wanted.best = true,
                "condition" => wanted.conditions = true,
                other => {
                    return Err(format!(
                        "{other:?} is no kind of event; there are: session, best, condition"
                    ));
                }
            }
        }
        if request.kinds.is_empty() {
            (wanted.sessions, wanted.conditions) = (true, true);
        }
        if !request.within.is_empty() {
            let net = Net::read(&request.within);
            let wrong = || format!("{:?} is no prefix", request.within);
            wanted.within = Some(net.ok_or_else(wrong)?);
        }
        if !request.neighbor.is_empty() {
            let wrong = || format!("{:?} is no address", request.neighbor);
            wanted.neighbor = Some(Named::read(&request.neighbor).ok_or_else(wrong)?);
        }
        Ok(wanted)
    }

    fn covers(&self, event: &v1::Event) -> bool {
        match &event.what {
            Some(What::Session(session)) => {
                let is = |named: &Named| {
                    Named::read(&session.neighbor).is_some_and(|neighbor| named.is(&neighbor))
                };
                let of = self.neighbor.as_ref().is_none_or(is);
                self.sessions && of
            }
            Some(What::Best(best)) => {
                let in_it = |net: Net| Net::read(&best.prefix).is_some_and(|p| net.covers(p));
                self.best && self.within.is_none_or(in_it)
            }
            Some(What::Condition(_)) => self.conditions,
            Some(What::Missed(_)) => true,
            None => false,
        }
    }
}

impl Named {
    fn read(text: &str) -> Option<Named> {
        let (address, link) = match text.split_once('%') {
            None => (text, None),
            Some((_, "")) => return None,
            Some((address, link)) => (address, Some(link.to_owned())),
        };
        Some(Named { address: address.parse().ok()?, link })
    }

    fn is(&self, other: &Named) -> bool {
        self.address == other.address && (self.link.is_none() || self.link == other.link)
    }
}

impl Net {
    fn read(text: &str) -> Option<Net> {
        let (address, len) = text.split_once('/')?;
        let len: u8 = len.parse().ok()?;
        let (bits, ipv4) = match address.parse().ok()? {
            IpAddr::V4(a) => (u128::from(u32::from(a)) << 96, true),
            IpAddr::V6(a) => (u128::from(a), false),
        };
        (len <= if ipv4 { 32 } else { 128 }).then_some(Net { bits, len, ipv4 })
    }

    fn covers(self, other: Net) -> bool {
        let same = (self.bits ^ other.bits).leading_zeros() >= u32::from(self.len);
        self.ipv4 == other.ipv4 && self.len <= other.len && same
    }
}

#[cfg(test)]
mod tests {
    use super::{Events, RING, Wanted};
    use crate::v1::{self, event::What};

    fn best(prefix: &str) -> What {
        What::Best(v1::BestEvent { prefix: prefix.to_owned(), ..Default::default() })
    }

    fn wanted(kinds: &[&str], within: &str) -> Result<Wanted, String> {
        Wanted::new(&v1::WatchRequest {
            kinds: kinds.iter().map(ToString::to_string).collect(),
            within: within.to_owned(),
            neighbor: String::new(),
        })
    }

    #[tokio::test]
    async fn a_watcher_hears_what_it_asked_for() {
        let events = Events::new();
        assert_eq!(*events.best_watchers().borrow(), 0);
        let mut watcher = events.watch(wanted(&["best"], "10.0.0.0/8").unwrap());
        assert_eq!(*events.best_watchers().borrow(), 1);
        for prefix in ["11.0.0.0/8", "10.0.0.0/7", "a00::/16", "10.1.0.0/16"] {
            events.tell(1, best(prefix));
        }
        assert_eq!(watcher.next().await.unwrap().what, Some(best("10.1.0.0/16")));
        drop(watcher);
        assert!(*events.best_watchers().borrow() == 0 && !events.is_watched());
    }

    #[tokio::test]
    async fn a_slow_watcher_is_told_how_much_it_missed() {
        let events = Events::new();
        let mut watcher = events.watch(wanted(&["best"], "").unwrap());
        for _ in 0..RING + 7 {
            events.tell(1, best("10.1.0.0/16"));
        }
        let missed = What::Missed(v1::Missed { count: 7 });
        assert_eq!(watcher.next().await.unwrap().what, Some(missed));
        assert_eq!(watcher.next().await.unwrap().what, Some(best("10.1.0.0/16")));
    }

    #[tokio::test]
    async fn a_neighbor_is_watched_on_its_link_or_on_all() {
        let session = |neighbor: &str| {
            let neighbor = neighbor.to_owned();
            What::Session(v1::SessionEvent { neighbor, ..Default::default() })
        };
        for (wanted, expect) in [
            ("fe80::1%eth1", &["fe80::1%eth1"][..]),
            ("fe80::1", &["fe80::1%eth0", "fe80::1%eth1"]),
            ("fe80:0::1", &["fe80::1%eth0", "fe80::1%eth1"]),
        ] {
            let request = v1::WatchRequest { neighbor: wanted.to_owned(), ..Default::default() };
            let events = Events::new();
            let mut watcher = events.watch(Wanted::new(&request).unwrap());
            for neighbor in ["fe80::2%eth0", "fe80::1%eth0", "fe80::1%eth1"] {
                events.tell(1, session(neighbor));
            }
            for neighbor in expect {
                assert_eq!(watcher.next().await.unwrap().what, Some(session(neighbor)));
            }
        }
    }

    #[test]
    fn what_cannot_be_watched_is_refused() {
        assert!(wanted(&["weather"], "").unwrap_err().contains("\"weather\""));
        for prefix in ["10.0.0.0", "10.0.0.0/33", "x/8"] {
            assert!(wanted(&[], prefix).is_err(), "{prefix}");
        }
    }
}
