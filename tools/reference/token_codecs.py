"""Formats that code each token's vector alone, encoded and decoded plainly (sections 2.3, 4 and 14). x [n, d] float32."""

import numpy as np

import random_numbers
from quantisers import groups

# Centroids of N(0, 1), positive half, and the bounds between codes (section 14).
CENTROIDS = {
    1: [0.797885],
    2: [0.452780, 1.510418],
    3: [0.245094, 0.756005, 1.343909, 2.151946],
    4: [0.128395, 0.388048, 0.656759, 0.942340, 1.256231, 1.618046, 2.069017, 2.732590],
}
BOUNDS = {
    1: [0],
    2: [0, 0.981599],
    3: [0, 0.500550, 1.049957, 1.747927],
    4: [0, 0.258222, 0.522404, 0.799550, 1.099286, 1.437139, 1.843532, 2.400803],
}


def half(x):
    return np.asarray(x, np.float32).astype(np.float16).astype(np.float32)


def hadamard(x, block=None):
    """H x / sqrt(B) on blocks of the largest power of two that divides d."""
    d = x.shape[-1]
    B = block or d & -d
    y = x.reshape(-1, B).astype(np.float32)
    stride = 1
    while stride < B:
        pair = y.reshape(-1, B // (2 * stride), 2, stride)
        y = np.stack([pair[:, :, 0] + pair[:, :, 1], pair[:, :, 0] - pair[:, :, 1]], axis=2).reshape(-1, B)
        stride *= 2
    return (y * np.float32(1 / np.sqrt(B))).reshape(x.shape)


def e4m3(x):
    """To the nearest OCP E4M3 value, ties to even, saturated."""
    x = np.clip(x, -448, 448).astype(np.float64)
    exponent = np.floor(np.log2(np.maximum(np.abs(x), 2.0**-9)))
    quantum = 2.0 ** (np.maximum(exponent, -6) - 3)
    return (np.rint(x / quantum) * quantum).astype(np.float32)


def scaled(x, top):
    """f16 scale of a token, 1 if it has none."""
    s = half(np.abs(x).max(axis=-1, keepdims=True) / np.float32(top))
    return np.where(s == 0, np.float32(1), s)


def fp8_e4m3(x, scale="unit"):
    if scale == "unit":
        return e4m3(x)
    s = scaled(x, 448)
    return e4m3(x / s) * s


def int8_token_head(x):
    s = scaled(x, 127)
    return np.clip(np.rint(x / s), -127, 127) * s


def int4_token_head(x):
    return groups(x, 4, x.shape[-1])


def int2_token_head(x):
    return groups(x, 2, x.shape[-1])


def blocks(x):
    return x.reshape(*x.shape[:-1], -1, 32)


def inverse(sc):
    return np.divide(np.float32(1), sc, out=np.zeros_like(sc), where=sc != 0)


def q8_0(x):
    y = blocks(x)
    sc = np.abs(y).max(axis=-1, keepdims=True) / np.float32(127)
    z = y * inverse(sc)
    # Halves away from zero.
    q = np.trunc(z + np.copysign(np.float32(0.5), z))
    return (q * half(sc)).reshape(x.shape)


def q4_0(x):
    y = blocks(x)
    # The first value of largest magnitude, signed.
    v = np.take_along_axis(y, np.abs(y).argmax(axis=-1)[..., None], axis=-1)
    sc = v / np.float32(-8)
    q = np.minimum(15, np.trunc(y * inverse(sc) + np.float32(8.5)))
    return ((q - 8) * half(sc)).reshape(x.shape)


def codebook(x, bits, signs, renorm):
    """TurboQuant: rotate, normalise, round to the codebook of N(0, 1); signs [d] or 1."""
    d = x.shape[-1]
    c = np.array(CENTROIDS[bits], np.float32)
    b = np.array(BOUNDS[bits], np.float32)
    levels, bounds = np.concatenate([-c[::-1], c]), np.concatenate([-b[:0:-1], b])
    norm = np.sqrt((x.astype(np.float64) ** 2).sum(axis=-1, keepdims=True)).astype(np.float32)
    y = hadamard(x * signs, d) * np.float32(np.sqrt(d)) * inverse(norm)
    coded = levels[np.searchsorted(bounds, y, side="right")] / np.float32(np.sqrt(d))
    scale = norm / np.linalg.norm(coded, axis=-1, keepdims=True) if renorm else norm
    return hadamard(coded, d) * signs * half(scale)


def turboquant_mse(x, layer, tensor, bits, rotation="hadamard_signs", renorm=False, seed=0):
    d = x.shape[-1]
    signs = np.float32(1)
    if rotation == "hadamard_signs":
        signs = random_numbers.sign(random_numbers.key(seed, 2, layer, 0, tensor, 0), np.arange(d)).astype(np.float32)
    return codebook(x, bits, signs, renorm)


def turboquant_vllm(x, tensor, preset):
    """K on the codebook without signs, renormed; V unrotated in one group a token; k8v4: K as fp8."""
    k_bits, v_bits = {"k8v4": (8, 4), "4bit_nc": (4, 4), "k3v4_nc": (3, 4), "3bit_nc": (3, 3)}[preset]
    if tensor == 1:
        return groups(x, v_bits, x.shape[-1])
    return e4m3(x) if k_bits == 8 else codebook(x, k_bits, np.float32(1), True)


def token_codec(name, X, layer, layers, tensor, window=0, rotate="none", skip_first=0, skip_last=0, **params):
    """X' [n, d] of one store's K (tensor 0) or V (1) after the prompt: all but the last `window` entries are coded."""
    x = X.astype(np.float32)
    n = max(0, len(x) - window)
    if layer < min(skip_first, layers // 2) or layer >= layers - min(skip_last, layers // 2):
        return x
    y = x[:n]
    if name == "turboquant_mse":
        bits = params.pop("v_bits" if tensor else "k_bits")
        params.pop("k_bits" if tensor else "v_bits")
        coded = y if bits == 16 else turboquant_mse(y, layer, tensor, bits, **params)
    elif name == "turboquant_vllm":
        coded = turboquant_vllm(y, tensor, **params)
    else:
        y = hadamard(y) if rotate == "hadamard" else y
        coded = globals()[name](y, **params)
        coded = hadamard(coded) if rotate == "hadamard" else coded
    return np.concatenate([coded, x[n:]])
