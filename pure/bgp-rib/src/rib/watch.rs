//! Changes as they happen, and one path at a time: for who tells others of them.

use bgp_packet::{Attributes, PathId};
use inet::Prefix;

use crate::peer::{Life, PeerId, at};
use crate::rib::Rib;

impl Rib {
    /// Prefixes whose paths in use change are kept for [`Rib::poll_used`], or no longer.
    pub fn watch_used(&mut self, on: bool) {
        for family in &mut self.families {
            family.changed = match (on, family.changed.take()) {
                (true, changed) => Some(changed.unwrap_or_default()),
                (false, _) => None,
            };
        }
    }

    /// The next prefix whose paths in use have changed; one may come several times.
    pub fn poll_used(&mut self) -> Option<Prefix> {
        self.families.iter_mut().find_map(|family| family.changed.as_mut()?.pop_front())
    }

    /// What a path of a peer's session has: as it came, or with `accepted` as import leaves it.
    /// None where there is no such path, or none that import lets through. Those kept from before
    /// a restart are none of the session's.
    pub fn path_in(
        &self,
        peer: PeerId,
        prefix: &Prefix,
        path_id: PathId,
        accepted: bool,
    ) -> Option<Attributes> {
        let family = prefix.family();
        let table = &self.families[at(family)].table;
        let idx = table.find(self.keyed, prefix)?;
        let is = |path: &&crate::table::Path| path.peer == peer && path.id == path_id.0;
        let path = table.paths(idx).iter().find(is)?;
        if self.world().life(family, path) != Life::Current {
            return None;
        }
        let set = if accepted { path.post.set()? } else { path.attr };
        self.attrs.get(set)?.attributes()
    }

    /// What the best path of a prefix has; none where no path is used.
    pub fn best_path(&self, prefix: &Prefix) -> Option<Attributes> {
        let table = &self.families[at(prefix.family())].table;
        let best = table.best(table.find(self.keyed, prefix)?)?;
        self.attrs.get(best.post.set()?)?.attributes()
    }
}
