//! Random inputs of the benches: SplitMix64, seeded.

use crate::quant::WeightType;
use half::{bf16, f16};

/// A stream of uniform numbers.
pub(super) struct Uniform(u64);

impl Uniform {
    pub(super) fn new(seed: u64) -> Uniform {
        Uniform(seed)
    }

    fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// In [lo, hi).
    pub(super) fn next(&mut self, lo: f32, hi: f32) -> f32 {
        lo + (hi - lo) * (self.word() >> 40) as f32 / 16_777_216.0
    }

    /// `n` values in [lo, hi).
    pub(super) fn take(&mut self, n: usize, lo: f32, hi: f32) -> Vec<f32> {
        (0..n).map(|_| self.next(lo, hi)).collect()
    }

    /// `n` bytes.
    pub(super) fn bytes(&mut self, n: usize) -> Vec<u8> {
        (0..n).map(|_| (self.word() >> 56) as u8).collect()
    }
}

/// Random rows in the file's layout, with scales near 0.01.
pub(super) fn weights(ty: WeightType, rows: usize, cols: usize, seed: u64) -> Vec<u8> {
    let mut random = Uniform::new(seed);
    let values = |random: &mut Uniform| random.take(rows * cols, -0.05, 0.05);
    let scales_at: &[usize] = match ty {
        WeightType::F32 => return values(&mut random).iter().flat_map(|v| v.to_le_bytes()).collect(),
        WeightType::F16 => {
            let halves = values(&mut random);
            return halves.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect();
        }
        WeightType::BF16 => {
            let halves = values(&mut random);
            return halves.iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes()).collect();
        }
        WeightType::Q4_0 | WeightType::Q8_0 => &[0],
        WeightType::Q4_1 | WeightType::Q4K => &[0, 2],
        WeightType::Q6K => &[208],
    };
    let mut bytes = random.bytes(rows * ty.row_bytes(cols));
    for block in bytes.chunks_exact_mut(ty.block_bytes()) {
        for &at in scales_at {
            let scale = f16::from_f32(random.next(-0.02, 0.02));
            block[at..at + 2].copy_from_slice(&scale.to_le_bytes());
        }
    }
    bytes
}
