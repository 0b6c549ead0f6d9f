use std::fmt;

/// Where in a document something stands; both count from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: u64,
    /// The column, in characters.
    pub column: u64,
}

/// One thing in a document that is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problem {
    /// The file's name, or another name of the document (`agent`).
    pub document: String,
    /// Where it stands, when it stands somewhere.
    pub place: Option<Place>,
    /// What kind of thing is wrong.
    pub reason: Reason,
    /// What is wrong, as a sentence for people.
    pub message: String,
}

/// What kind of thing is wrong with a document. Displayed as the name that people see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Neither YAML nor JSON.
    Syntax,
    /// A key that no document has.
    UnknownKey,
    /// A key that is planned, but not there yet.
    NotBuiltYet,
    /// A key, neighbor, name or prefix that stands there twice.
    Doubled,
    /// A key that must be there.
    Missing,
    /// A value that cannot be.
    BadValue,
    /// A file that cannot be read: there is none, or the system does not give it.
    Unreadable,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::Syntax => "syntax",
            Reason::UnknownKey => "unknown-key",
            Reason::NotBuiltYet => "not-built-yet",
            Reason::Doubled => "doubled",
            Reason::Missing => "missing",
            Reason::BadValue => "bad-value",
            Reason::Unreadable => "unreadable",
        })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.document)?;
        if let Some(place) = self.place {
            write!(f, ":{}:{}", place.line, place.column)?;
        }
        write!(f, ": {} ({})", self.message, self.reason)
    }
}
