//! One next-hop object: what it shall be, what it is, what is under way.

use crate::ObjectContent;
use crate::entry::Failure;
use crate::intern::Id;

/// What the kernel holds under an object's number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Present {
    /// Nothing.
    #[default]
    Absent,
    /// This.
    This(ObjectContent),
    /// Only writing again makes it known; it may still be what is named.
    Unknown(Option<ObjectContent>),
}

#[derive(Clone, Debug)]
pub(crate) struct ObjectFlight {
    pub(crate) content: Option<ObjectContent>,
    pub(crate) disturbed: bool,
}

/// One object of ours.
#[derive(Clone, Debug, Default)]
pub(crate) struct Object {
    pub(crate) wanted: Option<ObjectContent>,
    pub(crate) actual: Present,
    pub(crate) flight: Option<ObjectFlight>,
    pub(crate) failure: Option<Failure>,
    /// Not used any more: to be deleted. What is merely not wanted stays.
    pub(crate) doomed: bool,
    /// The set of next hops that a group stands for.
    pub(crate) target: Option<Id>,
}

impl Object {
    pub(crate) fn contents(&self) -> impl Iterator<Item = &ObjectContent> {
        let actual = match &self.actual {
            Present::Absent => None,
            Present::This(content) => Some(content),
            Present::Unknown(content) => content.as_ref(),
        };
        let flight = self.flight.as_ref().and_then(|flight| flight.content.as_ref());
        self.wanted.iter().chain(actual).chain(flight)
    }

    pub(crate) fn is_leg(&self) -> bool {
        self.contents().any(|content| matches!(content, ObjectContent::Leg { .. }))
    }

    /// Whether what names it may be written: it is there, or a write before makes it so.
    pub(crate) fn is_ready(&self) -> bool {
        match (&self.flight, &self.actual) {
            (Some(flight), _) => flight.content.is_some(),
            (None, Present::This(_)) => !self.doomed,
            (None, Present::Absent | Present::Unknown(_)) => false,
        }
    }

    /// Whether it is in the kernel, stands for nothing, and nothing is being done with it.
    pub(crate) fn is_idle(&self) -> bool {
        self.is_there() && self.target.is_none() && !self.doomed
    }

    /// Whether it is in the kernel as wanted.
    pub(crate) fn is_settled(&self) -> bool {
        self.is_there()
            && matches!((&self.actual, &self.wanted), (Present::This(is), Some(it)) if is == it)
    }

    fn is_there(&self) -> bool {
        matches!(self.actual, Present::This(_)) && self.flight.is_none() && self.failure.is_none()
    }

    pub(crate) fn observe(&mut self, present: Present) {
        match &mut self.flight {
            Some(flight) => flight.disturbed = true,
            None => {
                let right =
                    matches!(&present, Present::This(is) if Some(is) == self.wanted.as_ref());
                self.failure = self.failure.filter(|_| !right);
                self.actual = present;
            }
        }
    }

    /// What is left of it when legs are gone, nobody knows exactly.
    pub(crate) fn doubt(&mut self) {
        let old = match std::mem::take(&mut self.actual) {
            Present::Absent => return,
            Present::This(content) => Some(content),
            Present::Unknown(content) => content,
        };
        self.actual = Present::Unknown(old);
        if let Some(flight) = &mut self.flight {
            flight.disturbed = true;
        }
    }
}
