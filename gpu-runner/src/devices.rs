//! `devices`: what this machine offers to the engine.

use crate::backend::cpu::peak::{measure, Peaks};
use crate::backend::cpu::{Isa, Pool};
use crate::Result;
use serde::Serialize;
use std::io::Write;

/// The answer of `devices --json`.
#[derive(Debug, Serialize)]
pub struct Devices {
    /// The host processor.
    pub cpu: Cpu,
    /// GPUs that the NVIDIA driver lists; see `gpu_note` for whether they are of use.
    pub gpus: Vec<Gpu>,
    /// What this build can do with them.
    pub gpu_note: &'static str,
    /// The first line of the driver's version, if there is a driver.
    pub gpu_driver: Option<String>,
    /// Ceilings at one thread and at all, with `--measure`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured: Option<Vec<Peaks>>,
}

/// The host processor.
#[derive(Debug, Serialize)]
pub struct Cpu {
    /// The model name that the system reports.
    pub name: String,
    /// Cores that this process may run on.
    pub cores: usize,
    /// The instruction set that kernels use here: the best one, or the one named by KVSWEEP_ISA.
    pub isa: &'static str,
    /// Every set that the kernels could use here.
    pub isas: Vec<&'static str>,
    /// Which of the features that kernels are written for the processor has.
    pub features: Vec<&'static str>,
    /// Bytes of memory, and of it available now; 0 where the system does not say.
    pub memory_bytes: u64,
    /// Bytes that could be allocated now.
    pub memory_available_bytes: u64,
}

/// A GPU.
#[derive(Debug, Serialize)]
pub struct Gpu {
    /// Its address on the bus.
    pub bus: String,
    /// Its model name.
    pub name: String,
}

/// Looks at the machine; with `measured`, also times it (about a second).
///
/// # Errors
/// If KVSWEEP_ISA names a set that is unknown or that this machine lacks.
pub fn devices(measured: bool) -> Result<Devices> {
    let isa = Isa::from_env()?;
    let cores = cores();
    let peaks = |threads: usize| measure(isa, &Pool::new(threads));
    Ok(Devices {
        cpu: Cpu {
            name: cpu_name(),
            cores,
            isa: isa.name(),
            isas: Isa::available().iter().map(|isa| isa.name()).collect(),
            features: features(),
            memory_bytes: meminfo("MemTotal"),
            memory_available_bytes: meminfo("MemAvailable"),
        },
        gpus: gpus(),
        gpu_note: "no CUDA backend in this build: GPUs are listed but not used",
        gpu_driver: std::fs::read_to_string("/proc/driver/nvidia/version")
            .ok()
            .and_then(|text| text.lines().next().map(str::to_string)),
        measured: measured.then(|| match cores {
            1 => vec![peaks(1)],
            _ => vec![peaks(1), peaks(cores)],
        }),
    })
}

/// Prints it, as one JSON line or as text.
///
/// # Errors
/// As [`devices`].
pub fn print(json: bool, measured: bool, out: &mut dyn Write) -> Result<()> {
    let found = devices(measured)?;
    let text = if json {
        serde_json::to_string(&found).unwrap_or_default()
    } else {
        describe(&found)
    };
    // A closed stdout is the reader's choice.
    let _ = writeln!(out, "{text}");
    Ok(())
}

fn describe(found: &Devices) -> String {
    let cpu = &found.cpu;
    let mut lines = vec![
        format!("cpu: {}, {} cores, kernels use {}", cpu.name, cpu.cores, cpu.isa),
        format!("     features {}", cpu.features.join(" ")),
        format!(
            "     memory {:.1} GB, {:.1} GB available",
            cpu.memory_bytes as f64 / 1e9,
            cpu.memory_available_bytes as f64 / 1e9
        ),
        format!("gpu: {} found; {}", found.gpus.len(), found.gpu_note),
    ];
    lines.extend(found.gpus.iter().map(|gpu| format!("     {} {}", gpu.bus, gpu.name)));
    lines.extend(found.gpu_driver.iter().map(|driver| format!("     {driver}")));
    for peaks in found.measured.iter().flatten() {
        lines.push(format!(
            "{} threads: copy {:.1} GB/s, read {:.1} GB/s, int8 {:.0} GOP/s, f32 {:.0} GFLOP/s",
            peaks.threads, peaks.copy_gb_s, peaks.read_gb_s, peaks.int8_gop_s, peaks.f32_gflop_s
        ));
    }
    lines.join("\n")
}

/// Cores that this process may run on.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get())
}

/// The processor's model name.
pub fn cpu_name() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    info.lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or_else(
            || std::env::consts::ARCH.to_string(),
            |(_, name)| name.trim().to_string(),
        )
}

/// What the driver says in /proc, without loading its library: a folder per GPU with a file of `Key: value` lines.
fn gpus() -> Vec<Gpu> {
    let Ok(folders) = std::fs::read_dir("/proc/driver/nvidia/gpus") else {
        return Vec::new();
    };
    let mut found: Vec<Gpu> = folders
        .flatten()
        .filter_map(|folder| {
            let text = std::fs::read_to_string(folder.path().join("information")).ok()?;
            let name = text.lines().find_map(|line| line.strip_prefix("Model:"))?;
            Some(Gpu {
                bus: folder.file_name().to_string_lossy().into_owned(),
                name: name.trim().to_string(),
            })
        })
        .collect();
    found.sort_by(|a, b| a.bus.cmp(&b.bus));
    found
}

/// A line of /proc/meminfo in bytes.
fn meminfo(key: &str) -> u64 {
    let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    info.lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))
        .and_then(|rest| rest.trim().strip_suffix(" kB")?.parse::<u64>().ok())
        .map_or(0, |kib| kib * 1024)
}

#[cfg(target_arch = "x86_64")]
fn features() -> Vec<&'static str> {
    macro_rules! those_present {
        ($($name:tt),*) => {{
            let mut found = Vec::new();
            $(if std::is_x86_feature_detected!($name) { found.push($name); })*
            found
        }};
    }
    those_present!(
        "avx2",
        "fma",
        "f16c",
        "avx512f",
        "avx512bw",
        "avx512dq",
        "avx512vl",
        "avx512vnni"
    )
}

#[cfg(not(target_arch = "x86_64"))]
fn features() -> Vec<&'static str> {
    Vec::new()
}
