use std::ops::{Index, IndexMut};

const PAGE: usize = 1024;

/// A growing array that never moves what is in it: growing costs one page, whatever the size.
#[derive(Debug)]
pub(crate) struct Pages<T> {
    pages: Vec<Box<[T]>>,
    empty: T,
}

impl<T: Default> Default for Pages<T> {
    fn default() -> Pages<T> {
        Pages { pages: Vec::new(), empty: T::default() }
    }
}

impl<T: Default> Index<u32> for Pages<T> {
    type Output = T;
    /// What was never written reads as the default.
    fn index(&self, at: u32) -> &T {
        let at = at as usize;
        self.pages.get(at / PAGE).and_then(|page| page.get(at % PAGE)).unwrap_or(&self.empty)
    }
}

impl<T: Default> IndexMut<u32> for Pages<T> {
    fn index_mut(&mut self, at: u32) -> &mut T {
        let at = at as usize;
        while self.pages.len() <= at / PAGE {
            self.pages.push((0..PAGE).map(|_| T::default()).collect());
        }
        &mut self.pages[at / PAGE][at % PAGE]
    }
}

/// Slots with stable numbers; a freed number is used again.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    slots: Pages<Option<T>>,
    free: Vec<u32>,
    end: u32,
}

impl<T> Default for Slots<T> {
    fn default() -> Slots<T> {
        Slots { slots: Pages::default(), free: Vec::new(), end: 0 }
    }
}

impl<T> Slots<T> {
    pub(crate) fn insert(&mut self, value: T) -> u32 {
        let at = self.free.pop().unwrap_or_else(|| {
            self.end += 1;
            self.end - 1
        });
        self.slots[at] = Some(value);
        at
    }

    pub(crate) fn remove(&mut self, at: u32) -> Option<T> {
        if at >= self.end {
            return None;
        }
        let value = self.slots[at].take();
        if value.is_some() {
            self.free.push(at);
        }
        value
    }

    pub(crate) fn get(&self, at: u32) -> Option<&T> {
        self.slots[at].as_ref()
    }

    pub(crate) fn get_mut(&mut self, at: u32) -> Option<&mut T> {
        if at < self.end { self.slots[at].as_mut() } else { None }
    }

    /// One past the highest number ever used.
    pub(crate) fn end(&self) -> u32 {
        self.end
    }

    pub(crate) fn len(&self) -> usize {
        self.end as usize - self.free.len()
    }
}
