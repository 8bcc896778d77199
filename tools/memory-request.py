"""Writes the request lines behind the README's memory figures: 8 random prompts of 4,096 ids, 8 new tokens, under none and snapkv.

    python3 tools/memory-request.py MODEL.gguf > requests.jsonl
    gpu-runner/target/release/gpu-runner run requests.jsonl    # bytes_peak of the samples, memory.workspace of planned
"""

import json
import random
import sys

random.seed(7)
lines = [{"op": "load", "id": "m", "model": {"path": sys.argv[1]}, "backend": "cpu", "threads": 2}]
for cell, compressor in (("none", {"none": {}}), ("snapkv", {"snapkv": {"budget": 256}})):
    workload = {"generate": {"max_new_tokens": 8, "chat": False, "min_new_tokens": 8}}
    lines.append({"op": "cell", "cell": cell, "compressor": compressor, "batch": 8, "scheduler": "static", "workload": workload})
    prompts = [[random.randrange(1000, 40000) for _ in range(4096)] for _ in range(8)]
    items = [{"sample": str(i), "replicate": 0, "seed": i, "tokens": ids} for i, ids in enumerate(prompts)]
    lines += [{"op": "samples", "cell": cell, "items": items}, {"op": "start", "cell": cell}]
print("\n".join(map(json.dumps, lines)))
