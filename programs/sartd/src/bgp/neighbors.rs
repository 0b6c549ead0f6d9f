//! The list of neighbors: an entry is made anew when something of it has changed, and only then.

use inet::ScopedAddr;
use node_api::v1;

/// Of whom each entry of the list is, and what a glance at it said when the entry was made.
#[derive(Debug)]
pub(super) struct Made<G>(Vec<(ScopedAddr, Option<G>)>);

impl<G> Default for Made<G> {
    fn default() -> Made<G> {
        Made(Vec::new())
    }
}

impl<G: PartialEq> Made<G> {
    /// Brings the list up to date: `now` has all peers in order, with a glance at each where that
    /// tells whether it has changed, and `make` makes an entry. Gives whether the list has news.
    pub(super) fn renew(
        &mut self,
        list: &mut Vec<v1::Neighbor>,
        now: impl Iterator<Item = (ScopedAddr, Option<G>)>,
        make: impl Fn(ScopedAddr) -> Option<v1::Neighbor>,
    ) -> bool {
        let made = std::mem::take(&mut self.0).into_iter();
        let mut old = made.zip(std::mem::take(list)).peekable();
        let mut news = false;
        for (address, glance) in now {
            while old.next_if(|((gone, _), _)| *gone < address).is_some() {
                news = true;
            }
            let entry = match old.next_if(|((of, _), _)| *of == address) {
                Some(((_, before), entry)) if glance.is_some() && glance == before => Some(entry),
                before => {
                    let entry = make(address);
                    news |= is_news(before.map(|(_, entry)| entry), entry.as_ref());
                    entry
                }
            };
            if let Some(entry) = entry {
                self.0.push((address, glance));
                list.push(entry);
            }
        }
        news || old.next().is_some()
    }

    /// Of whom the entries are, in the list's order.
    pub(super) fn addresses(&self) -> impl Iterator<Item = ScopedAddr> {
        self.0.iter().map(|(address, _)| *address)
    }
}

/// Whether two entries are told apart by more than what changes with every KEEPALIVE.
fn is_news(old: Option<v1::Neighbor>, new: Option<&v1::Neighbor>) -> bool {
    let (Some(mut old), Some(new)) = (old, new) else { return true };
    if let (Some(old), Some(new)) = (&mut old.session, &new.session) {
        (old.messages_in, old.messages_out) = (new.messages_in, new.messages_out);
        (old.updates_in, old.updates_out) = (new.updates_in, new.updates_out);
    }
    (old.received, old.sent, old.queued_bytes) = (new.received, new.sent, new.queued_bytes);
    if let (Some(old), Some(new)) = (&mut old.bfd, &new.bfd) {
        (old.packets_sent, old.packets_received) = (new.packets_sent, new.packets_received);
    }
    old != *new
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::net::IpAddr;

    use inet::ScopedAddr;
    use node_api::v1;

    use super::Made;

    /// A list, and of whom entries were made since that was asked last.
    #[derive(Default)]
    struct Shown {
        made: Made<u32>,
        list: Vec<v1::Neighbor>,
        makes: RefCell<Vec<String>>,
    }

    fn peer(n: u8) -> ScopedAddr {
        IpAddr::from([10, 0, 0, n]).into()
    }

    impl Shown {
        /// Peers by the last octet of their addresses, each with a glance. Gives whether the list
        /// has news, and whose entries were made.
        fn renew(&mut self, now: &[(u8, Option<u32>)], entry: v1::Neighbor) -> (bool, Vec<String>) {
            let now = now.iter().map(|(n, glance)| (peer(*n), *glance));
            let news = self.made.renew(&mut self.list, now, |address| {
                self.makes.borrow_mut().push(address.to_string());
                Some(v1::Neighbor { address: address.to_string(), ..entry.clone() })
            });
            (news, self.makes.take())
        }

        fn addresses(&self) -> Vec<&str> {
            self.list.iter().map(|entry| entry.address.as_str()).collect()
        }
    }

    fn flapped(flaps: u64) -> v1::Neighbor {
        v1::Neighbor { flaps, ..Default::default() }
    }

    #[test]
    fn one_that_changes_is_the_only_one_made_anew() {
        let mut shown = Shown::default();
        let (news, made) = shown.renew(&[(1, Some(0)), (2, Some(0)), (3, Some(0))], flapped(0));
        assert_eq!((news, made.len()), (true, 3));
        let (news, made) = shown.renew(&[(1, Some(0)), (2, Some(1)), (3, Some(0))], flapped(7));
        assert_eq!((news, made), (true, vec!["10.0.0.2".to_owned()]));
        let flaps: Vec<u64> = shown.list.iter().map(|entry| entry.flaps).collect();
        assert_eq!(flaps, [0, 7, 0]);
        let (news, made) = shown.renew(&[(1, Some(0)), (2, Some(1)), (3, Some(0))], flapped(8));
        assert_eq!((news, made.len()), (false, 0), "nothing has changed");
    }

    #[test]
    fn who_comes_and_goes_is_news() {
        let mut shown = Shown::default();
        shown.renew(&[(2, Some(0)), (4, Some(0))], flapped(0));
        let (news, made) = shown.renew(&[(1, Some(0)), (2, Some(0)), (4, Some(0))], flapped(0));
        assert_eq!((news, made), (true, vec!["10.0.0.1".to_owned()]));
        let (news, made) = shown.renew(&[(1, Some(0)), (4, Some(0))], flapped(0));
        assert_eq!((news, made.len()), (true, 0));
        assert_eq!(shown.addresses(), ["10.0.0.1", "10.0.0.4"]);
        let (news, _) = shown.renew(&[(1, Some(0))], flapped(0));
        assert!(news, "the last one has gone");
        assert_eq!(shown.made.addresses().collect::<Vec<_>>(), [peer(1)]);
    }

    #[test]
    fn traffic_alone_is_no_news() {
        let mut shown = Shown::default();
        let entry = |messages, flaps| v1::Neighbor {
            session: Some(v1::Session { messages_in: messages, ..Default::default() }),
            received: Some(v1::Messages { keepalive: messages, ..Default::default() }),
            queued_bytes: messages,
            bfd: Some(v1::BfdStatus { packets_sent: messages, ..Default::default() }),
            ..flapped(flaps)
        };
        shown.renew(&[(1, None)], entry(0, 0));
        let (news, made) = shown.renew(&[(1, None)], entry(1, 0));
        assert_eq!((news, made.len()), (false, 1), "no glance tells of this one");
        assert_eq!(shown.list.iter().map(|entry| entry.queued_bytes).sum::<u64>(), 1);
        assert!(shown.renew(&[(1, None)], entry(1, 1)).0);
    }
}
