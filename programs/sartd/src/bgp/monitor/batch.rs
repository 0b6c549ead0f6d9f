//! Routes as UPDATEs for those who watch.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use bgp_packet::{
    Attributes, BgpNextHop, Options, PathId, PeerKind, encode_attributes, pack_paths,
    pack_withdrawn_paths,
};
use inet::{Family, Prefix};

/// What is told and what is withdrawn, gathered so that prefixes with the same attributes share a
/// message. A path is put in once only.
pub(super) struct Batch {
    options: Options,
    told: BTreeMap<Shared, Vec<(PathId, Prefix)>>,
    gone: Vec<(PathId, Prefix)>,
    size: usize,
}

/// What the paths of a message share: the attributes as bytes.
type Shared = (Family, BgpNextHop, Vec<u8>);

/// How routes of a session are written: path ids where its own messages have them, all attributes
/// whoever the peer is, and AS numbers of four octets. `None`: those of the router's own table.
pub(super) fn options(session: Option<&Options>) -> Options {
    Options {
        add_path_send: session.map(|options| options.add_path_receive).unwrap_or_default(),
        // Only what came in such a message needs one.
        extended_message: session.is_none_or(|o| o.extended_message || o.extended_receive),
        ipv4_over_ipv6: true,
        // LOCAL_PREF and the reflectors' attributes are shown too.
        ..Options::new(PeerKind::Internal)
    }
}

impl Batch {
    pub(super) fn new(options: Options) -> Batch {
        Batch { options, told: BTreeMap::new(), gone: Vec::new(), size: 0 }
    }

    /// About how many bytes it will be.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// A path as it is now; none: it is not there.
    pub(super) fn put(&mut self, prefix: Prefix, id: PathId, attributes: Option<&Attributes>) {
        self.size += 5 + usize::from(prefix.len().div_ceil(8));
        let Some(attributes) = attributes else { return self.gone.push((id, prefix)) };
        let next_hop = match (prefix.family(), attributes.next_hop.address) {
            // What is originated here has no next hop of its own.
            (Family::Ipv6, IpAddr::V4(_)) => IpAddr::V6(Ipv6Addr::UNSPECIFIED).into(),
            (Family::Ipv4 | Family::Ipv6, _) => attributes.next_hop,
        };
        let bytes = encode_attributes(attributes, &self.options);
        let length = bytes.len();
        let paths = self.told.entry((prefix.family(), next_hop, bytes)).or_default();
        if paths.is_empty() {
            self.size += 40 + length;
        }
        paths.push((id, prefix));
    }

    /// Whole UPDATEs: what is gone, then what is there.
    pub(super) fn finish(self) -> Vec<Vec<u8>> {
        let mut updates = match self.gone.is_empty() {
            true => Vec::new(),
            false => pack_withdrawn_paths(self.gone, &self.options),
        };
        for ((_, next_hop, attributes), paths) in self.told {
            match pack_paths(&attributes, &next_hop, paths, &self.options) {
                Ok(packed) => updates.extend(packed),
                // Came in as a part of a message, and is longer as one of its own.
                Err(error) => tracing::debug!(%error, "routes are not told to stations"),
            }
        }
        updates
    }
}
