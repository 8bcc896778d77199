//! A buffer whose disjoint parts are written by several threads of a region.

use std::marker::PhantomData;

/// A mutable slice that threads share by ranges.
pub struct SharedMut<'a, T> {
    start: *mut T,
    len: usize,
    lifetime: PhantomData<&'a mut [T]>,
}

// SAFETY: the caller of `slice` promises that no two threads take overlapping ranges.
unsafe impl<T: Send> Sync for SharedMut<'_, T> {}

impl<'a, T> SharedMut<'a, T> {
    /// Shares a slice until the borrow ends.
    pub fn new(slice: &'a mut [T]) -> Self {
        SharedMut {
            start: slice.as_mut_ptr(),
            len: slice.len(),
            lifetime: PhantomData,
        }
    }

    /// The range `at..at + len`.
    ///
    /// # Panics
    /// If it is not inside the slice.
    ///
    /// # Safety
    /// No other live slice of it overlaps the range.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn slice(&self, at: usize, len: usize) -> &mut [T] {
        assert!(at + len <= self.len, "{at} + {len} is past {}", self.len);
        // SAFETY: inside the borrowed slice by the assertion, unshared by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(at), len) }
    }
}
