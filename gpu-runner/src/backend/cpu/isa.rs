//! The instruction sets that kernels are written for, chosen once at run time by exactly the features used.

/// One instruction set family. Every kernel has one function per variant with equal bits.
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
    /// The best set of this machine, or the one named by `KVSWEEP_ISA` (`scalar`, `avx2`, `avx512`) if the machine
    /// has it.
    pub fn detect() -> Isa {
        let best = Self::best();
        match std::env::var("KVSWEEP_ISA").as_deref() {
            Ok("scalar") => Isa::Scalar,
            Ok("avx2") => best.min(Isa::Avx2),
            _ => best,
        }
    }

    fn best() -> Isa {
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = std::is_x86_feature_detected!("avx2")
                && std::is_x86_feature_detected!("fma")
                && std::is_x86_feature_detected!("f16c");
            let avx512 = avx2
                && std::is_x86_feature_detected!("avx512f")
                && std::is_x86_feature_detected!("avx512bw")
                && std::is_x86_feature_detected!("avx512dq")
                && std::is_x86_feature_detected!("avx512vl")
                && std::is_x86_feature_detected!("avx512vnni");
            if avx512 {
                return Isa::Avx512;
            }
            if avx2 {
                return Isa::Avx2;
            }
        }
        Isa::Scalar
    }
}
