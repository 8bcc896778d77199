#!/usr/bin/env python3
"""Makes gpu-runner/tests/fixtures/quant.json: random blocks of each weight type and what they stand for.

The weights come from the Python package `gguf` (0.19.0), an implementation that shares nothing with the engine's.

    pip install gguf==0.19.0
    python tools/goldens-quant.py > gpu-runner/tests/fixtures/quant.json
"""
import json
import sys

import gguf
import numpy as np

BLOCKS = 3
# where the f16 scales of a block are: random bits there would often be NaN
HALVES = {"Q4_0": [0], "Q4_1": [0, 2], "Q8_0": [0], "Q4_K": [0, 2], "Q6_K": [208]}

rng = np.random.default_rng(1)
rows = []
for name, halves in HALVES.items():
    kind = gguf.GGMLQuantizationType[name]
    _, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = rng.integers(0, 256, (BLOCKS, size), dtype=np.uint8)
    for at in halves:
        scales = rng.uniform(-0.5, 0.5, (BLOCKS, 1)).astype(np.float16)
        blocks[:, at : at + 2] = scales.view(np.uint8)
    weights = gguf.quants.dequantize(blocks.reshape(1, -1), kind).reshape(-1).astype(np.float32)
    rows.append({"type": name, "bytes": blocks.tobytes().hex(), "weights": [float(w) for w in weights]})
for name, dtype in {"F32": np.float32, "F16": np.float16}.items():
    values = rng.normal(0, 1, 8).astype(dtype)
    rows.append({"type": name, "bytes": values.tobytes().hex(), "weights": [float(w) for w in values]})
bits = (rng.normal(0, 1, 8).astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
weights = gguf.quants.dequantize(bits.view(np.uint8).reshape(1, -1), gguf.GGMLQuantizationType.BF16).reshape(-1)
rows.append({"type": "BF16", "bytes": bits.tobytes().hex(), "weights": [float(w) for w in weights]})

json.dump(rows, sys.stdout)
print()
