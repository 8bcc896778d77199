"""Scores and budgets of evicting methods, written plainly from their papers and from sections 1 and 8 to 16 of the design.

q [T, Hq, d] and k [T, Hk, d] after RoPE, positions 0..T. Everything is float64. Every function returns scores [Hk, n].
"""

import numpy as np

from llama import softmax

# The last h2o sums: variants of one layer share them.
LAST = {}


def grouped(x, kv_heads):
    """[Hq, ...] as [Hk, g, ...]: query head i reads kv head i // g."""
    return x.reshape(kv_heads, -1, *x.shape[1:])


def logits(q, k):
    """[Hq, rows, T] of the given query rows against all keys, unmasked."""
    heads = grouped(q.astype(np.float64).transpose(1, 0, 2), k.shape[1])
    keys = k.astype(np.float64).transpose(1, 2, 0)[:, None]
    return (heads @ keys / np.sqrt(q.shape[-1])).reshape(q.shape[1], len(q), len(k))


def causal(x, seen):
    """Hides from row i of the newest rows what lies behind it."""
    rows = x.shape[-2]
    hidden = np.arange(seen)[None, :] > np.arange(seen - rows, seen)[:, None]
    return np.where(hidden, -np.inf, x)


def pooled(x, kernel, kind):
    """Along the last axis, stride 1, window i - k//2 .. i + k//2. avg divides by k always, max ignores what is missing."""
    if kind == "none":
        return x
    half, fill = kernel // 2, -np.inf if kind == "max" else 0.0
    pad = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(half, half)], constant_values=fill)
    windows = np.lib.stride_tricks.sliding_window_view(pad, kernel, axis=-1)
    return windows.max(-1) if kind == "max" else windows.sum(-1) / kernel


def observed(q, k, w, kernel, pool, gqa="mean", gqa_at="weights"):
    """SnapKV: what the last w queries look at. Scores of columns [0, T - w)."""
    T, kv_heads = k.shape[:2]
    reduce = {"mean": np.mean, "max": np.max}[gqa]
    x = causal(logits(q[-w:], k), T)
    if gqa_at == "logits":
        x = reduce(grouped(x, kv_heads), axis=1)
    x = softmax(x)[..., : T - w].sum(axis=1)
    if gqa_at == "weights":
        x = reduce(grouped(x, kv_heads), axis=1)
    x = pooled(x, kernel, pool)
    return reduce(grouped(x, kv_heads), axis=1) if gqa_at == "pooled" else x


def accumulated(q, k, visible=False, block=256):
    """H2O: sums over all causal softmax rows, mean over the group."""
    T, kv_heads = k.shape[:2]
    sums = LAST.get("sums") if LAST.get("q") is q and LAST.get("k") is k else None
    if sums is None:
        sums = np.zeros((q.shape[1], T))
        for first in range(0, T, block):
            rows = q[first : first + block]
            end = first + len(rows)
            sums[:, :end] += softmax(causal(logits(rows, k[:end]), end)).sum(axis=1)
        LAST.update(q=q, k=k, sums=sums)
    scores = grouped(sums, kv_heads).mean(axis=1)
    return scores / (T - np.arange(T)) if visible else scores


def newest(q, k, heads="layer"):
    """TOVA: weights of the newest query, mean over all heads of the layer or over the group."""
    weights = softmax(logits(q[-1:], k)[:, 0])
    mean = grouped(weights, k.shape[1]).mean(axis=1)
    return np.broadcast_to(mean.mean(axis=0), mean.shape) if heads == "layer" else mean


def knorm(k):
    """Small keys stay."""
    return -np.linalg.norm(k.astype(np.float64), axis=-1).T


def keydiff(k):
    """Minus the cosine to the mean of the unit keys."""
    unit = k.astype(np.float64)
    norms = np.linalg.norm(unit, axis=-1, keepdims=True)
    unit = np.divide(unit, norms, out=np.zeros_like(unit), where=norms > 0)
    mean = unit.mean(axis=0)
    mean /= np.maximum(np.linalg.norm(mean, axis=-1, keepdims=True), 1e-300)
    return -np.einsum("thd,hd->ht", unit, mean)


def r_kv(q, k, w, kernel=7, pool="max", weight=0.1, threshold=0.5):
    """R-KV: importance minus redundancy over [0, n - w)."""
    n, kv_heads = k.shape[:2]
    x = grouped(logits(q[-w:], k[: n - w]), kv_heads).max(axis=1)
    importance = pooled(softmax(x).mean(axis=1), kernel, pool)
    scores = []
    for head in range(kv_heads):
        keys = k[:, head].astype(np.float64)
        unit = keys / (np.linalg.norm(keys, axis=-1, keepdims=True) + 1e-8)
        s = unit @ unit.T
        np.fill_diagonal(s, 0)
        near = s > threshold
        last = n - 1 - np.argmax(near[:, ::-1], axis=1)
        rows = np.nonzero(near.any(axis=1))[0]
        s[rows, last[rows]] = 0
        redundancy = softmax(s.mean(axis=0))[: n - w]
        scores.append(weight * importance[head] - (1 - weight) * redundancy)
    return np.array(scores)


def lag_spreads(x, first, lag):
    """LagKV: of x [T, d], for the tokens first .. first + lag, how far channels scaled by the next partition spread."""
    part, following = x[first : first + lag], x[first + lag : first + 2 * lag]
    low, high = following.min(axis=0), following.max(axis=0)
    span = high - low
    return np.divide(part - low, span, out=np.zeros_like(part), where=span > 0).std(axis=1, ddof=1)
