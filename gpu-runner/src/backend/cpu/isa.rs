//! The instruction sets that kernels are written for, chosen once at run time by exactly the features used.

use crate::{Error, Result};

/// One instruction set family. Every kernel gives equal bits on each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isa {
    /// Plain Rust; `f32::mul_add` where the others fuse.
    Scalar,
    /// AVX2, FMA, F16C.
    Avx2,
    /// AVX-512 F, BW, DQ, VL and VNNI, beside AVX2, FMA and F16C.
    Avx512,
}

impl Isa {
    /// Every set, the plainest first.
    pub const ALL: [Isa; 3] = [Isa::Scalar, Isa::Avx2, Isa::Avx512];

    /// `scalar`, `avx2` or `avx512`.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Scalar => "scalar",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
        }
    }

    /// The best set of this machine.
    pub fn detect() -> Isa {
        Self::ALL
            .into_iter()
            .rev()
            .find(|isa| isa.is_available())
            .unwrap_or(Isa::Scalar)
    }

    /// The set named by the environment variable `KVSWEEP_ISA`, else the best one.
    ///
    /// # Errors
    /// As [`Isa::choose`].
    pub fn from_env() -> Result<Isa> {
        let wanted = std::env::var_os("KVSWEEP_ISA").filter(|v| !v.is_empty());
        Self::choose(wanted.map(|v| v.to_string_lossy().into_owned()).as_deref())
    }

    /// The set of that name, the best one for `None`.
    ///
    /// # Errors
    /// If no set has the name, or this machine lacks it.
    pub fn choose(wanted: Option<&str>) -> Result<Isa> {
        let Some(wanted) = wanted else {
            return Ok(Self::detect());
        };
        let Some(isa) = Self::ALL.into_iter().find(|isa| wanted == isa.name()) else {
            return Err(Error::BadRequest(format!(
                "KVSWEEP_ISA is {wanted:?}; name scalar, avx2 or avx512, or leave it unset for the best one"
            )));
        };
        if !isa.is_available() {
            return Err(Error::Unsupported(format!(
                "KVSWEEP_ISA is {wanted}, which this machine lacks; its best is {}",
                Self::detect().name()
            )));
        }
        Ok(isa)
    }

    /// The sets of this machine, the plainest first.
    pub fn available() -> Vec<Isa> {
        Self::ALL.into_iter().filter(|isa| isa.is_available()).collect()
    }

    /// Whether this machine has the set. The answer is cached by the standard library.
    pub fn is_available(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        {
            use std::is_x86_feature_detected as has;
            let avx2 = || has!("avx2") && has!("fma") && has!("f16c");
            let avx512 = || has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl");
            match self {
                Isa::Scalar => true,
                Isa::Avx2 => avx2(),
                Isa::Avx512 => avx2() && avx512() && has!("avx512vnni"),
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            self == Isa::Scalar
        }
    }

    /// # Panics
    /// If this machine lacks the set: kernels call it before the first instruction of the set.
    #[inline]
    pub fn require(self) {
        assert!(self.is_available(), "this machine has no {}", self.name());
    }
}
