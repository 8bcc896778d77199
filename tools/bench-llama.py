#!/usr/bin/env python3
"""Speed of the engine against llama.cpp on one GGUF file and one machine, A and B interleaved.

    pip install llama-cpp-python==0.3.36 jinja2==3.1.6    # built from source, so that it uses this machine's features
    python tools/bench-llama.py --model .kvsweep/models/SmolLM2-135M-Instruct.Q4_1.gguf

Each round runs every case on the engine (a `throughput` cell of one repeat in a warm process) and on llama.cpp (only
its decode calls are timed; the next ids are chosen outside the clock, the engine's are chosen inside). Rounds
alternate which of the two goes first. Printed: tokens/s as medians over the rounds, the median of the per-round
ratios engine / llama.cpp, and their spread. Exits with 1 if a median ratio is below --least.
"""
import argparse
import json
import random
import statistics
import sys

import numpy as np
from llama_peer import Engine, Peer

# name -> batch, prompt tokens, decode steps, phase that is compared
CASES = {
    "decode, batch 1": (1, 128, 64, "decode"),
    "decode, batch 8": (8, 128, 48, "decode"),
    "prefill, 512 tokens": (1, 512, 1, "prefill"),
}


def engine_rate(engine, cell, batch, prompt, steps, phase):
    workload = {"throughput": {"prompt_tokens": prompt, "new_tokens": steps, "warmup": 0, "repeats": 1, "seed": 42}}
    engine.send(op="cell", cell=cell, compressor={"none": {}}, batch=batch, workload=workload)
    engine.send(op="start", cell=cell)
    events = [e for e in engine.until("finished") if e["event"] == "throughput" and e["phase"] == phase]
    tokens = batch * (steps if phase == "decode" else prompt)
    return tokens / sum(e["seconds"] for e in events) * len(events)


def peer_rate(peer, batch, prompt, steps, phase):
    peer.clear()
    rng = random.Random(42)
    seconds = 0.0
    for sequence in range(batch):
        ids = [rng.randrange(100, peer.n_vocab) for _ in range(prompt)]
        seconds += peer.feed([(token, i, sequence, i + 1 == prompt) for i, token in enumerate(ids)])
    if phase == "prefill":
        return batch * prompt / seconds
    tokens = [rng.randrange(100, peer.n_vocab) for _ in range(batch)]
    seconds = 0.0
    for step in range(steps):
        seconds += peer.feed([(tokens[s], prompt + step, s, True) for s in range(batch)])
        tokens = [int(np.argmax(peer.logits(s))) for s in range(batch)]
    return batch * steps / seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--engine", default="gpu-runner/target/release/gpu-runner")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--least", type=float, default=1.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    # one context per batch size: a context split for eight sequences would not be llama.cpp at its best for one
    peers = {batch: Peer(options.model, options.threads, 1024, batch) for batch in {case[0] for case in CASES.values()}}
    engine = Engine(options.engine)
    engine.load(options.model, options.threads, "cpu")
    rates = {name: [] for name in CASES}
    for turn in range(-1, options.rounds):
        for name, case in CASES.items():
            ours = lambda: engine_rate(engine, f"{name} {turn}", *case)
            theirs = lambda: peer_rate(peers[case[0]], *case)
            if turn % 2 == 0:
                pair = (ours(), theirs())
            else:
                pair = (theirs(), ours())[::-1]
            # round -1 warms both up
            if turn >= 0:
                rates[name].append(pair)
    engine.close()

    slow, rows = False, {}
    for name, pairs in rates.items():
        ratios = [ours / theirs for ours, theirs in pairs]
        median = statistics.median(ratios)
        slow |= median < options.least
        rows[name] = {
            "engine_tokens_s": statistics.median(ours for ours, _ in pairs),
            "llama_tokens_s": statistics.median(theirs for _, theirs in pairs),
            "ratio": median,
            "ratio_least": min(ratios),
            "ratio_most": max(ratios),
            "rounds": len(pairs),
        }
        if not options.json:
            row = rows[name]
            print(
                f"{name:<20} engine {row['engine_tokens_s']:8.1f}  llama.cpp {row['llama_tokens_s']:8.1f} tokens/s  "
                f"ratio {median:.3f} ({min(ratios):.3f} to {max(ratios):.3f}, {len(pairs)} rounds)"
            )
    if options.json:
        print(json.dumps(rows, indent=2))
    sys.exit(1 if slow else 0)


main()
