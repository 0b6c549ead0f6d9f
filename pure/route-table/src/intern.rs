//! Equal values once, with small numbers for names.

use std::collections::BTreeMap;

/// A value's number, as long as someone holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id(u32);

/// Values by number and numbers by value, counted.
#[derive(Debug)]
pub(crate) struct Interner<T, S> {
    ids: BTreeMap<T, u32>,
    slots: Vec<Option<Slot<T, S>>>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Slot<T, S> {
    value: T,
    beside: S,
    holders: u32,
}

impl<T: Ord + Clone, S: Default> Interner<T, S> {
    pub(crate) fn new() -> Interner<T, S> {
        Interner { ids: BTreeMap::new(), slots: Vec::new(), free: Vec::new() }
    }

    /// The number of a value, held once more; `true` when it is new.
    pub(crate) fn hold(&mut self, value: &T) -> (Id, bool) {
        if let Some(id) = self.ids.get(value) {
            let id = Id(*id);
            self.hold_again(id);
            return (id, false);
        }
        let slot = Some(Slot { value: value.clone(), beside: S::default(), holders: 1 });
        let number = match self.free.pop() {
            Some(number) => number,
            None => {
                self.slots.push(None);
                self.slots.len() as u32 - 1
            }
        };
        if let Some(place) = self.slots.get_mut(number as usize) {
            *place = slot;
        }
        self.ids.insert(value.clone(), number);
        (Id(number), true)
    }

    pub(crate) fn hold_again(&mut self, id: Id) {
        if let Some(Some(slot)) = self.slots.get_mut(id.0 as usize) {
            slot.holders = slot.holders.saturating_add(1);
        }
    }

    /// Lets go of a value; gives it back when nobody holds it any more.
    pub(crate) fn release(&mut self, id: Id) -> Option<(T, S)> {
        let place = self.slots.get_mut(id.0 as usize)?;
        let slot = place.as_mut()?;
        slot.holders = slot.holders.saturating_sub(1);
        if slot.holders > 0 {
            return None;
        }
        let Slot { value, beside, holders: _ } = place.take()?;
        self.ids.remove(&value);
        self.free.push(id.0);
        Some((value, beside))
    }

    /// How many hold a value.
    pub(crate) fn holders(&self, id: Id) -> u32 {
        self.slots.get(id.0 as usize).and_then(Option::as_ref).map_or(0, |slot| slot.holders)
    }

    pub(crate) fn find(&self, value: &T) -> Option<Id> {
        self.ids.get(value).copied().map(Id)
    }

    pub(crate) fn value(&self, id: Id) -> Option<&T> {
        self.slots.get(id.0 as usize)?.as_ref().map(|slot| &slot.value)
    }

    pub(crate) fn get(&self, id: Id) -> Option<(&T, &S)> {
        self.slots.get(id.0 as usize)?.as_ref().map(|slot| (&slot.value, &slot.beside))
    }

    pub(crate) fn beside_mut(&mut self, id: Id) -> Option<&mut S> {
        self.slots.get_mut(id.0 as usize)?.as_mut().map(|slot| &mut slot.beside)
    }

    /// All that are held, by number.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Id, &T, &S)> {
        let some = |(n, slot): (usize, &'_ Option<Slot<T, S>>)| slot.as_ref().map(|_| n as u32);
        let numbers: Vec<u32> = self.slots.iter().enumerate().filter_map(some).collect();
        numbers.into_iter().filter_map(|n| self.get(Id(n)).map(|(value, s)| (Id(n), value, s)))
    }
}
