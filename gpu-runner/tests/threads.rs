use gpu_runner::backend::cpu::Pool;
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn every_item_runs_exactly_once_over_many_regions() {
    let pool = Pool::new(3);
    for n in [0, 1, 2, 7, 64, 1000] {
        for _ in 0..200 {
            let sum = AtomicUsize::new(0);
            pool.tasks(n, &|i| {
                sum.fetch_add(i + 1, Ordering::Relaxed);
            });
            assert_eq!(sum.into_inner(), n * (n + 1) / 2);
        }
    }
}

#[test]
fn split_bounds_are_multiples_of_the_unit() {
    let pool = Pool::new(2);
    let covered = AtomicUsize::new(0);
    pool.split(100, 16, &|part| {
        assert_eq!(part.start % 16, 0);
        covered.fetch_add(part.len(), Ordering::Relaxed);
    });
    assert_eq!(covered.into_inner(), 100);
}

#[test]
fn a_panic_in_a_worker_reaches_the_caller_and_the_pool_lives_on() {
    let pool = Pool::new(2);
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        pool.run(&|id| assert_ne!(id, 1, "thread 1 fails on purpose"));
    }));
    assert!(caught.is_err());
    pool.run(&|_| {});
}
