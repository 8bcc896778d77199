//! The group quantiser on f32 values: m = f16(min), s = f16((max - m) / top), codes to nearest even of (x - m) / s.

use half::f16;

use super::to_f16;

/// Scale and minimum of one group.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// Stored scale, 1 for a group without range.
    pub scale: f16,
    /// Stored minimum.
    pub min: f16,
}

impl Scale {
    /// Of the values of a group, for codes of `bits`.
    pub fn of(values: impl Iterator<Item = f32>, bits: u8) -> Scale {
        let (mut least, mut most) = (f32::INFINITY, f32::NEG_INFINITY);
        for x in values {
            least = if x < least { x } else { least };
            most = if x > most { x } else { most };
        }
        // Adding 0 turns a minimum of -0 into 0, whichever of both zeros was met first.
        let min = to_f16(least + 0.0);
        let scale = to_f16((most - min.to_f32()) / top(bits));
        let scale = if scale.to_f32() == 0.0 { f16::ONE } else { scale };
        Scale { scale, min }
    }

    /// The code of a value.
    pub fn code(self, x: f32, bits: u8) -> u8 {
        let code = (x - self.min.to_f32()) / self.scale.to_f32();
        code.clamp(0.0, top(bits)).round_ties_even() as u8
    }

    /// The value of a code. The product is exact.
    pub fn value(self, code: u8) -> f32 {
        f32::from(code) * self.scale.to_f32() + self.min.to_f32()
    }
}

fn top(bits: u8) -> f32 {
    ((1u32 << bits) - 1) as f32
}
