//! Reading typed values out of the tree, noting each problem and going on.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use bgp_policy::CommunityPattern;
use serde_saphyr::Spanned;

use crate::problem::{Place, Problem, Reason};
use crate::tree::{Node, Value, place};

/// Collects the problems of one document.
pub(crate) struct Report<'a> {
    document: &'a str,
    text: &'a str,
    pub(crate) problems: Vec<Problem>,
    /// Names of policies and lists, looked up when the whole document is read.
    pub(crate) references: Vec<Reference>,
}

/// A name of a policy or list, and where it stands.
pub(crate) struct Reference {
    pub(crate) place: Place,
    pub(crate) key: &'static str,
    pub(crate) kind: Kind,
    pub(crate) name: String,
}

/// What a name stands for.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    PrefixList,
    AsPathList,
    /// A list with communities of this kind alone.
    CommunityList(fn(&CommunityPattern) -> bool),
    Policy,
}

/// Problems behind which no name is guessed any more.
const GUESSES: usize = 20;

/// The entries of one mapping; each is taken once, and what remains is refused.
pub(crate) struct Fields<'n> {
    place: Place,
    entries: Vec<(&'n Spanned<String>, &'n Node)>,
    known: Vec<&'static str>,
}

impl<'a> Report<'a> {
    pub(crate) fn new(document: &'a str, text: &'a str) -> Report<'a> {
        Report { document, text, problems: Vec::new(), references: Vec::new() }
    }

    pub(crate) fn add(&mut self, place: Place, reason: Reason, message: impl Into<String>) {
        self.problems.push(Problem {
            document: self.document.to_owned(),
            place: Some(place),
            reason,
            message: message.into(),
        });
    }

    /// Notes that `node` is not what is `wanted`.
    pub(crate) fn mistyped(&mut self, node: &Node, key: &str, wanted: &str) {
        let message = match &node.value {
            Value::Integer(number) => format!("{key}: {number} is not {wanted}"),
            Value::Text(text) => format!("{key}: {text:?} is not {wanted}"),
            Value::Bool(bool) => format!("{key}: {bool} is not {wanted}"),
            Value::Float(number) => format!("{key}: {number} is not {wanted}"),
            Value::Null | Value::List(_) | Value::Map(_) => {
                format!("{key}: {} is not {wanted}", node.value.kind())
            }
        };
        self.add(place(node), Reason::BadValue, message);
    }

    /// The entries of a mapping. Doubled keys are noted, the first one counts.
    pub(crate) fn fields<'n>(&mut self, node: &'n Node, key: &str) -> Option<Fields<'n>> {
        let Value::Map(map) = &node.value else {
            self.mistyped(node, key, "a mapping");
            return None;
        };
        let mut seen = BTreeSet::new();
        let mut entries = Vec::with_capacity(map.len());
        for (name, value) in map {
            if seen.insert(name.value.as_str()) {
                entries.push((name, value));
            } else {
                let message = format!("the key `{}` is there twice", name.value);
                self.add(place(name), Reason::Doubled, message);
            }
        }
        Some(Fields { place: place(node), entries, known: Vec::new() })
    }

    /// The items of a list.
    pub(crate) fn list<'n>(&mut self, node: &'n Node, key: &str) -> &'n [Node] {
        match &node.value {
            Value::List(list) => list,
            Value::Null
            | Value::Bool(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Text(_)
            | Value::Map(_) => {
                self.mistyped(node, key, "a list");
                &[]
            }
        }
    }

    pub(crate) fn bool(&mut self, node: &Node, key: &str) -> Option<bool> {
        if let Value::Bool(value) = node.value {
            return Some(value);
        }
        self.mistyped(node, key, "true or false");
        None
    }

    /// A whole number in a range; v0.1 also wrote numbers as text.
    pub(crate) fn number<N>(
        &mut self,
        node: &Node,
        key: &str,
        range: RangeInclusive<N>,
    ) -> Option<N>
    where
        N: TryFrom<i128> + PartialOrd + Display,
    {
        let number = match &node.value {
            Value::Integer(number) => Some(*number),
            Value::Text(text) => text.parse().ok(),
            Value::Null | Value::Bool(_) | Value::Float(_) | Value::List(_) | Value::Map(_) => None,
        };
        match number.and_then(|n| N::try_from(n).ok()).filter(|n| range.contains(n)) {
            Some(value) => Some(value),
            None => {
                let wanted = format!("a number from {} to {}", range.start(), range.end());
                self.mistyped(node, key, &wanted);
                None
            }
        }
    }

    /// Whether the value is written with a plus sign, which YAML takes off a number.
    pub(crate) fn has_plus(&self, node: &Node) -> bool {
        let Place { line, column } = place(node);
        let index = |n: u64| usize::try_from(n).ok().and_then(|n| n.checked_sub(1));
        let line = index(line).and_then(|line| self.text.lines().nth(line));
        let sign = line.zip(index(column)).and_then(|(line, at)| line.chars().nth(at));
        sign == Some('+')
    }

    /// Text that is not empty; a bare number counts as its digits.
    pub(crate) fn string(&mut self, node: &Node, key: &str) -> Option<String> {
        match &node.value {
            Value::Text(text) if !text.is_empty() => Some(text.clone()),
            Value::Integer(number) => Some(number.to_string()),
            Value::Text(_)
            | Value::Null
            | Value::Bool(_)
            | Value::Float(_)
            | Value::List(_)
            | Value::Map(_) => {
                self.mistyped(node, key, "a text");
                None
            }
        }
    }

    /// A value that is read from text by `parse`.
    pub(crate) fn read<T, E: Display>(
        &mut self,
        node: &Node,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.string(node, key)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.add(place(node), Reason::BadValue, format!("{key}: {error}"));
                None
            }
        }
    }

    /// A value that has a text form; `wanted` names it where its own error does not.
    pub(crate) fn parsed<T: FromStr>(&mut self, node: &Node, key: &str, wanted: &str) -> Option<T> {
        self.read(node, key, |text| text.parse().map_err(|_| format!("{text:?} is not {wanted}")))
    }

    /// The items of a list, which has at least one; a single value may stand without the list.
    pub(crate) fn items<'n>(&mut self, node: &'n Node, key: &str) -> &'n [Node] {
        match &node.value {
            Value::List(list) if list.is_empty() => {
                self.add(place(node), Reason::BadValue, format!("{key}: at least one is needed"));
                &[]
            }
            Value::List(list) => list,
            Value::Null
            | Value::Bool(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Text(_)
            | Value::Map(_) => std::slice::from_ref(node),
        }
    }

    /// Notes a name to be looked up later.
    pub(crate) fn refer(&mut self, node: &Node, key: &'static str, kind: Kind, name: &str) {
        let name = name.to_owned();
        self.references.push(Reference { place: place(node), key, kind, name });
    }

    /// A set of texts, from a list; the same one twice is refused.
    pub(crate) fn strings(&mut self, node: &Node, key: &str) -> BTreeSet<String> {
        let mut set = BTreeSet::new();
        for item in self.list(node, key) {
            if let Some(text) = self.string(item, key) {
                let message = format!("{key}: {text:?} is there twice");
                if !set.insert(text) {
                    self.add(place(item), Reason::Doubled, message);
                }
            }
        }
        set
    }
}

impl<'n> Fields<'n> {
    /// Takes the value of a key; a key without value counts as left out.
    pub(crate) fn take(&mut self, key: &'static str) -> Option<&'n Node> {
        self.known.push(key);
        let at = self.entries.iter().position(|(name, _)| name.value == key)?;
        let (_, node) = self.entries.remove(at);
        match node.value {
            Value::Null => None,
            Value::Bool(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Text(_)
            | Value::List(_)
            | Value::Map(_) => Some(node),
        }
    }

    /// Takes over the entries of a template whose keys are not there.
    pub(crate) fn inherit(&mut self, template: &'n Node) {
        if let Value::Map(map) = &template.value {
            for (name, node) in map {
                if self.entries.iter().all(|(own, _)| own.value != name.value) {
                    self.entries.push((name, node));
                }
            }
        }
    }

    /// All entries, for a mapping whose keys are names.
    pub(crate) fn into_entries(self) -> Vec<(&'n Spanned<String>, &'n Node)> {
        self.entries
    }

    /// Where the mapping stands.
    pub(crate) fn place(&self) -> Place {
        self.place
    }

    /// Takes the value of a key that must be there.
    pub(crate) fn need(&mut self, key: &'static str, report: &mut Report<'_>) -> Option<&'n Node> {
        let node = self.take(key);
        if node.is_none() {
            report.add(self.place, Reason::Missing, format!("`{key}` is missing"));
        }
        node
    }

    /// Refuses the keys that were not taken: by name when they are planned.
    pub(crate) fn finish(self, planned: &[&str], report: &mut Report<'_>) {
        for (name, _) in self.entries {
            let key = name.value.as_str();
            if planned.contains(&key) {
                let message = format!("`{key}` is not built yet");
                report.add(place(name), Reason::NotBuiltYet, message);
            } else {
                // Beyond these nobody reads on, and a document may have a great many.
                let guess = report.problems.len() < GUESSES;
                let meant = guess.then(|| nearest(key, &self.known)).flatten();
                let meant =
                    meant.map(|known| format!(" (did you mean `{known}`?)")).unwrap_or_default();
                let known = self.known.join(", ");
                let message = format!("unknown key `{key}`{meant}; there are: {known}");
                report.add(place(name), Reason::UnknownKey, message);
            }
        }
    }
}

/// The name that a misspelt key is nearest to: no more than a third of it is wrong.
fn nearest<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    // A key is whatever the document has; comparing takes the product of both lengths.
    if key.len() > 2 * known.iter().map(|known| known.len()).max()? {
        return None;
    }
    let key = key.to_ascii_lowercase().replace('-', "_");
    known
        .iter()
        .map(|known| (strsim::damerau_levenshtein(&key, known), *known))
        .filter(|(distance, _)| *distance <= key.chars().count() / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}
