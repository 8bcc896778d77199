//! Keys before RoPE and values of every layer over whole sequences, for calibration.
//!
//! Layer-major over all sequences at once: the residuals of all of them stay, and K and V of one layer at a time, so that
//! memory does not grow with the number of layers.

use half::f16;
use serde_json::Value;

use super::{not_open, Llama, PREFILL_CHUNK};
use crate::backend::Backend;
use crate::compress::resolve;
use crate::{Error, Result};

impl<B: Backend> Llama<B> {
    /// See [`super::Runner::capture`].
    pub(super) fn capture_layers(
        &mut self,
        sequences: &[Vec<u32>],
        look: &mut dyn FnMut(&[f16], &[f16]),
        go_on: &dyn Fn() -> bool,
    ) -> Result<bool> {
        let all: Vec<u32> = sequences.iter().flatten().copied().collect();
        let longest = sequences.iter().map(Vec::len).max().unwrap_or(0);
        // The pages of the last cell are not needed any more, and memory is.
        self.cache = None;
        self.layer_kv = None;
        self.reserve(all.len(), longest.min(PREFILL_CHUNK), 1);
        self.embed(&all)?;
        // It holds no entry: rotation is read from it.
        let none = resolve(&Value::from("none"), Some(self.config.shape))?;
        let cache = self.backend.cache(&self.config, &none, &self.rope, 0)?;
        self.layer_kv = Some((self.backend.layer_kv(&self.config, longest, true), longest, true));
        let width = self.config.shape.kv_heads * self.config.shape.head_dim;
        let layers = self.config.shape.layers;
        for l in 0..layers {
            let mut keys = Vec::with_capacity(all.len() * width);
            let mut values = Vec::with_capacity(all.len() * width);
            let mut base = 0;
            for ids in sequences {
                for first in (0..ids.len()).step_by(PREFILL_CHUNK) {
                    if !go_on() {
                        return Ok(false);
                    }
                    let n = PREFILL_CHUNK.min(ids.len() - first);
                    self.project(l, base + first, n);
                    let (b, s) = (&self.backend, &mut self.scratch);
                    let (kv, ..) = self.layer_kv.as_mut().ok_or_else(not_open)?;
                    if b.rope_prefill(&cache, &s.qkv, first, n, &mut s.q, kv).nan {
                        let text = format!("K or V of layer {l} holds a NaN; the weights are damaged");
                        return Err(Error::Numeric(text));
                    }
                    if l + 1 < layers {
                        b.attend_prefill(&self.config, &s.q, first..first + n, kv, &mut s.attended, false);
                        self.finish_layer(l, base + first, n);
                    }
                }
                let (kv, ..) = self.layer_kv.as_ref().ok_or_else(not_open)?;
                let (k, v) = self.backend.raw_kv(kv, ids.len() * width);
                keys.extend_from_slice(k);
                values.extend_from_slice(v);
                base += ids.len();
            }
            look(&keys, &values);
        }
        Ok(true)
    }
}
