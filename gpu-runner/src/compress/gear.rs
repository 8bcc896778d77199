//! GEAR: a backbone quantiser, a low-rank correction of its error, sparse outliers.
//!
//! Blocks are sealed once: the prompt's whole blocks as one, with rank `rank_prefill`, and each later block of `block`
//! tokens with rank `rank_decode`. In each line (K: a channel, V: a token) the largest and smallest values are kept as
//! differences to the backbone; what the backbone then misses is approximated by the product of two thin f16 matrices
//! from a seeded power iteration. `sparsity: 0` is GEAR-L; `backbone: kcvt` has no groups. The paper's intent, not its
//! reference code, which takes outliers of V over all kv heads and corrects against integer codes.
//!
//! Based on: Kang et al., "GEAR: An Efficient KV Cache Compression Recipe for Near-Lossless Generative Inference of LLM",
//! arXiv 2403.05527.

use serde_json::{json, Value};

use super::{refusal, Bits, Compressor, Param, ParamKind, ParamValue, Params, Spec};
use crate::backend::cpu::sparse::outliers::per_tail;
use crate::cache::sparse::Sparse;
use crate::cache::{Flush, Layout, Part};
use crate::model::Shape;
use crate::Result;

/// The method.
pub struct Gear;

static SPEC: Spec = Spec {
    name: "gear",
    title: "GEAR",
    family: "quant+lowrank+sparse",
    section: 6,
    params: &[
        Param::new(
            "bits",
            ParamKind::Numbers(&[2, 4, 8, 16]),
            ParamValue::Int(2),
            "backbone bits for K and V; 16 stores f16 and disables the other two parts",
        ),
        Param::new(
            "group",
            ParamKind::Sizes(&[32, 64, 128]),
            ParamValue::Int(64),
            "backbone group length G",
        )
        .read_when("backbone", "kivi"),
        Param::new(
            "backbone",
            ParamKind::Words(&["kivi", "kcvt"]),
            ParamValue::Word("kivi"),
            "kivi: K per channel in groups of G tokens, V per token in groups of G channels; kcvt: K per channel over the \
             whole block, V per token over the head's d channels",
        ),
        Param::new(
            "sparsity",
            ParamKind::Between(0.0, 0.2),
            ParamValue::Float(0.02),
            "fraction of outliers s, half per tail; 0 gives GEAR-L",
        ),
        Param::new(
            "rank_prefill",
            ParamKind::Range(0, 64),
            ParamValue::Int(4),
            "rank of the prompt block's correction",
        ),
        Param::new(
            "rank_decode",
            ParamKind::Range(0, 64),
            ParamValue::Int(2),
            "rank of each later block's correction",
        ),
        Param::new(
            "loop",
            ParamKind::Range(1, 10),
            ParamValue::Int(3),
            "power iteration passes",
        ),
        Param::new(
            "block",
            ParamKind::Sizes(&[32, 64, 128, 256]),
            ParamValue::Int(64),
            "tokens per block (the papers' streaming gap)",
        ),
        Param::new(
            "seed",
            ParamKind::Range(0, 9_007_199_254_740_991),
            ParamValue::Int(0),
            "seed of the starting matrices P",
        ),
    ],
    aliases: &[],
    evict_at: None,
    key_form: "post_rope",
    head_granularity: "kv",
    first_token_equals_baseline: "exact",
    bits_k: "bits+32/gk+16*r*(n+d)/(n*d)+64*t(n)/n",
    bits_v: "bits+32/gv+16*r*(n+d)/(n*d)+64*t(d)/d",
    compose_role: None,
    rules: &[
        "block % group == 0 (backbone kivi)",
        "head_dim % group == 0 (backbone kivi)",
    ],
    derived: &[],
    identity_setting: Some("bits=16"),
    side_state: None,
    paper: Some("arXiv 2403.05527"),
    source: "GEAR: GenerationBench/GenerationTest/GEARLM/Simulated/compress_function.py, cuda_supported_gear/",
    remarks: Some("bits_examples are for a decode block: bits 2, G 64, n 64, r 2, s 0.02"),
};

/// Elements per group; `None` where whole lines are groups.
fn group(params: &Params) -> Option<usize> {
    (params.word("backbone") == "kivi").then(|| params.count("group"))
}

impl Compressor for Gear {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn check(&self, params: &Params, shape: Option<Shape>) -> Result<()> {
        let Some(group) = group(params) else {
            return Ok(());
        };
        let block = params.count("block");
        if !block.is_multiple_of(group) {
            let message = format!("gear: block {block} is not a multiple of group {group}; choose a smaller group");
            return Err(refusal("param_conflict", message));
        }
        if let Some(shape) = shape.filter(|s| !s.head_dim.is_multiple_of(group)) {
            let message = format!(
                "gear: head dimension {} is not a multiple of group {group}; choose a smaller group, or backbone kcvt",
                shape.head_dim
            );
            return Err(refusal("head_dim_unsupported", message));
        }
        Ok(())
    }

    fn amend(&self, row: &mut Value) {
        row["bits_per_element"]["variables"] = json!(
            "n tokens of the block, r its rank, gk=G or n (kcvt), gv=G or d (kcvt), t(m)=0 if sparsity=0 else \
             max(1,floor(m*sparsity/2)); an outlier costs 32 bits (u16 index, f16 difference)"
        );
    }

    /// Those of a decode block.
    fn bits(&self, params: &Params, head_dim: usize) -> Bits {
        let bits = params.int("bits") as f64;
        if bits == 16.0 {
            return Bits { k: 16.0, v: 16.0 };
        }
        let (block, sparsity) = (params.count("block"), params.float("sparsity"));
        let (n, d) = (block as f64, head_dim as f64);
        let rank = params.count("rank_decode").min(block).min(head_dim) as f64;
        let of = |line: usize| {
            let group = group(params).unwrap_or(line) as f64;
            let outliers = 64.0 * per_tail(line, sparsity) as f64 / line as f64;
            bits + 32.0 / group + 16.0 * rank * (n + d) / (n * d) + outliers
        };
        Bits {
            k: of(block),
            v: of(head_dim),
        }
    }

    fn layout(&self, params: &Params, _layer: usize, _shape: Shape) -> Layout {
        if params.int("bits") == 16 {
            return Layout::f16();
        }
        let (bits, block) = (params.int("bits") as u8, params.count("block"));
        let gear = crate::cache::sparse::Gear {
            bits,
            group: group(params),
            block,
            sparsity: params.float("sparsity"),
            ranks: [params.count("rank_prefill"), params.count("rank_decode")],
            loops: params.count("loop"),
            seed: params.int("seed") as u64,
        };
        Layout {
            page_tokens: block,
            k: Part::Sparse { bits },
            v: Part::Sparse { bits },
            k_flush: Flush::Block(block),
            v_flush: Flush::Block(block),
            sparse: Some(Sparse::Gear(gear)),
            ..Layout::f16()
        }
    }

    fn identity(&self) -> Option<Value> {
        Some(json!({"bits": 16}))
    }
}
