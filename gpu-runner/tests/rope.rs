//! Rotation: against f64, and its scalings.

use gpu_runner::model::rope::{Rope, RopeScaling};

use super::kv_trace::Random;

#[test]
fn rotation_turns_adjacent_pairs_by_position_over_base() {
    let rope = Rope::new(64, 100_000.0, &RopeScaling::None, 4096).unwrap();
    let x = Random(1).floats(128, 1.0);
    for position in [0usize, 1, 255, 256, 4095] {
        let mut y = x.clone();
        rope.apply(&mut y, position);
        for (i, (a, b)) in x.chunks_exact(2).zip(y.chunks_exact(2)).enumerate() {
            let angle = position as f64 * 100_000f64.powf(-2.0 * (i % 32) as f64 / 64.0);
            let (x0, x1) = (f64::from(a[0]), f64::from(a[1]));
            assert!((f64::from(b[0]) - (x0 * angle.cos() - x1 * angle.sin())).abs() < 3e-7);
            assert!((f64::from(b[1]) - (x0 * angle.sin() + x1 * angle.cos())).abs() < 3e-7);
        }
    }
}

#[test]
fn scaling_divides_angles() {
    let plain = Rope::new(64, 10_000.0, &RopeScaling::None, 512).unwrap();
    let linear = Rope::new(64, 10_000.0, &RopeScaling::Linear(4.0), 512).unwrap();
    assert_eq!(linear.row(400), plain.row(100));
    let mut factors = vec![1.0; 32];
    factors[31] = 8.0;
    let llama = Rope::new(64, 10_000.0, &RopeScaling::Factors(factors), 512).unwrap();
    assert_eq!(llama.row(400)[..31], plain.row(400)[..31]);
    assert_eq!(llama.row(400)[31], plain.row(50)[31]);
}

#[test]
fn settings_that_no_model_has_are_refused() {
    for (d, base, scaling) in [
        (63, 1e4, RopeScaling::None),
        (64, -1.0, RopeScaling::None),
        (64, f32::NAN, RopeScaling::None),
        (64, 1e4, RopeScaling::Linear(0.0)),
        (64, 1e4, RopeScaling::Factors(vec![1.0; 31])),
    ] {
        let error = Rope::new(d, base, &scaling, 16).err().unwrap();
        assert_eq!(error.kind(), "unsupported", "{d} {base} {scaling:?}");
    }
}
