//! A fixed team of threads that runs parallel regions: spin briefly at the barrier, then park.
//!
//! A decode step has about 250 regions, so entering one must cost about a microsecond; but a thread that only spins
//! stalls the others when another process takes its core, so waiting is bounded and then parks.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;

/// Spins before a waiting thread parks: about 20 microseconds.
const SPINS: u32 = 4_000;

type Region = *const (dyn Fn(usize) + Sync);

struct Job(Region);
// SAFETY: the pointee is Sync and outlives the region: `Pool::run` returns only after every worker left it.
unsafe impl Send for Job {}

struct Shared {
    epoch: AtomicUsize,
    pending: AtomicUsize,
    stop: AtomicBool,
    panicked: AtomicBool,
    job: Mutex<Option<Job>>,
    wake: Condvar,
    sleepers: AtomicUsize,
}

/// A team of `threads` threads, the caller among them as number 0.
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    threads: usize,
}

impl Pool {
    /// Starts `threads - 1` workers (at least 0).
    pub fn new(threads: usize) -> Pool {
        let threads = threads.max(1);
        let shared = Arc::new(Shared {
            epoch: AtomicUsize::new(0),
            pending: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            panicked: AtomicBool::new(false),
            job: Mutex::new(None),
            wake: Condvar::new(),
            sleepers: AtomicUsize::new(0),
        });
        let workers = (1..threads)
            .map(|id| {
                let shared = Arc::clone(&shared);
                std::thread::Builder::new()
                    .name(format!("cpu-{id}"))
                    .spawn(move || work(&shared, id))
                    .expect("the system refused a thread")
            })
            .collect();
        Pool {
            shared,
            workers,
            threads,
        }
    }

    /// How many threads run a region.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Runs `region(thread)` once on every thread, 0 on the caller, and returns when all have ended. Regions must not
    /// nest.
    ///
    /// # Panics
    /// If a thread panicked in the region.
    pub fn run(&self, region: &(dyn Fn(usize) + Sync)) {
        if self.threads == 1 {
            return region(0);
        }
        // SAFETY: only the lifetime is erased; see `Job`.
        let job = Job(unsafe { std::mem::transmute::<&(dyn Fn(usize) + Sync), Region>(region) });
        self.shared.pending.store(self.threads - 1, Ordering::Relaxed);
        *self.shared.job.lock().unwrap_or_else(|e| e.into_inner()) = Some(job);
        self.shared.epoch.fetch_add(1, Ordering::SeqCst);
        if self.shared.sleepers.load(Ordering::SeqCst) > 0 {
            // Taking the lock orders this wake after a sleeper's last look at the epoch.
            drop(self.shared.job.lock().unwrap_or_else(|e| e.into_inner()));
            self.shared.wake.notify_all();
        }
        let own = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| region(0)));
        let mut spins = 0u32;
        while self.shared.pending.load(Ordering::Acquire) != 0 {
            spins += 1;
            if spins < SPINS {
                std::hint::spin_loop();
            } else {
                std::thread::yield_now();
            }
        }
        if self.shared.panicked.swap(false, Ordering::SeqCst) {
            panic!("a worker thread panicked in a parallel region");
        }
        if let Err(panic) = own {
            std::panic::resume_unwind(panic);
        }
    }

    /// Splits 0..n into contiguous parts whose bounds are multiples of `unit` and gives one to each thread.
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

    /// Runs `task(i)` for every i of 0..n, handed out one by one: for tasks of unequal cost.
    pub fn tasks(&self, n: usize, task: &(dyn Fn(usize) + Sync)) {
        let next = AtomicUsize::new(0);
        self.run(&|_| loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            if i >= n {
                break;
            }
            task(i);
        });
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        drop(self.shared.job.lock().unwrap_or_else(|e| e.into_inner()));
        self.shared.wake.notify_all();
        for worker in self.workers.drain(..) {
            let _ = worker.join();
        }
    }
}

fn work(shared: &Shared, id: usize) {
    let mut seen = 0;
    loop {
        let mut spins = 0u32;
        while shared.epoch.load(Ordering::Acquire) == seen {
            if shared.stop.load(Ordering::Relaxed) {
                return;
            }
            spins += 1;
            if spins < SPINS {
                std::hint::spin_loop();
                continue;
            }
            let mut guard = shared.job.lock().unwrap_or_else(|e| e.into_inner());
            shared.sleepers.fetch_add(1, Ordering::SeqCst);
            while shared.epoch.load(Ordering::SeqCst) == seen && !shared.stop.load(Ordering::SeqCst) {
                guard = shared.wake.wait(guard).unwrap_or_else(|e| e.into_inner());
            }
            shared.sleepers.fetch_sub(1, Ordering::SeqCst);
        }
        seen += 1;
        let region = shared
            .job
            .lock()
            .unwrap_or_else(|e| e.into_inner())
            .as_ref()
            .map(|job| job.0);
        if let Some(region) = region {
            // SAFETY: see `Job`: the caller waits for `pending` to reach 0 before the region's borrow ends.
            let run = std::panic::AssertUnwindSafe(|| unsafe { (*region)(id) });
            if std::panic::catch_unwind(run).is_err() {
                shared.panicked.store(true, Ordering::SeqCst);
            }
        }
        shared.pending.fetch_sub(1, Ordering::Release);
    }
}
