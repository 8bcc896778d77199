"""Greedy answers of llama.cpp with their log-probabilities, for gpu-runner/tests/golden.rs.

    python tools/goldens-engine.py MODEL.gguf > gpu-runner/tests/fixtures/engine.json

Needs llama-cpp-python 0.3.36 and numpy. MODEL is SmolLM2-135M-Instruct.Q4_1.gguf.
"""

import json
import sys

import numpy as np
from llama_cpp import Llama

PROMPTS = [
    "What is the capital of France?",
    "Write a haiku about the sea.",
    "Explain how a bicycle stays upright in three sentences.",
    "List five fruits and their colours.",
    "Why is the sky blue?",
    "Translate 'good morning' to Spanish, French and German.",
]
TEMPLATE = (
    "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
    "<|im_start|>user\n%s<|im_end|>\n<|im_start|>assistant\n"
)
STEPS = 40

model = Llama(sys.argv[1], n_ctx=1024, logits_all=True, verbose=False, n_threads=2)
samples = []
for name, prompt in enumerate(PROMPTS):
    tokens = model.tokenize((TEMPLATE % prompt).encode(), add_bos=False, special=True)
    model.reset()
    model.eval(tokens)
    continuation, logprobs = [], []
    for step in range(STEPS):
        logits = model.scores[len(tokens) - 1 + step].astype(np.float64)
        best = int(np.argmax(logits))
        continuation.append(best)
        logprobs.append(round(float(logits[best] - np.logaddexp.reduce(logits)), 5))
        model.eval([best])
    samples.append({"sample": str(name), "tokens": tokens, "continuation": continuation, "logprobs": logprobs})
made_by = f"tools/goldens-engine.py: llama.cpp, {sys.argv[1].rsplit('/', 1)[-1]}, greedy, {STEPS} tokens"
json.dump({"made_by": made_by, "samples": samples}, sys.stdout)
