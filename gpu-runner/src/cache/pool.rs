//! Page ids: one arena of 2 MiB slabs, a slab serving one page class at a time, free lists as stacks, one hard limit.
//!
//! This file speaks of ids and counts and never sees a byte of a page. Admission reserves the pages of a sequence's
//! worst case, so that a running sequence never fails to get a page: the check counts, per class, the larger of the
//! slabs that reservations can need and the slabs that the class holds now (a slab with one live page cannot move to
//! another class).

use super::layout::ALIGN;
use crate::{Error, Result};

/// Bytes of a slab.
pub const SLAB: usize = 2 << 20;

/// A page: its byte offset in the arena, in units of 128.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PageId(pub u32);

impl PageId {
    /// The slab that holds the page, and the byte offset in it.
    pub fn place(self) -> (usize, usize) {
        let byte = self.0 as usize * ALIGN;
        (byte / SLAB, byte % SLAB)
    }
}

/// Index of a page class: pages of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClassId(usize);

struct Class {
    page_bytes: usize,
    free: Vec<PageId>,
    slabs: usize,
    reserved: usize,
    live: usize,
}

impl Class {
    fn per_slab(&self) -> usize {
        SLAB / self.page_bytes
    }

    fn slabs_for(&self, more: usize) -> usize {
        (self.reserved + more).div_ceil(self.per_slab()).max(self.slabs)
    }
}

/// Free lists and reservations of all classes.
pub struct PagePool {
    classes: Vec<Class>,
    /// Live pages of a slab; the class it serves.
    slabs: Vec<(usize, Option<usize>)>,
    limit_bytes: usize,
    /// Bytes that sequences reserved beside pages.
    side: usize,
}

impl PagePool {
    /// A pool that never holds more than `limit_bytes`: whole slabs of 2 MiB, and what sequences keep beside pages.
    pub fn new(limit_bytes: usize) -> PagePool {
        // Ids are 32 bits of 128-byte units: 512 GiB.
        let most = (u32::MAX as usize + 1) / (SLAB / ALIGN);
        PagePool {
            classes: Vec::new(),
            slabs: Vec::new(),
            limit_bytes: limit_bytes.min(most * SLAB),
            side: 0,
        }
    }

    /// The class of pages of `page_bytes`, a multiple of 128 and at most a slab.
    ///
    /// # Errors
    /// A page that is larger than a slab.
    pub fn class(&mut self, page_bytes: usize) -> Result<ClassId> {
        if let Some(known) = self.classes.iter().position(|c| c.page_bytes == page_bytes) {
            return Ok(ClassId(known));
        }
        if page_bytes == 0 || page_bytes > SLAB || !page_bytes.is_multiple_of(ALIGN) {
            let text = format!("a cache page of {page_bytes} bytes does not fit a slab of {SLAB} bytes");
            return Err(Error::Unsupported(text));
        }
        self.classes.push(Class {
            page_bytes,
            free: Vec::new(),
            slabs: 0,
            reserved: 0,
            live: 0,
        });
        Ok(ClassId(self.classes.len() - 1))
    }

    /// Bytes of a page of this class.
    pub fn page_bytes(&self, class: ClassId) -> usize {
        self.classes[class.0].page_bytes
    }

    /// The hard limit in bytes.
    pub fn limit_bytes(&self) -> usize {
        self.limit_bytes
    }

    /// Pages that are handed out now, of all classes.
    pub fn live_pages(&self) -> usize {
        self.classes.iter().map(|c| c.live).sum()
    }

    /// Bytes that no reservation and no slab in use claims.
    pub fn free_bytes(&self) -> usize {
        let slabs: usize = self.classes.iter().map(|c| c.slabs_for(0)).sum();
        self.limit_bytes.saturating_sub(slabs * SLAB + self.side)
    }

    /// Bytes that so many more pages, and `side` bytes beside them, would claim over what is claimed now.
    fn extra_bytes(&self, want: &[(ClassId, usize)], side: usize) -> usize {
        let mut slabs = 0;
        for (index, class) in self.classes.iter().enumerate() {
            let more = want.iter().filter(|(id, _)| id.0 == index).map(|(_, n)| n).sum();
            slabs += class.slabs_for(more) - class.slabs_for(0);
        }
        slabs * SLAB + side
    }

    /// Reserves pages and `side` bytes beside them; those of a released sequence must be handed back with [`PagePool::unreserve`].
    ///
    /// # Errors
    /// Bytes wanted and free, if the limit would be passed.
    pub fn reserve(&mut self, want: &[(ClassId, usize)], side: usize) -> Result<()> {
        let extra = self.extra_bytes(want, side);
        let free = self.free_bytes();
        if extra > free {
            let pages: usize = want.iter().map(|(id, n)| self.page_bytes(*id) * n).sum();
            let bytes = pages + side;
            let message = format!(
                "KV pages of {} are wanted, {} of {} are free; lower the batch, the prompt length or the new tokens, or \
                 choose a smaller page format",
                megabytes(bytes),
                megabytes(free),
                megabytes(self.limit_bytes()),
            );
            return Err(Error::OutOfMemory { at: "host", message });
        }
        for (id, n) in want {
            self.classes[id.0].reserved += n;
        }
        self.side += side;
        Ok(())
    }

    /// Whether [`PagePool::reserve`] would succeed.
    pub fn fits(&self, want: &[(ClassId, usize)], side: usize) -> bool {
        self.extra_bytes(want, side) <= self.free_bytes()
    }

    /// Gives reservations back.
    pub fn unreserve(&mut self, want: &[(ClassId, usize)], side: usize) {
        for (id, n) in want {
            self.classes[id.0].reserved -= n;
        }
        self.side -= side;
    }

    /// Hands out a page of a reserved kind. The content is whatever its last owner left.
    ///
    /// # Errors
    /// [`Error::Internal`] if the caller took more than it reserved.
    pub fn take(&mut self, class: ClassId) -> Result<PageId> {
        if self.classes[class.0].free.is_empty() {
            self.open_slab(class)?;
        }
        let of = &mut self.classes[class.0];
        let page = of.free.pop().expect("a slab was just opened");
        of.live += 1;
        self.slabs[page.place().0].0 += 1;
        Ok(page)
    }

    /// Takes a page back. A slab without live pages serves any class again.
    pub fn give(&mut self, class: ClassId, page: PageId) {
        let slab = page.place().0;
        let of = &mut self.classes[class.0];
        of.free.push(page);
        of.live -= 1;
        self.slabs[slab].0 -= 1;
        if self.slabs[slab].0 == 0 {
            self.slabs[slab].1 = None;
            of.free.retain(|page| page.place().0 != slab);
            of.slabs -= 1;
        }
    }

    fn open_slab(&mut self, class: ClassId) -> Result<()> {
        let slab = match self.slabs.iter().position(|(_, owner)| owner.is_none()) {
            Some(slab) => slab,
            None if (self.slabs.len() + 1) * SLAB <= self.limit_bytes => {
                self.slabs.push((0, None));
                self.slabs.len() - 1
            }
            None => return Err(Error::Internal("the cache took more pages than it reserved".to_owned())),
        };
        self.slabs[slab].1 = Some(class.0);
        let of = &mut self.classes[class.0];
        of.slabs += 1;
        let (first, step) = (slab * (SLAB / ALIGN), of.page_bytes / ALIGN);
        of.free
            .extend((0..of.per_slab()).rev().map(|i| PageId((first + i * step) as u32)));
        Ok(())
    }
}

fn megabytes(bytes: usize) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
