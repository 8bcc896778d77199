use gpu_runner::backend::cpu::exp2::{exp2_in_place, exp2_poly};
use gpu_runner::backend::cpu::Isa;

/// A cheap generator of test inputs: SplitMix64.
pub fn uniform(seed: u64, n: usize, lo: f32, hi: f32) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) >> 40
    };
    (0..n)
        .map(|_| lo + (hi - lo) * (next() as f32 / (1u32 << 24) as f32))
        .collect()
}

pub fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|v| v.to_bits()).collect()
}

#[test]
fn exp2_is_exact_at_whole_numbers_and_at_the_ends() {
    for n in -126..=127 {
        assert_eq!(exp2_poly(n as f32), 2f32.powi(n));
    }
    assert_eq!(exp2_poly(-149.0), f32::from_bits(1));
    assert_eq!(exp2_poly(-151.0), 0.0);
    assert_eq!(exp2_poly(f32::NEG_INFINITY), 0.0);
    assert_eq!(exp2_poly(128.0), f32::INFINITY);
    assert_eq!(exp2_poly(f32::INFINITY), f32::INFINITY);
    assert!(exp2_poly(f32::NAN).is_nan());
}

#[test]
fn exp2_is_within_two_units_in_the_last_place() {
    for x in uniform(1, 200_000, -126.0, 127.9) {
        let exact = f64::from(x).exp2();
        let error = (f64::from(exp2_poly(x)) - exact).abs() / exact;
        assert!(error < 2.0 * f64::from(f32::EPSILON), "2^{x}: relative error {error}");
    }
}

#[test]
fn exp2_has_the_same_bits_on_every_instruction_set() {
    let mut x = uniform(2, 50_003, -160.0, 130.0);
    x.extend([
        0.0,
        -0.0,
        0.5,
        -0.5,
        127.99,
        -149.5,
        -150.0,
        1e30,
        -1e30,
        f32::INFINITY,
        f32::NEG_INFINITY,
    ]);
    let scalar: Vec<u32> = x.iter().map(|v| exp2_poly(*v).to_bits()).collect();
    for isa in Isa::available() {
        let mut y = x.clone();
        exp2_in_place(isa, &mut y);
        assert_eq!(bits(&y), scalar, "{}", isa.name());
    }
}
