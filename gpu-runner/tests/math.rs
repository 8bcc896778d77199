use gpu_runner::backend::cpu::exp2::{exp2_in_place, exp2_poly};
use gpu_runner::backend::cpu::{math, Isa};
use half::f16;

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

/// Lengths with and without a ragged end.
const LENGTHS: [usize; 5] = [1, 16, 37, 576, 1536];

/// The bits of `f` on every instruction set of this machine are those of the plainest; returns its result.
fn same_everywhere<T: PartialEq + std::fmt::Debug>(f: impl Fn(Isa) -> T) -> T {
    let plain = f(Isa::Scalar);
    for isa in Isa::available() {
        assert_eq!(f(isa), plain, "{}", isa.name());
    }
    plain
}

fn floats(bits: &[u32]) -> Vec<f32> {
    bits.iter().map(|b| f32::from_bits(*b)).collect()
}

fn assert_close(got: &[f32], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len());
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        let error = (f64::from(*got) - want).abs();
        assert!(error <= tolerance * want.abs().max(1e-3), "{i}: {got} for {want}");
    }
}

#[test]
fn rms_norm_agrees_with_f64_and_has_one_set_of_bits() {
    for n in LENGTHS {
        let (x, w, d) = (
            uniform(3, n, -3.0, 3.0),
            uniform(4, n, 0.5, 2.0),
            uniform(5, n, -1.0, 1.0),
        );
        let norm = |x: &[f64]| -> Vec<f64> {
            let mean = x.iter().map(|v| v * v).sum::<f64>() / n as f64;
            x.iter()
                .zip(&w)
                .map(|(x, w)| x / (mean + 1e-5).sqrt() * f64::from(*w))
                .collect()
        };
        let got = same_everywhere(|isa| {
            let mut out = vec![f32::NAN; n];
            math::rms_norm(isa, &x, &w, 1e-5, &mut out);
            bits(&out)
        });
        let wide: Vec<f64> = x.iter().map(|v| f64::from(*v)).collect();
        assert_close(&floats(&got), &norm(&wide), 1e-6);
        let (sum, got) = same_everywhere(|isa| {
            let (mut x, mut out) = (x.clone(), vec![f32::NAN; n]);
            math::add_rms_norm(isa, &mut x, &d, &w, 1e-5, &mut out);
            (bits(&x), bits(&out))
        });
        assert_eq!(sum, bits(&x.iter().zip(&d).map(|(x, d)| x + d).collect::<Vec<_>>()));
        let wide: Vec<f64> = floats(&sum).iter().map(|v| f64::from(*v)).collect();
        assert_close(&floats(&got), &norm(&wide), 1e-6);
    }
}

#[test]
fn sums_fold_sixteen_stripes_by_halves() {
    // 1 in stripe 0 is lost beside 2^24 of stripe 8 before stripes 4 and 12 are added: the order shows in the bits.
    let (mut x, y) = (vec![0f32; 48], vec![1f32; 48]);
    (x[0], x[8], x[4], x[36], x[1]) = (1.0, 16_777_216.0, 1.0, 1.0, 1.0);
    let got = same_everywhere(|isa| math::dot(isa, &x, &y).to_bits());
    assert_eq!(f32::from_bits(got), ((1.0f32 + 16_777_216.0) + (1.0 + 1.0)) + 1.0);
    for n in LENGTHS {
        let (x, y) = (uniform(6, n, -1.0, 1.0), uniform(7, n, -1.0, 1.0));
        let got = same_everywhere(|isa| math::dot(isa, &x, &y).to_bits());
        let want: f64 = x.iter().zip(&y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
        assert!((f64::from(f32::from_bits(got)) - want).abs() < 1e-5);
    }
}

#[test]
fn swiglu_agrees_with_f64_also_where_the_gate_is_shut_or_wide_open() {
    for n in LENGTHS {
        let (mut gate, up) = (uniform(8, n, -20.0, 20.0), uniform(9, n, -2.0, 2.0));
        if n > 16 {
            (gate[0], gate[1], gate[2]) = (-200.0, 200.0, 0.0);
        }
        let got = same_everywhere(|isa| {
            let mut out = vec![f32::NAN; n];
            math::swiglu(isa, &gate, &up, &mut out);
            bits(&out)
        });
        let want: Vec<f64> = gate
            .iter()
            .zip(&up)
            .map(|(g, u)| f64::from(*g) / (1.0 + (-f64::from(*g)).exp()) * f64::from(*u))
            .collect();
        assert_close(&floats(&got), &want, 3e-6);
    }
}

#[test]
fn softmax_sums_to_one_and_agrees_with_f64() {
    for n in LENGTHS {
        let x = uniform(10, n, -12.0, 12.0);
        let got = same_everywhere(|isa| {
            let mut y = x.clone();
            math::softmax(isa, &mut y, std::f32::consts::LOG2_E);
            bits(&y)
        });
        let got = floats(&got);
        let most = x.iter().fold(f64::NEG_INFINITY, |m, v| m.max(f64::from(*v)));
        let powers: Vec<f64> = x.iter().map(|v| (f64::from(*v) - most).exp()).collect();
        let sum: f64 = powers.iter().sum();
        assert_close(&got, &powers.iter().map(|p| p / sum).collect::<Vec<_>>(), 1e-5);
        assert!((got.iter().map(|v| f64::from(*v)).sum::<f64>() - 1.0).abs() < 1e-5);
        for isa in Isa::available() {
            let want = most + sum.ln();
            assert!((math::log_sum_exp(isa, &x) - want).abs() < 1e-12);
        }
    }
}

#[test]
fn argmax_takes_the_lowest_of_equals_and_refuses_what_is_not_finite() {
    for isa in Isa::available() {
        let mut x = uniform(11, 100, -1.0, 0.9);
        (x[41], x[97]) = (1.0, 1.0);
        assert_eq!(math::argmax(isa, &x), Some(41));
        x[98] = 2.0;
        assert_eq!(math::argmax(isa, &x), Some(98));
        assert_eq!(math::argmax(isa, &[-0.0, 0.0]), Some(0));
        assert_eq!(math::argmax(isa, &[-5.0]), Some(0));
        assert_eq!(math::argmax(isa, &[]), None);
        assert_eq!(math::first_not_finite(isa, &x), None);
        for bad in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for at in [0, 17, 99] {
                let mut y = x.clone();
                y[at] = bad;
                assert_eq!(math::argmax(isa, &y), None);
                assert_eq!(math::first_not_finite(isa, &y), Some(at));
            }
        }
    }
}

#[test]
fn sums_into_a_row_are_rounded_once() {
    for n in LENGTHS {
        let (x, y) = (uniform(12, n, -1.0, 1.0), uniform(13, n, -1.0, 1.0));
        let (sum, fused) = same_everywhere(|isa| {
            let (mut sum, mut fused) = (x.clone(), x.clone());
            math::add(isa, &mut sum, &y);
            math::scale_add(isa, &mut fused, 0.3, &y);
            (bits(&sum), bits(&fused))
        });
        for i in 0..n {
            assert_eq!(f32::from_bits(sum[i]), x[i] + y[i]);
            assert_eq!(f32::from_bits(fused[i]), 0.3f32.mul_add(y[i], x[i]));
        }
    }
}

#[test]
fn every_f16_survives_the_round_trip_and_f32_rounds_to_nearest_even() {
    let all: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).filter(|v| v.is_finite()).collect();
    let wide = same_everywhere(|isa| {
        let mut out = vec![f32::NAN; all.len()];
        math::f16_to_f32(isa, &all, &mut out);
        bits(&out)
    });
    let wide = floats(&wide);
    let back = |x: &[f32]| {
        same_everywhere(|isa| {
            let mut out = vec![f16::NAN; x.len()];
            let clamped = math::f32_to_f16(isa, x, &mut out);
            (clamped, out.iter().map(|v| v.to_bits()).collect::<Vec<_>>())
        })
    };
    assert_eq!(back(&wide), (0, all.iter().map(|v| v.to_bits()).collect()));
    // Half way between 1 and the next f16, and between that and the one after.
    let step = 1.0 / 1024.0;
    assert_eq!(back(&[1.0 + step / 2.0, 1.0 + step * 1.5]), (0, vec![0x3c00, 0x3c02]));
    let top = 65_504f32;
    let over = [65_519.0, -1e9, f32::INFINITY, f32::NEG_INFINITY, top, -top];
    assert_eq!(back(&over), (4, vec![0x7bff, 0xfbff, 0x7bff, 0xfbff, 0x7bff, 0xfbff]));
    for isa in Isa::available() {
        let mut out = [f16::ZERO];
        math::f32_to_f16(isa, &[f32::NAN], &mut out);
        assert!(out[0].is_nan());
    }
}
