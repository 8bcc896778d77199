//! A fixed team of threads that runs parallel regions: spin briefly for the next one, then park.
//!
//! A decode step has about 250 regions, so entering one must cost well under a microsecond. And the machine is shared:
//! a thread whose core is taken by another process must not stall the team. So the parts of a region are claimed one by
//! one, the caller takes what nobody else came for, and it waits only for threads that did join. A thread that arrives
//! when the region is closed goes back to waiting. Which thread runs a part is left to timing; what a part computes
//! must not depend on it.

use super::shared::SharedMut;
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;

/// Spins before a waiting thread parks: about 20 microseconds.
const SPINS: u32 = 4_000;

/// Set in `Shared::state` while threads may join the region.
const OPEN: u64 = 1 << 31;

/// The region's number, by which a waiting thread tells a new one.
fn epoch(state: u64) -> u64 {
    state >> 32
}

type Region = *const (dyn Fn(usize) + Sync);

struct Shared {
    /// Epoch in the high half, OPEN, and the number of threads inside.
    state: AtomicU64,
    /// Parts claimed so far.
    next: AtomicUsize,
    /// Parts of the region.
    parts: AtomicUsize,
    /// Written while the region is closed and nobody is inside; read by those who joined.
    region: UnsafeCell<Option<Region>>,
    busy: AtomicBool,
    panicked: AtomicBool,
    stop: AtomicBool,
    park: Mutex<()>,
    wake: Condvar,
    sleepers: AtomicUsize,
}

// SAFETY: `region` is written by the one caller that holds `busy`, only between regions; opening (a release store of
// `state`) orders the write before the reads of those who join (an acquire exchange). The pointee is Sync and outlives
// the region, which ends only when nobody is inside.
unsafe impl Sync for Shared {}
// SAFETY: as above; the pointer is used only while the region is open or somebody is inside.
unsafe impl Send for Shared {}

/// A team of `threads` threads, the caller of a region among them.
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    threads: usize,
}

impl Pool {
    /// Starts `threads - 1` workers (at least 0).
    ///
    /// # Panics
    /// If the system refuses a thread.
    pub fn new(threads: usize) -> Pool {
        let threads = threads.max(1);
        let shared = Arc::new(Shared {
            state: AtomicU64::new(0),
            next: AtomicUsize::new(0),
            parts: AtomicUsize::new(0),
            region: UnsafeCell::new(None),
            busy: AtomicBool::new(false),
            panicked: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            park: Mutex::new(()),
            wake: Condvar::new(),
            sleepers: AtomicUsize::new(0),
        });
        let workers = (1..threads)
            .map(|id| {
                let shared = Arc::clone(&shared);
                std::thread::Builder::new()
                    .name(format!("cpu-{id}"))
                    .spawn(move || work(&shared))
                    .expect("the system refused a thread")
            })
            .collect();
        Pool {
            shared,
            workers,
            threads,
        }
    }

    /// How many threads there are, the caller included.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Runs `region(i)` once for every i below the thread count, side by side as far as threads are free.
    ///
    /// # Panics
    /// If a part panicked, or if regions nest.
    pub fn run(&self, region: &(dyn Fn(usize) + Sync)) {
        self.tasks(self.threads, region);
    }

    /// Splits 0..n into one contiguous part per thread, bounds being multiples of `unit`.
    ///
    /// # Panics
    /// As [`Pool::run`].
    pub fn split(&self, n: usize, unit: usize, part: &(dyn Fn(std::ops::Range<usize>) + Sync)) {
        let units = n.div_ceil(unit);
        self.run(&|id| {
            let lo = units * id / self.threads * unit;
            let hi = (units * (id + 1) / self.threads * unit).min(n);
            if lo < hi {
                part(lo..hi);
            }
        });
    }

    /// Results of `task` for 0..n, as [`Pool::tasks`] runs it.
    pub fn map<T: Send + Default>(&self, n: usize, task: &(dyn Fn(usize) -> T + Sync)) -> Vec<T> {
        let mut results: Vec<T> = (0..n).map(|_| T::default()).collect();
        let slots = SharedMut::new(&mut results);
        self.tasks(n, &|i| {
            // SAFETY: slot i belongs to task i.
            let slot = unsafe { slots.slice(i, 1) };
            slot[0] = task(i);
        });
        results
    }

    /// Runs `task(i)` for every i of 0..n, claimed in ascending order: for tasks of unequal cost.
    ///
    /// # Panics
    /// As [`Pool::run`].
    pub fn tasks(&self, n: usize, task: &(dyn Fn(usize) + Sync)) {
        let shared = &*self.shared;
        assert!(
            !shared.busy.swap(true, Ordering::Acquire),
            "parallel regions must not nest"
        );
        if self.threads == 1 || n < 2 {
            let own = catch(|| (0..n).for_each(task));
            shared.busy.store(false, Ordering::Release);
            return own.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
        // SAFETY: only the lifetime is erased, see `Shared`. Nobody is inside: `busy` was free.
        unsafe { *shared.region.get() = Some(std::mem::transmute::<&(dyn Fn(usize) + Sync), Region>(task)) };
        shared.parts.store(n, Ordering::Relaxed);
        shared.next.store(0, Ordering::Relaxed);
        let opened = epoch(shared.state.load(Ordering::Relaxed)).wrapping_add(1) << 32 | OPEN;
        shared.state.store(opened, Ordering::SeqCst);
        if shared.sleepers.load(Ordering::SeqCst) > 0 {
            // Taking the lock orders this wake after a sleeper's last look at the state.
            drop(shared.park.lock().unwrap_or_else(|e| e.into_inner()));
            shared.wake.notify_all();
        }
        let own = catch(|| shared.claim(task));
        if own.is_err() {
            shared.next.store(n, Ordering::Relaxed);
        }
        shared.state.fetch_and(!OPEN, Ordering::AcqRel);
        let mut spins = 0u32;
        while shared.state.load(Ordering::Acquire) & (OPEN - 1) != 0 {
            spins += 1;
            if spins < SPINS {
                std::hint::spin_loop();
            } else {
                std::thread::yield_now();
            }
        }
        let panicked = shared.panicked.swap(false, Ordering::Relaxed);
        shared.busy.store(false, Ordering::Release);
        if let Err(panic) = own {
            std::panic::resume_unwind(panic);
        }
        assert!(!panicked, "a worker thread panicked in a parallel region");
    }
}

impl Shared {
    /// Runs parts until all are claimed.
    fn claim(&self, region: &(dyn Fn(usize) + Sync)) {
        let parts = self.parts.load(Ordering::Relaxed);
        loop {
            let i = self.next.fetch_add(1, Ordering::Relaxed);
            if i >= parts {
                return;
            }
            region(i);
        }
    }

    /// Enters the region of `state` if it is open still.
    fn join(&self, mut state: u64) -> bool {
        let wanted = epoch(state);
        while state & OPEN != 0 && epoch(state) == wanted {
            match self
                .state
                .compare_exchange_weak(state, state + 1, Ordering::Acquire, Ordering::Acquire)
            {
                Ok(_) => return true,
                Err(now) => state = now,
            }
        }
        false
    }

    /// The state of a region newer than `seen`; `None` when the team ends.
    fn await_region(&self, seen: u64) -> Option<u64> {
        let mut spins = 0u32;
        loop {
            let state = self.state.load(Ordering::Acquire);
            if self.stop.load(Ordering::Relaxed) {
                return None;
            }
            if epoch(state) != seen {
                return Some(state);
            }
            spins += 1;
            if spins < SPINS {
                std::hint::spin_loop();
                continue;
            }
            let mut guard = self.park.lock().unwrap_or_else(|e| e.into_inner());
            self.sleepers.fetch_add(1, Ordering::SeqCst);
            while epoch(self.state.load(Ordering::SeqCst)) == seen && !self.stop.load(Ordering::SeqCst) {
                guard = self.wake.wait(guard).unwrap_or_else(|e| e.into_inner());
            }
            self.sleepers.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        drop(self.shared.park.lock().unwrap_or_else(|e| e.into_inner()));
        self.shared.wake.notify_all();
        for worker in self.workers.drain(..) {
            let _ = worker.join();
        }
    }
}

fn catch(run: impl FnOnce()) -> std::thread::Result<()> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(run))
}

fn work(shared: &Shared) {
    let mut seen = 0;
    while let Some(state) = shared.await_region(seen) {
        seen = epoch(state);
        if !shared.join(state) {
            continue;
        }
        // SAFETY: this thread is inside, so the region and what it borrows live; see `Shared`.
        let run = catch(|| unsafe {
            if let Some(region) = *shared.region.get() {
                shared.claim(&*region);
            }
        });
        if run.is_err() {
            shared.panicked.store(true, Ordering::Relaxed);
        }
        shared.state.fetch_sub(1, Ordering::Release);
    }
}
