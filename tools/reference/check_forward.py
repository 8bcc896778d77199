"""Checks the float forward against llama.cpp's scores of its own greedy answers:
`python check_forward.py MODEL ../../gpu-runner/tests/fixtures/engine.json`.

llama.cpp rounds activations to 8 bits, this forward does not: the same share and mean as the engine's own test is asked.
Each answer is fed token by token, so the decode steps are checked too.
"""

import json
import sys

import numpy as np

from llama import Llama

model = Llama(sys.argv[1])
same = n = 0
differences = []
for sample in json.load(open(sys.argv[2], encoding="utf-8"))["samples"]:
    state = model.forward(sample["tokens"])
    for token, wanted in zip(sample["continuation"], sample["logprobs"]):
        logits = state.logits.astype(np.float64)
        differences.append(abs(logits[token] - np.logaddexp.reduce(logits) - wanted))
        same += int(np.argmax(logits) == token)
        n += 1
        state = model.forward([token], state)
mean = np.mean(differences)
print(f"top-1 equal {same} of {n}, mean difference of log-probabilities {mean:.4f}")
assert same >= 0.9 * n and mean <= 0.06
