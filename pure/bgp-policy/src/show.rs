//! Policies as text for people; the document's form is what serde writes.

use std::fmt::{self, Display};

use crate::community::CommunityKind;
use crate::definition::{CommunityEdit, Conditions, Definition, Sets, Statement, Terms};
use crate::policy::Policy;
use crate::value::PrependAs;

/// A key and the text of its value.
type Entry = (&'static str, String);

impl Conditions {
    /// Each condition that is there: its key, and its value as text.
    pub fn entries(&self) -> Vec<Entry> {
        let mut to = Vec::new();
        entry(&mut to, "prefix", self.prefix.as_ref());
        entry(&mut to, "family", self.family);
        entry(&mut to, "next_hop", self.next_hop.as_ref());
        entry(&mut to, "peer", self.peer.as_ref());
        entry(&mut to, "peer_asn", list(&self.peer_asn));
        entry(&mut to, "learned_from", self.learned_from.as_ref());
        entry(&mut to, "source", list(&self.source));
        entry(&mut to, "origin", list(&self.origin));
        entry(&mut to, "local_pref", self.local_pref);
        entry(&mut to, "med", self.med);
        entry(&mut to, "weight", self.weight);
        entry(&mut to, "communities", self.communities.as_ref());
        entry(&mut to, "extended_communities", self.extended_communities.as_ref());
        entry(&mut to, "large_communities", self.large_communities.as_ref());
        entry(&mut to, "community_count", self.community_count);
        entry(&mut to, "as_path", self.as_path.as_ref());
        entry(&mut to, "as_path_length", self.as_path_length);
        entry(&mut to, "as_path_contains", list(&self.as_path_contains));
        entry(&mut to, "origin_as", list(&self.origin_as));
        entry(&mut to, "neighbor_as", list(&self.neighbor_as));
        to
    }
}

impl Sets {
    /// Each change that is there: its key, and its value as text.
    pub fn entries(&self) -> Vec<Entry> {
        let mut to = Vec::new();
        entry(&mut to, "local_pref", self.local_pref);
        entry(&mut to, "med", self.med);
        entry(&mut to, "weight", self.weight);
        entry(&mut to, "origin", self.origin);
        entry(&mut to, "next_hop", self.next_hop);
        let prepend = self.prepend.map(|prepend| match prepend.asn {
            PrependAs::Own => prepend.count.to_string(),
            PrependAs::Given(asn) => format!("{{asn: {asn}, count: {}}}", prepend.count),
        });
        entry(&mut to, "prepend", prepend);
        entry(&mut to, "discard", self.discard);
        entry(&mut to, "communities", self.communities.as_ref());
        entry(&mut to, "extended_communities", self.extended_communities.as_ref());
        entry(&mut to, "large_communities", self.large_communities.as_ref());
        to
    }
}

/// One line for each statement, one for the default.
impl Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (name, definition)) in self.definitions().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "policy {name}")?;
            definition.fmt(f)?;
        }
        Ok(())
    }
}

impl Display for Definition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, statement) in self.statements.iter().enumerate() {
            write!(f, "\n  {} {statement}", i + 1)?;
        }
        match self.default {
            Some(verdict) => write!(f, "\n  default {verdict}"),
            None => Ok(()),
        }
    }
}

impl Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.name {
            write!(f, "{name}: ")?;
        }
        for (word, entries) in [("match", self.conditions.entries()), ("set", self.set.entries())] {
            if entries.is_empty() {
                continue;
            }
            let entries: Vec<String> = entries.iter().map(|(k, v)| format!("{k}: {v}")).collect();
            write!(f, "{word} {{{}}} ", entries.join(", "))?;
        }
        self.action.fmt(f)
    }
}

impl<T: Display> Display for Terms<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_list() {
            return f.write_str(&in_brackets(&self.any));
        }
        let parts = [("any", &self.any), ("all", &self.all), ("none", &self.none)];
        let parts = parts.into_iter().filter(|(_, terms)| !terms.is_empty());
        let parts: Vec<_> =
            parts.map(|(k, terms)| format!("{k}: {}", in_brackets(terms))).collect();
        write!(f, "{{{}}}", parts.join(", "))
    }
}

impl<K: CommunityKind> Display for CommunityEdit<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values =
            |list: &[K::Value]| in_brackets(&list.iter().map(K::write).collect::<Vec<_>>());
        let mut parts = Vec::new();
        if let Some(replace) = &self.replace {
            parts.push(format!("replace: {}", values(replace)));
        }
        if !self.remove.is_empty() {
            parts.push(format!("remove: {}", in_brackets(&self.remove)));
        }
        if !self.add.is_empty() {
            parts.push(format!("add: {}", values(&self.add)));
        }
        write!(f, "{{{}}}", parts.join(", "))
    }
}

fn entry(to: &mut Vec<Entry>, key: &'static str, value: Option<impl Display>) {
    to.extend(value.map(|value| (key, value.to_string())));
}

fn list<T: Display>(list: &[T]) -> Option<String> {
    (!list.is_empty()).then(|| in_brackets(list))
}

fn in_brackets<T: Display>(list: &[T]) -> String {
    format!("[{}]", list.iter().map(T::to_string).collect::<Vec<_>>().join(", "))
}
