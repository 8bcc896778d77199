//! The bytes of pages: slabs of host memory, made when first used. Ids come from `cache::PagePool`.

use std::alloc::{alloc_zeroed, dealloc, handle_alloc_error, Layout as Allocation};
use std::ptr::NonNull;

use half::f16;

use crate::cache::{PageId, SLAB};

const SLAB_ALLOCATION: Allocation = match Allocation::from_size_align(SLAB, 4096) {
    Ok(allocation) => allocation,
    Err(_) => panic!("a slab is a valid allocation"),
};

/// Slabs by index. A page's bytes are valid from the moment its id exists.
#[derive(Default)]
pub struct Arena {
    slabs: Vec<NonNull<u8>>,
}

// SAFETY: the arena owns its slabs; shared access reads only, except through `page_ptr`, whose callers own the page.
unsafe impl Send for Arena {}
// SAFETY: as above.
unsafe impl Sync for Arena {}

impl Arena {
    /// Makes the slab of `page` exist.
    pub fn cover(&mut self, page: PageId) {
        while self.slabs.len() <= page.place().0 {
            // SAFETY: the allocation has a size above 0. Zeroed memory costs nothing until it is touched.
            let slab = unsafe { alloc_zeroed(SLAB_ALLOCATION) };
            self.slabs
                .push(NonNull::new(slab).unwrap_or_else(|| handle_alloc_error(SLAB_ALLOCATION)));
        }
    }

    /// Bytes of memory behind the slabs.
    pub fn bytes(&self) -> usize {
        self.slabs.len() * SLAB
    }

    /// Start of a page.
    ///
    /// # Panics
    /// If the page was never covered.
    pub fn page_ptr(&self, page: PageId) -> *mut u8 {
        let (slab, offset) = page.place();
        // SAFETY: an offset inside a slab by construction of `PageId::place`.
        unsafe { self.slabs[slab].as_ptr().add(offset) }
    }

    /// `len` bytes of a page from `at` on.
    ///
    /// # Panics
    /// If they do not lie in the page's slab.
    pub fn bytes_of(&self, page: PageId, at: usize, len: usize) -> &[u8] {
        assert!(page.place().1 + at + len <= SLAB, "a read past the end of a slab");
        // SAFETY: in bounds as asserted, initialised by `alloc_zeroed`; writers need `&mut self` or own another page.
        unsafe { std::slice::from_raw_parts(self.page_ptr(page).add(at), len) }
    }

    /// `len` f16 values of a page from byte `at` on, a multiple of 2.
    pub fn f16_of(&self, page: PageId, at: usize, len: usize) -> &[f16] {
        let bytes = self.bytes_of(page, at, len * 2);
        assert!(at.is_multiple_of(2));
        // SAFETY: f16 is a transparent u16, any bits are valid, pages are aligned to 128 bytes.
        unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), len) }
    }

    /// As [`Arena::bytes_of`], to write.
    pub fn bytes_of_mut(&mut self, page: PageId, at: usize, len: usize) -> &mut [u8] {
        assert!(page.place().1 + at + len <= SLAB, "a write past the end of a slab");
        // SAFETY: `&mut self` excludes every other borrow; in bounds as asserted; initialised by `alloc_zeroed`.
        unsafe { std::slice::from_raw_parts_mut(self.page_ptr(page).add(at), len) }
    }

    /// As [`Arena::f16_of`], to write.
    pub fn f16_of_mut(&mut self, page: PageId, at: usize, len: usize) -> &mut [f16] {
        assert!(page.place().1 + at + len * 2 <= SLAB && at.is_multiple_of(2));
        // SAFETY: `&mut self` excludes every other borrow; in bounds as asserted; see `f16_of` for the alignment.
        unsafe { std::slice::from_raw_parts_mut(self.page_ptr(page).add(at).cast(), len) }
    }

    /// Copies bytes from one page to another, or within one.
    ///
    /// # Panics
    /// If a range is not within a slab.
    pub fn copy(&mut self, from: PageId, read: usize, to: PageId, write: usize, len: usize) {
        let source = self.bytes_of(from, read, len).as_ptr();
        assert!(
            to.place().1 + write + len <= crate::cache::SLAB,
            "a row lies in one slab"
        );
        // SAFETY: both ranges lie in slabs that live as long as the arena; `copy` allows overlap.
        unsafe { std::ptr::copy(source, self.page_ptr(to).add(write), len) };
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        for slab in self.slabs.drain(..) {
            // SAFETY: allocated by `cover` with this very allocation.
            unsafe { dealloc(slab.as_ptr(), SLAB_ALLOCATION) };
        }
    }
}
