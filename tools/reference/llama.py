"""A plain llama forward pass in floating point: dequantised weights, no int8 activations, no cache tricks.

Shapes: T tokens, Hq query heads, Hk kv heads, d channels a head. RoPE pairs are adjacent channels (2i, 2i+1), the order
of llama files in GGUF. Only numpy computes; the `gguf` package opens the file and dequantises its blocks.
"""

from dataclasses import dataclass, field

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize


@dataclass
class Layer:
    """What a layer computed: q [T, Hq, d] and k [T, Hk, d] before and after RoPE, v [T, Hk, d]."""

    q_pre: np.ndarray
    k_pre: np.ndarray
    q: np.ndarray
    k: np.ndarray
    v: np.ndarray


@dataclass
class Forward:
    """Every layer's q, k and v, and the logits [vocab] of the last token."""

    layers: list = field(default_factory=list)
    logits: np.ndarray = None


def softmax(x):
    """Over the last axis."""
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def rope(x, positions, base):
    """x [T, heads, d] rotated to positions [T]."""
    d = x.shape[-1]
    angle = positions[:, None].astype(np.float64) * base ** (-np.arange(0, d, 2) / d)
    cos, sin = np.cos(angle)[:, None].astype(x.dtype), np.sin(angle)[:, None].astype(x.dtype)
    out = np.empty_like(x)
    out[..., 0::2] = x[..., 0::2] * cos - x[..., 1::2] * sin
    out[..., 1::2] = x[..., 1::2] * cos + x[..., 0::2] * sin
    return out


class Llama:
    """A llama model of a GGUF file, in float32 or float64."""

    def __init__(self, path, dtype=np.float32):
        reader = GGUFReader(path)
        value = lambda name: reader.fields[f"llama.{name}"].contents()
        if reader.fields["general.architecture"].contents() != "llama":
            raise SystemExit(f"{path}: only llama models are read")
        self.dtype = dtype
        self.layers = value("block_count")
        self.q_heads = value("attention.head_count")
        self.kv_heads = value("attention.head_count_kv")
        self.eps = value("attention.layer_norm_rms_epsilon")
        self.base = value("rope.freq_base")
        self.tensors = {t.name: t for t in reader.tensors}
        self.weights = {n: dequantize(t.data, t.tensor_type).astype(dtype) for n, t in self.tensors.items()}
        self.head = self.weights.get("output.weight", self.weights["token_embd.weight"])

    def norm(self, x, name):
        mean = np.mean(x.astype(np.float64) ** 2, axis=-1, keepdims=True)
        return (x / np.sqrt(mean + self.eps)).astype(self.dtype) * self.weights[name]

    def attention(self, layer, q, k, v):
        """Causal attention of the newest len(q) tokens over all of k and v."""
        n, seen = len(q), len(k)
        group = self.q_heads // self.kv_heads
        hidden = np.arange(seen)[None, :] > np.arange(seen - n, seen)[:, None]
        out = np.empty_like(q)
        for head in range(self.q_heads):
            logits = q[:, head] @ k[:, head // group].T / np.sqrt(q.shape[-1]).astype(self.dtype)
            out[:, head] = softmax(np.where(hidden, -np.inf, logits)) @ v[:, head // group]
        return out

    def forward(self, ids, past=None):
        """Runs ids after the tokens of `past`, a Forward whose layers then hold all tokens."""
        result = Forward()
        x = self.weights["token_embd.weight"][np.asarray(ids)]
        first = len(past.layers[0].k) if past else 0
        positions = np.arange(first, first + len(ids))
        for l in range(self.layers):
            w = lambda name: self.weights[f"blk.{l}.{name}.weight"]
            y = self.norm(x, f"blk.{l}.attn_norm.weight")
            split = lambda name, heads: (y @ w(name).T).reshape(len(ids), heads, -1)
            q, k, v = split("attn_q", self.q_heads), split("attn_k", self.kv_heads), split("attn_v", self.kv_heads)
            new = Layer(q, k, rope(q, positions, self.base), rope(k, positions, self.base), v)
            if past:
                old = past.layers[l]
                new = Layer(*(np.concatenate([a, b]) for a, b in zip(vars(old).values(), vars(new).values())))
            result.layers.append(new)
            x = x + self.attention(l, new.q[first:], new.k, new.v).reshape(len(ids), -1) @ w("attn_output").T
            y = self.norm(x, f"blk.{l}.ffn_norm.weight")
            gate = y @ w("ffn_gate").T
            x = x + (gate / (1 + np.exp(-gate)) * (y @ w("ffn_up").T)) @ w("ffn_down").T
        result.logits = self.norm(x[-1:], "output_norm.weight")[0] @ self.head.T
        return result

    def greedy(self, ids, steps):
        """The prompt's forward, then `steps` greedy tokens: (tokens, the last forward)."""
        state, tokens = self.forward(ids), []
        for _ in range(steps):
            tokens.append(int(np.argmax(state.logits)))
            state = self.forward(tokens[-1:], state)
        return tokens, state
