//! Too many prefixes (RFC 4486 §4), BFD (RFC 5882), and what people want of a session.

use bgp_packet::{RefreshKind, encode_route_refresh};
use bgp_rib::InCounts;
use bgp_session::{Event as SessionEvent, MaxPrefixesAction as SessionAction};
use inet::ScopedAddr;

use super::{Speaker, spend};
use crate::{Event, MaxPrefixes, MaxPrefixesAction, Output, Reset};

/// How near the limit a peer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    #[default]
    Below,
    Near,
    Over,
}

impl Level {
    fn of(count: u32, limit: &MaxPrefixes) -> Level {
        let (count, most) = (u64::from(count), u64::from(limit.limit));
        match count {
            _ if count > most => Level::Over,
            _ if count * 100 >= most * u64::from(limit.warn_at) => Level::Near,
            _ => Level::Below,
        }
    }

    /// The level now. It falls a tenth below where it rises, so that nobody is told each second.
    fn next(self, count: u32, limit: &MaxPrefixes) -> Level {
        let level = Level::of(count, limit);
        if level >= self {
            return level;
        }
        Level::of(count.saturating_add(count / 9), limit).min(self)
    }
}

impl Speaker {
    /// Whether a peer has sent too many prefixes.
    pub(super) fn check_limits(&mut self, address: ScopedAddr) {
        let (Some(peer), Some(rib)) = (self.peers.get_mut(&address), &self.rib) else { return };
        if peer.up.is_none() {
            return;
        }
        let mut over = None;
        for (family, limit) in &peer.wanted.max_prefixes {
            let InCounts { received, stale, .. } = rib.in_counts(peer.id, *family);
            // RFC 7313 §4: until EoRR what the peer did not send again yet is its table still.
            // What is kept for a restart may be another table than the peer has now.
            let kept = peer.session.helping().any(|(of, _)| of == *family);
            let count = if kept { received } else { received.saturating_add(stale) };
            let old = peer.levels.get(family).copied().unwrap_or_default();
            let level = old.next(count, limit);
            peer.levels.insert(*family, level);
            let exceeded = match level {
                Level::Below => continue,
                Level::Near => None,
                Level::Over => Some(limit.action),
            };
            let action = match exceeded {
                None | Some(MaxPrefixesAction::Warn) => None,
                Some(MaxPrefixesAction::Restart { after }) => {
                    Some(SessionAction::Restart { after })
                }
                Some(MaxPrefixesAction::Shut) => Some(SessionAction::StayDown),
            };
            if level > old {
                self.outputs.push_back(Output::Happened(Event::MaxPrefixes {
                    peer: address,
                    family: *family,
                    count,
                    limit: limit.limit,
                    exceeded,
                }));
            }
            over = over.or(action.map(|action| (*family, limit.limit, action)));
        }
        if let Some((family, limit, action)) = over {
            self.tell(address, SessionEvent::MaxPrefixes { family, limit, action });
        }
    }

    /// What BFD says of a peer.
    pub(super) fn bfd(&mut self, address: ScopedAddr, up: bool, control_plane_independent: bool) {
        let Some(peer) = self.peers.get(&address) else { return };
        // One that is not wanted any more may still have a word under way.
        if peer.wanted.bfd.is_none() {
            return;
        }
        if peer.session.status().bfd_up.unwrap_or(false) != up {
            self.outputs.push_back(Output::Happened(Event::Bfd { peer: address, up }));
        }
        let event = match up {
            true => SessionEvent::BfdUp,
            false => SessionEvent::BfdDown { control_plane_independent },
        };
        self.tell(address, event);
    }

    /// A person wants a session anew, or its routes.
    pub(super) fn admin_reset(&mut self, address: ScopedAddr, reset: Reset) {
        match reset {
            Reset::SoftIn => self.ask_for_routes(address),
            Reset::SoftOut => self.send_routes_again(address),
            Reset::Soft => {
                self.ask_for_routes(address);
                self.send_routes_again(address);
            }
            Reset::Hard { communication } => {
                self.tell(address, SessionEvent::AdminReset { hard: true, communication });
            }
        }
    }

    fn ask_for_routes(&mut self, address: ScopedAddr) {
        let Some(peer) = self.peers.get_mut(&address) else { return };
        let Some(up) = peer.up.as_ref().filter(|up| up.negotiated.route_refresh) else { return };
        for family in &up.negotiated.families {
            let bytes = encode_route_refresh(*family, RefreshKind::Request);
            let connection = self.conns.get_mut(&up.conn);
            let Some(connection) = connection.filter(|c| !c.gone) else { return };
            connection.room = spend(connection.room, bytes.len());
            peer.session.count_sent(self.now, 0, 1);
            self.outputs.push_back(Output::Send { conn: up.conn, bytes });
        }
    }

    fn send_routes_again(&mut self, address: ScopedAddr) {
        let (Some(peer), Some(rib)) = (self.peers.get(&address), &mut self.rib) else { return };
        let Some(up) = &peer.up else { return };
        for family in &up.negotiated.families {
            // RFC 7313 §4: framed also where nobody has asked.
            rib.refresh(peer.id, *family, up.negotiated.enhanced_refresh);
        }
    }
}
