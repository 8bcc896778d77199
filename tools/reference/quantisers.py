"""KIVI and GEAR, quantised and dequantised plainly (sections 2.1, 5 and 6). X [n, d] is one store's K or V, float16."""

import numpy as np

import random_numbers


def groups(x, bits, group):
    """Codes, scales and minima along the last axis of x float32 [..., len]; the last group may be short."""
    out = np.empty_like(x, dtype=np.float32)
    top = np.float32(2**bits - 1)
    for first in range(0, x.shape[-1], group):
        part = x[..., first : first + group].astype(np.float32)
        low = part.min(axis=-1, keepdims=True).astype(np.float16).astype(np.float32)
        span = part.max(axis=-1, keepdims=True) - low
        scale = (span / top).astype(np.float16).astype(np.float32)
        flat = scale == 0
        scale = np.where(flat, np.float32(1), scale)
        codes = np.where(flat, np.float32(0), np.rint(np.clip((part - low) / scale, 0, top)))
        out[..., first : first + group] = codes * scale + low
    return out


def sealed_counts(T, window, v_flush):
    """Sealed entries of K and of V after a prompt of T tokens."""
    k = T - T % window
    return k, (k if v_flush == "block" else max(0, T - window))


def kivi(K, V, k_bits=2, v_bits=2, group=32, window=128, v_flush="token"):
    """K', V' as attention reads them after the prompt, float32 [T, d]."""
    k_sealed, v_sealed = sealed_counts(len(K), window, v_flush)
    k, v = K.astype(np.float32), V.astype(np.float32)
    if k_bits < 16 and k_sealed:
        k[:k_sealed] = groups(np.ascontiguousarray(k[:k_sealed].T), k_bits, group).T
    if v_bits < 16 and v_sealed:
        v[:v_sealed] = groups(v[:v_sealed], v_bits, group)
    return k, v


def outliers(x, sparsity):
    """Mask along the last axis: the k largest and the k smallest of the rest, ties to the later index."""
    length = x.shape[-1]
    k = 0 if sparsity == 0 else max(1, int(np.floor(length * sparsity / 2)))
    mask = np.zeros(x.shape, bool)
    if k == 0:
        return mask
    index = np.arange(length)
    for row, out in zip(x.reshape(-1, length), mask.reshape(-1, length)):
        out[np.lexsort((index, row))[length - k :]] = True
        rest = np.where(out, np.inf, row)
        out[np.lexsort((-index, rest))[:k]] = True
    return mask


def backbone(x, lines, bits, group, sparsity):
    """B of a block x float32 [n, d]; `lines` says which axis a line runs along: K 0 (a channel), V 1 (a token)."""
    rows = np.ascontiguousarray(x.T) if lines == 0 else x
    mask = outliers(rows, sparsity)
    mean = rows.astype(np.float64).mean(axis=-1, keepdims=True).astype(np.float32)
    filled = np.where(mask, mean, rows)
    decoded = groups(filled, bits, group or rows.shape[-1])
    exact = decoded + (rows - decoded).astype(np.float16).astype(np.float32)
    B = np.where(mask, exact, decoded)
    E = np.where(mask, np.float32(0), rows - B)
    return (B.T, E.T) if lines == 0 else (B, E)


def orth(a):
    """The Q factor of a thin QR; a column that vanishes when orthogonalised becomes 0."""
    q = np.zeros_like(a)
    for i in range(a.shape[1]):
        column, before = a[:, i].copy(), np.linalg.norm(a[:, i])
        for _ in range(2):
            column -= q @ (q.T @ column)
        norm = np.linalg.norm(column)
        if before > 0 and norm >= 1e-6 * before:
            q[:, i] = column / norm
    return q


def low_rank(E, rank, loop, start):
    """f16 factors of E [n, d] by power iteration from start [d, r]."""
    P, E = start.astype(np.float64), E.astype(np.float64)
    for i in range(loop):
        last = i == loop - 1
        P = orth(P) if last else P
        Q = E @ P
        Q = orth(Q) if last else Q
        P = E.T @ Q
    return Q.astype(np.float16).astype(np.float64), P.astype(np.float16).astype(np.float64)


def gear_block(X, tensor, rank, words, bits=2, group=64, backbone_="kivi", sparsity=0.02, loop=3, seed=0):
    """X' [n, d] and the backbone's B of one block; tensor 0 is K, 1 is V; words: layer, kv head, block ordinal."""
    x = X.astype(np.float32)
    n, d = x.shape
    B, E = backbone(x, tensor, bits, group if backbone_ == "kivi" else None, sparsity)
    r = min(rank, n, d)
    if r == 0:
        return B.astype(np.float64), B
    layer, head, ordinal = words
    h = random_numbers.key(seed, 1, layer, head, tensor, ordinal)
    start = random_numbers.uniform(h, np.arange(d * r)).reshape(d, r)
    Q, P = low_rank(E, r, loop, start)
    return B + Q @ P.T, B


def gear(K, V, layer, head, bits=2, block=64, rank_prefill=4, **params):
    """K', V' after the prompt: its first whole blocks as one block, the tail in f16. Also the backbone's K and V."""
    n = len(K) - len(K) % block
    out = []
    for tensor, X in enumerate((K, V)):
        full, plain = X.astype(np.float64), X.astype(np.float64)
        if n and bits < 16:
            full[:n], plain[:n] = gear_block(X[:n], tensor, rank_prefill, (layer, head, 0), bits, **params)
        out.append((full, plain))
    return out
