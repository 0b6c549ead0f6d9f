//! Who wants what of the router: one document per owner.

use std::collections::{BTreeMap, BTreeSet};

use bgp_speaker::{Desired, Global, Multipath};
use inet::ScopedAddr;
use node_api::v1::{self, edit_request::Edit};
use router_config::{
    Bmp, DEFAULT_FIB_TABLE, Diff, Document, FibOptions, FibPlace, Host, Mrt, MultiPath, Neighbor,
    Place, Problem, Reason, SCHEMA_VERSION,
};

use super::ignored::{self, Ignored};
use super::secrets;
use super::store::{Store, Stored, is_owner_name};

/// The owner whose document is the file and the flags.
pub(super) const FILE: &str = "file";

/// The owner whose document `sart` changes.
pub(super) const CLI: &str = "cli";

/// The keys beside those of BGP that the router does something with.
const HOST_KEYS: [&str; 7] = [
    "fib.vrf",
    "fib.metric",
    "fib.next_hop_objects",
    "fib.distance",
    "fib.distance.local",
    "bmp",
    "mrt",
];

/// One owner.
#[derive(Debug)]
pub(super) struct Owner {
    pub(super) document: Document,
    pub(super) generation: u64,
    pub(super) schema_version: u32,
    /// It has handed over its document since the start.
    pub(super) spoken: bool,
}

/// All owners, by name. Where two differ, the first by name decides, as in the speaker.
#[derive(Debug)]
pub(super) struct Owners {
    owners: BTreeMap<String, Owner>,
    /// Owners that must speak before the router counts as whole.
    expected: BTreeSet<String>,
    store: Store,
    /// Stored documents that are refused now, and why, by owner: until it speaks.
    pub(super) refused: BTreeMap<String, String>,
    /// Why documents could not be stored, while it lasts.
    pub(super) store_failure: Option<String>,
    /// Why the file as it is now is not in force.
    pub(super) file_refused: Option<String>,
}

/// What an accepted document does.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) owner: String,
    pub(super) desired: Desired,
    pub(super) diff: Diff,
    pub(super) document: Document,
    generation: u64,
    schema_version: u32,
    /// What is stored of it; nothing of the file, which is its own store.
    stored: Option<Stored>,
}

impl Owners {
    pub(super) fn new(store: Store, expected: BTreeSet<String>) -> Owners {
        let (owners, refused) = (BTreeMap::new(), BTreeMap::new());
        let (store_failure, file_refused) = (None, None);
        Owners { owners, expected, store, refused, store_failure, file_refused }
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// The documents of the run before, as far as this version accepts them. The router's own
    /// owner `cli` has thereby spoken; the others still have to.
    pub(super) fn load(&mut self) -> Vec<(String, Desired)> {
        let mut loaded = Vec::new();
        let found = self.store.load();
        self.refused.extend(found.broken.into_iter().filter(|(name, _)| name != FILE));
        for (name, stored) in found.documents {
            if name == FILE {
                continue;
            }
            match read(&name, &stored) {
                Ok((document, desired)) => {
                    let owner = Owner {
                        document,
                        generation: stored.generation,
                        schema_version: stored.schema_version,
                        spoken: name == CLI,
                    };
                    self.owners.insert(name.clone(), owner);
                    loaded.push((name, desired));
                }
                Err(problems) => {
                    let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
                    tracing::warn!(owner = name, ?problems, "a stored document is refused");
                    self.refused.insert(name, problems.join("; "));
                }
            }
        }
        loaded
    }

    /// Takes the document of the file and the flags.
    pub(super) fn set_file(&mut self, document: Document) -> Result<Desired, Problem> {
        let desired = desired(&document, FILE)?;
        let owner = Owner { document, generation: 1, schema_version: SCHEMA_VERSION, spoken: true };
        self.owners.insert(FILE.to_owned(), owner);
        Ok(desired)
    }

    /// Reads what the file wants now; nothing is changed yet.
    pub(super) fn check_file(&self, document: Document) -> Result<Accepted, Vec<Problem>> {
        let desired = desired(&document, FILE).map_err(|problem| vec![problem])?;
        let generation = self.owners.get(FILE).map_or(0, |owner| owner.generation) + 1;
        let (owner, diff) = (FILE.to_owned(), self.diff(FILE, &document));
        let (schema_version, stored) = (SCHEMA_VERSION, None);
        Ok(Accepted { owner, desired, diff, document, generation, schema_version, stored })
    }

    /// Reads what an owner applies; nothing is changed yet.
    pub(super) fn check(&self, request: v1::ApplyRequest) -> Result<Accepted, Vec<Problem>> {
        let name = request.owner;
        if let Some(message) = why_may_not_apply(&name) {
            return Err(vec![problem(&name, Reason::BadValue, message)]);
        }
        self.accept(
            name,
            Stored {
                schema_version: request.schema_version,
                generation: request.generation,
                document: request.document,
            },
        )
    }

    /// Reads what `sart` changes; nothing is changed yet.
    pub(super) fn check_edit(
        &self,
        edit: Edit,
        global: Option<&Global>,
    ) -> Result<Accepted, Vec<Problem>> {
        if let Some(problems) = self.refused.get(CLI) {
            let message = format!(
                "DocumentRefused: the stored document of {CLI}, which is not in force, would be \
                 replaced: {problems}; forget {CLI} first (sart bgp forget {CLI})"
            );
            return Err(vec![problem(CLI, Reason::BadValue, message)]);
        }
        let old = self.owners.get(CLI);
        let mut document = old.map(|owner| owner.document.clone()).unwrap_or_default();
        let bad = |message: String| vec![problem(CLI, Reason::BadValue, message)];
        match edit {
            Edit::Merge(text) => document.merge(Document::parse_part(&text, CLI)?),
            Edit::RemoveNeighbor(address) => {
                let parsed: ScopedAddr =
                    address.parse().map_err(|_| bad(format!("{address:?} is no address")))?;
                let is = |n: &Neighbor| {
                    n.scoped_address() == parsed
                        || (parsed.is_ambiguous() && n.address == parsed.address())
                };
                let meant = document.neighbors.iter().filter(|n| is(n)).map(|n| n.scoped_address());
                let meant: Vec<_> = meant.map(|key| key.to_string()).collect();
                if meant.len() > 1 {
                    let several = meant.join(", ");
                    return Err(bad(format!("{address} is several neighbors: {several}")));
                }
                if !document.remove_neighbor(&parsed) {
                    return Err(bad(self.not_in_cli(&format!("neighbor {address}"), |document| {
                        document.neighbors.iter().any(is)
                    })));
                }
            }
            Edit::RemovePath(prefix) => {
                let parsed =
                    prefix.parse().map_err(|error: inet::PrefixError| bad(error.to_string()))?;
                if !document.remove_path(&parsed) {
                    return Err(bad(self.not_in_cli(&format!("path {prefix}"), |document| {
                        document.paths.iter().any(|group| group.prefixes.contains(&parsed))
                    })));
                }
            }
        }
        complete_global(&mut document, global);
        let text = document.to_yaml().map_err(|error| bad(error.to_string()))?;
        let generation = old.map_or(0, |owner| owner.generation) + 1;
        let stored = Stored { schema_version: SCHEMA_VERSION, generation, document: text };
        self.accept(CLI.to_owned(), stored)
    }

    /// Why something cannot be removed by `sart`: it is not there, or another owner's.
    fn not_in_cli(&self, what: &str, has: impl Fn(&Document) -> bool) -> String {
        match self.owners.iter().find(|(_, owner)| has(&owner.document)) {
            Some((name, _)) => format!("{what} is wanted by {name}, and only changed there"),
            None => format!("there is no {what}"),
        }
    }

    fn accept(&self, owner: String, stored: Stored) -> Result<Accepted, Vec<Problem>> {
        let (document, desired) = read(&owner, &stored)?;
        let diff = self.diff(&owner, &document);
        let Stored { schema_version, generation, document: _ } = stored;
        let stored = Some(stored);
        Ok(Accepted { owner, desired, diff, document, generation, schema_version, stored })
    }

    /// What a document changes of an owner's.
    fn diff(&self, owner: &str, document: &Document) -> Diff {
        let nothing = Document::default();
        self.owners.get(owner).map_or(&nothing, |owner| &owner.document).diff(document)
    }

    /// Makes an accepted document the owner's, and stores it.
    pub(super) fn commit(&mut self, accepted: Accepted) -> (String, Desired) {
        let Accepted {
            owner: name,
            desired,
            document,
            generation,
            schema_version,
            stored,
            diff: _,
        } = accepted;
        self.refused.remove(&name);
        if let Some(stored) = stored {
            let saved = self.store.save(&name, &stored);
            self.stored(&name, saved);
        }
        self.owners
            .insert(name.clone(), Owner { document, generation, schema_version, spoken: true });
        (name, desired)
    }

    /// What forgetting an owner changes; none when it is not known.
    pub(super) fn check_forget(&self, name: &str) -> Option<Diff> {
        let nothing = Document::default();
        match self.owners.get(name) {
            Some(owner) => Some(owner.document.diff(&nothing)),
            // Of a refused document nothing is in force, but it is stored.
            None => self.refused.contains_key(name).then(|| nothing.diff(&nothing)),
        }
    }

    /// Forgets an owner.
    pub(super) fn forget(&mut self, name: &str) {
        self.refused.remove(name);
        let removed = self.store.remove(name);
        self.stored(name, removed);
        self.owners.remove(name);
    }

    fn stored(&mut self, name: &str, done: std::io::Result<()>) {
        self.store_failure = done.err().map(|error| error.to_string());
        if let Some(error) = &self.store_failure {
            tracing::error!(owner = name, error, "a document could not be stored");
        }
    }

    /// What of the owners' keys for the whole router does not count.
    pub(super) fn ignored(&self) -> Vec<Ignored> {
        let all: Vec<_> = self.iter().map(|(name, owner)| (name, &owner.document)).collect();
        ignored::ignored(&all)
    }

    /// What of an accepted document will not count, in words.
    pub(super) fn conflicts_with(&self, accepted: &Accepted) -> Vec<String> {
        let others = self.owners.iter().map(|(name, owner)| (name, &owner.document));
        let mut all: BTreeMap<&String, &Document> = others.collect();
        all.insert(&accepted.owner, &accepted.document);
        let all: Vec<_> = all.into_iter().map(|(name, of)| (name.as_str(), of)).collect();
        let of_it = ignored::ignored(&all).into_iter();
        of_it.filter(|one| one.ignored == accepted.owner).map(|one| one.to_string()).collect()
    }

    /// All owners in order of their names.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Owner)> {
        self.owners.iter().map(|(name, owner)| (name.as_str(), owner))
    }

    /// Owners that have not handed over a document since the start.
    pub(super) fn silent(&self) -> Vec<String> {
        let stored = self.owners.iter().filter(|(_, owner)| !owner.spoken).map(|(name, _)| name);
        let unknown = self.expected.iter().filter(|name| !self.owners.contains_key(*name));
        stored
            .chain(unknown)
            .chain(self.refused.keys())
            .cloned()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect()
    }

    /// The kernel's table that routes are written to, and how: as the first owner says that wants
    /// them there.
    pub(super) fn fib(&self) -> Option<(FibPlace, FibOptions)> {
        let documents = self.owners.values().map(|owner| &owner.document);
        documents.filter_map(|d| Some((d.fib_place()?, d.fib_options))).next()
    }

    /// The kernel's tables that routes are announced from.
    pub(super) fn redistributed_tables(&self) -> BTreeSet<u32> {
        let all = self.owners.values().flat_map(|owner| &owner.document.redistribute);
        all.map(|wanted| wanted.table.unwrap_or(DEFAULT_FIB_TABLE)).collect()
    }

    /// The stations of all owners; of one that two want, the first's.
    pub(super) fn stations(&self) -> Vec<Bmp> {
        let mut stations: Vec<Bmp> = Vec::new();
        for station in self.owners.values().flat_map(|owner| &owner.document.bmp) {
            let is = |other: &Bmp| (other.address, other.port) == (station.address, station.port);
            if !stations.iter().any(is) {
                stations.push(station.clone());
            }
        }
        stations
    }

    /// The files of routes and messages that are wanted.
    pub(super) fn mrt(&self) -> Option<&Mrt> {
        self.owners.values().find_map(|owner| owner.document.mrt.as_ref())
    }

    /// The TCP port that BGP is heard on.
    pub(super) fn port(&self) -> u16 {
        self.owners.values().find_map(|owner| owner.document.port).unwrap_or(179)
    }
}

/// Problems as the API has them.
pub(super) fn problems(problems: &[Problem]) -> Vec<v1::Problem> {
    let narrow = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    problems
        .iter()
        .map(|problem| {
            let Place { line, column } = problem.place.unwrap_or(Place { line: 0, column: 0 });
            v1::Problem {
                line: narrow(line),
                column: narrow(column),
                reason: problem.reason.to_string(),
                message: problem.message.clone(),
            }
        })
        .collect()
}

fn read(owner: &str, stored: &Stored) -> Result<(Document, Desired), Vec<Problem>> {
    if stored.schema_version > SCHEMA_VERSION {
        let message = format!(
            "its form is version {}; this router knows up to {SCHEMA_VERSION}",
            stored.schema_version
        );
        return Err(vec![problem(owner, Reason::BadValue, message)]);
    }
    let document = Document::parse(&stored.document, owner)?;
    let desired = desired(&document, owner).map_err(|problem| vec![problem])?;
    Ok((document, desired))
}

/// Why an owner of this name cannot apply a document.
fn why_may_not_apply(name: &str) -> Option<String> {
    match name {
        FILE => Some(
            "`file` is the owner of the router's own file: edit that, and have it read again by \
             `sart bgp reload` or SIGHUP"
                .to_owned(),
        ),
        CLI => Some(
            "`cli` is the owner of what `sart bgp neighbor` and `sart bgp global` change: apply a \
             document as another owner"
                .to_owned(),
        ),
        name if is_owner_name(name) => None,
        _ => Some(format!("{name:?} is no owner's name: it is 1 to 63 of a-z, 0-9 and '-'")),
    }
}

/// What the speaker is to do for a document, with the keys of its files.
pub(super) fn desired(document: &Document, name: &str) -> Result<Desired, Problem> {
    document.desired_on(name, Host { read: &secrets::read, keys: &HOST_KEYS })
}

fn problem(document: &str, reason: Reason, message: String) -> Problem {
    Problem { document: document.to_owned(), place: None, reason, message }
}

/// A document that says one thing about the whole router must say all: what it leaves out stays as
/// it is.
fn complete_global(document: &mut Document, global: Option<&Global>) {
    let says_something = document.asn.is_some()
        || document.router_id.is_some()
        || document.cluster_id.is_some()
        || document.multi_path.is_some()
        || document.transit.is_some()
        || document.require_policy.is_some()
        || document.default_local_pref.is_some();
    if let (true, Some(global)) = (says_something, global) {
        document.asn.get_or_insert(global.asn);
        document.router_id.get_or_insert(global.router_id);
        if document.cluster_id.is_none() {
            document.cluster_id = global.cluster_id;
        }
        if document.multi_path.is_none() {
            let rules = global.multi_path;
            document.multi_path = Some(rules != Multipath::NONE);
            // The two that have a name of their own need no rules.
            let named = rules == Multipath::NONE || rules == Multipath::ALL;
            document.multi_path_rules = (!named).then_some(MultiPath {
                ebgp: Some(rules.ebgp),
                ibgp: Some(rules.ibgp),
                relax_as_path: Some(rules.relax_as_path),
                link_bandwidth: Some(rules.link_bandwidth),
            });
        }
        document.transit.get_or_insert(global.transit);
        document.require_policy.get_or_insert(global.require_policy);
        document.default_local_pref.get_or_insert(global.default_local_pref);
    }
}

#[cfg(test)]
#[path = "owners_tests.rs"]
mod tests;
