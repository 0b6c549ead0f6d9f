//! A long UPDATE, taken a piece at a time.

use std::borrow::Cow;
use std::collections::VecDeque;

use crate::nlri::NlriRest;
use crate::{BgpNextHop, Malformation, RawAttributes, Reach, Update};

/// What is still to be taken of an [`Update`], kept apart from the frame it came in: an extended
/// message (RFC 8654) has some ten thousand prefixes. Its pieces one after another say what the
/// whole says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateRest {
    withdrawn: VecDeque<NlriRest>,
    reach: VecDeque<(NlriRest, BgpNextHop)>,
    attributes: Vec<u8>,
    malformed: Vec<Malformation>,
}

impl UpdateRest {
    /// All of an UPDATE but that it is an End-of-RIB, which has no prefixes.
    pub fn new(update: &Update<'_>) -> UpdateRest {
        let reach = update.reach.iter();
        UpdateRest {
            withdrawn: update.withdrawn.iter().map(NlriRest::new).collect(),
            reach: reach.map(|reach| (NlriRest::new(&reach.nlri), reach.next_hop)).collect(),
            attributes: update.attributes.bytes.to_vec(),
            malformed: update.malformed.clone(),
        }
    }

    /// Whether no prefix is left.
    pub fn is_empty(&self) -> bool {
        self.withdrawn.iter().all(NlriRest::is_empty)
            && self.reach.iter().all(|(nlri, _)| nlri.is_empty())
    }

    /// The next piece: at most so many prefixes, all withdrawn or all with one next hop; none when
    /// all were taken. What is malformed is said with the first one.
    pub fn take(&mut self, most: usize) -> Option<Update<'_>> {
        while self.withdrawn.front().is_some_and(NlriRest::is_empty) {
            self.withdrawn.pop_front();
        }
        while self.reach.front().is_some_and(|(nlri, _)| nlri.is_empty()) {
            self.reach.pop_front();
        }
        let (mut withdrawn, mut reach) = (Vec::new(), Vec::new());
        match (self.withdrawn.front_mut(), self.reach.front_mut()) {
            (Some(nlri), _) => withdrawn.push(nlri.take(most)),
            (None, Some((nlri, next_hop))) => {
                reach.push(Reach { nlri: nlri.take(most), next_hop: *next_hop });
            }
            (None, None) => return None,
        }
        Some(Update {
            withdrawn,
            reach,
            end_of_rib: None,
            attributes: RawAttributes { bytes: Cow::Borrowed(&self.attributes) },
            malformed: std::mem::take(&mut self.malformed),
        })
    }
}
