use gpu_runner::backend::cpu::Pool;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

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
fn a_panic_in_any_part_reaches_the_caller_and_the_pool_lives_on() {
    let pool = Pool::new(2);
    for bad in 0..8 {
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            pool.tasks(8, &|i| assert_ne!(i, bad, "part {bad} fails on purpose"));
        }));
        assert!(caught.is_err());
        let ran = AtomicUsize::new(0);
        pool.run(&|_| {
            ran.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(ran.into_inner(), 2);
    }
}

#[test]
fn a_region_inside_a_region_is_refused() {
    for threads in [1, 2] {
        let pool = Pool::new(threads);
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            pool.run(&|_| pool.run(&|_| {}));
        }));
        assert!(caught.is_err());
    }
}

#[test]
fn what_a_region_wrote_is_seen_after_it_also_when_threads_had_parked() {
    let pool = Pool::new(4);
    let cells: Vec<AtomicUsize> = (0..64).map(|_| AtomicUsize::new(0)).collect();
    for round in 1..200 {
        if round % 20 == 0 {
            // Longer than a thread spins, so that this region begins by waking the others.
            std::thread::sleep(Duration::from_millis(1));
        }
        pool.tasks(cells.len(), &|i| {
            assert_eq!(cells[i].load(Ordering::Relaxed), round - 1);
            cells[i].store(round, Ordering::Relaxed);
        });
        assert!(cells.iter().all(|cell| cell.load(Ordering::Relaxed) == round));
    }
}
