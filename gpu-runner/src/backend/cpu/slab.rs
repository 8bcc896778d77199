//! Memory for weights: slabs on huge pages, shared by the matrices of a model.
//!
//! A decode step reads every weight once, in streams of some 100 KB; with pages of 4 KiB a good part of its time goes
//! into page walks and restarted hardware prefetch. Matrices are mostly smaller than a huge page, so they share slabs.
//! A slab is freed with its last matrix.

use std::alloc::{alloc, dealloc, handle_alloc_error, Layout};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// A huge page of x86-64 and of arm64 with 4 KiB pages.
const HUGE: usize = 2 << 20;
/// Bytes of a slab; a matrix that is larger has one of its own.
const SLAB: usize = 16 << 20;
/// A cache line: the alignment of a matrix.
const LINE: usize = 64;

struct Slab {
    base: *mut u8,
    layout: Layout,
}

// SAFETY: a slab is plain memory; who may touch which bytes is the business of `Region`.
unsafe impl Send for Slab {}
// SAFETY: as above.
unsafe impl Sync for Slab {}

impl Slab {
    fn new(bytes: usize) -> Slab {
        let layout = Layout::from_size_align(bytes.next_multiple_of(HUGE), HUGE).expect("bytes of a slab");
        // SAFETY: the size is not zero.
        let base = unsafe { alloc(layout) };
        if base.is_null() {
            handle_alloc_error(layout);
        }
        #[cfg(target_os = "linux")]
        // SAFETY: the range is this allocation. The advice changes no contents; a refusal only costs speed.
        unsafe {
            libc::madvise(base.cast(), layout.size(), libc::MADV_HUGEPAGE);
        }
        Slab { base, layout }
    }
}

impl Drop for Slab {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout; every region holds the slab alive.
        unsafe { dealloc(self.base, self.layout) }
    }
}

/// The slab that has room left, and its bytes in use.
static CURRENT: Mutex<(Weak<Slab>, usize)> = Mutex::new((Weak::new(), 0));

/// Some bytes of a slab, aligned to a cache line, not shared with another region. Uninitialised until written.
pub(crate) struct Region {
    slab: Arc<Slab>,
    at: usize,
}

impl Region {
    /// Takes `len` bytes.
    pub fn new(len: usize) -> Region {
        let len = len.next_multiple_of(LINE).max(LINE);
        if len > SLAB {
            return Region {
                slab: Arc::new(Slab::new(len)),
                at: 0,
            };
        }
        let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
        let slab = current.0.upgrade().filter(|slab| current.1 + len <= slab.layout.size());
        let (slab, at) = match slab {
            Some(slab) => (slab, current.1),
            None => (Arc::new(Slab::new(SLAB)), 0),
        };
        *current = (Arc::downgrade(&slab), at + len);
        Region { slab, at }
    }

    /// The first byte.
    pub fn start(&self) -> *mut u8 {
        // SAFETY: `at` lies within the slab.
        unsafe { self.slab.base.add(self.at) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_aligned_and_do_not_overlap_and_a_large_one_has_its_own_slab() {
        let lens = [1, 64, 65, 5 << 20, 9 << 20, 3 << 20, SLAB + 1, 100];
        let regions: Vec<Region> = lens.iter().map(|&len| Region::new(len)).collect();
        let mut ranges: Vec<_> = regions
            .iter()
            .zip(lens)
            .map(|(r, len)| (r.start() as usize, len))
            .collect();
        assert!(ranges.iter().all(|(start, _)| start % LINE == 0));
        ranges.sort();
        assert!(ranges.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0));
        for (region, len) in regions.iter().zip(lens) {
            // SAFETY: the region is `len` bytes long and nobody else has it.
            unsafe { region.start().write_bytes(7, len) };
        }
    }
}
