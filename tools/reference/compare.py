"""Compares the engine's compressed caches with the plain implementations beside this file. See README.md."""

import argparse
import os
import shutil
import tempfile
from pathlib import Path

# Threads of the matrix library spin while they wait, and these products are small. Set before numpy is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

import kept
import quantisers
import token_codecs
from cases import EVICTORS, QUANTISERS, STEPPERS, method, params
from engine import Engine
from llama import Llama
from prompts import prompts
from steps import replay


class Agreement:
    """Counts of equal kept-or-dropped decisions over (layer, kv head, token)."""

    def __init__(self):
        self.equal = self.decisions = self.both = self.either = self.stores = self.same = 0
        self.gap = 0.0

    def add(self, ours, theirs, scores):
        """Masks [Hk, T] of the engine and the reference, and the reference's scores."""
        self.equal += int((ours == theirs).sum())
        self.decisions += ours.size
        self.both += int((ours & theirs).sum())
        self.either += int((ours | theirs).sum())
        equal = (ours == theirs).all(axis=1)
        self.stores += len(equal)
        self.same += int(equal.sum())
        if (ours.sum(axis=1) == theirs.sum(axis=1)).all():
            for a, b, score in zip(ours[~equal], theirs[~equal], scores[~equal]):
                self.gap = max(self.gap, gap(a, b, score))
        else:
            # Heads share one budget (ada_kv): what one gained another lost.
            self.gap = max(self.gap, gap(ours, theirs, scores))

    def cells(self):
        share = lambda a, b: f"{100 * a / b:9.4f} %" if b else "        -"
        return [share(self.equal, self.decisions), share(self.both, self.either), share(self.same, self.stores)]


def gap(ours, theirs, score):
    """How far apart the scores of differing choices are, relative to the larger: 0 is a tie, inf is no matter of score."""
    gained, lost = score[ours & ~theirs], score[theirs & ~ours]
    if np.isnan(gained).any() or np.isnan(lost).any() or len(gained) != len(lost):
        return float("inf")
    return float((lost.max() - gained.min()) / max(abs(lost.max()), abs(gained.min()), 1e-300))


class Difference:
    """Largest differences of dequantised caches, and how large the method's own error is beside them."""

    def __init__(self):
        self.absolute = self.relative = self.square = self.error = self.optimum = self.backbone = 0.0
        self.equal = self.values = 0

    def add(self, ours, theirs, exact, plain=None):
        difference = np.abs(ours - theirs)
        self.absolute = max(self.absolute, float(difference.max()))
        scale = np.abs(theirs).max()
        self.relative = max(self.relative, float(difference.max() / scale)) if scale else self.relative
        self.equal += int((difference == 0).sum())
        self.values += difference.size
        self.square += float((difference**2).sum())
        self.error += float(((ours - exact) ** 2).sum())
        if plain is not None:
            self.backbone += float(((plain - exact) ** 2).sum())


def half(x):
    return np.clip(x, -65504, 65504).astype(np.float16)


class Layer:
    """One layer's q, k and v, seen as each method sees them."""

    def __init__(self, q, k, v, layer, layers, seed):
        # Rings hold queries in f16; methods that read attention's own weights see them in f32.
        self.q, self.ring, self.k, self.v = q, half(q), half(k), half(v)
        self.place = layer, layers, seed

    def evict(self, effective):
        name = method(effective)
        q = self.q if name in ("h2o", "tova") else self.ring
        values = {"v": self.v} if name == "lagkv" else {}
        return getattr(kept, name)(q, self.k, *self.place, **values, **params(effective))


def run(args):
    scratch = Path(tempfile.mkdtemp(prefix="kvsweep-reference-"))
    engine = Engine(args.engine, args.model, scratch)
    known = set(engine.names())
    chosen = lambda rows: [r for r in rows if not args.only or method(r[1]) in args.only]
    for label, case in chosen(EVICTORS + QUANTISERS):
        if method(case) not in known:
            print(f"skipped: {label}: this engine has no {method(case)}")
    evictors = [r for r in chosen(EVICTORS) if method(r[1]) in known]
    quants = [r for r in chosen(QUANTISERS) if method(r[1]) in known]
    own = {label: Agreement() for label, _ in evictors}
    end_to_end = {label: Agreement() for label, _ in evictors}
    differences = {label: Difference() for label, _ in quants}
    drift, lengths, traced = [], [], [0, 0]
    model = None if args.own_only else Llama(args.model, np.float64 if args.float64 else np.float32)
    everything = evictors, quants
    for number, (name, ids) in enumerate(prompts(args.sharegpt, engine.encode, args.prompts, args.least, args.most)):
        # Variants share their method's code, and are compared on the first prompts only.
        evictors, quants = everything if number < args.variants else map(mains, everything)
        options = ["--backend", args.backend, "--seed", str(args.seed)]
        dump = engine.dump(ids, [c for _, c in evictors + quants], f"prompt-{number}", options)
        rows = dump.header["configurations"]
        lengths.append(len(ids))
        state = model and model.forward(ids)
        masks = {label: [] for label, _ in evictors}
        for layer in range(dump.layers):
            q, k, v = dump.exact(layer)
            exact = Layer(q, k, v, layer, dump.layers, args.seed)
            if state:
                f = state.layers[layer]
                real = Layer(f.q, f.k, f.v, layer, dump.layers, args.seed)
                drift.append([np.linalg.norm(a - b) / np.linalg.norm(b) for a, b in ((q, f.q), (k, f.k), (v, f.v))])
            for i, (label, _) in enumerate(evictors):
                ours = dump.mask(i, layer)
                masks[label].append(ours)
                own[label].add(ours, *exact.evict(rows[i]["effective"]))
                if state:
                    end_to_end[label].add(ours, *real.evict(rows[i]["effective"]))
            for j, (label, _) in enumerate(quants):
                quantise(differences[label], dump, len(evictors) + j, layer, k, v)
        if number == 0 and evictors:
            # The protocol's own trace must tell the same as the dump.
            cells = engine.kept_by_cells(ids, [c for _, c in evictors], args.seed)
            for (label, _), mask in zip(evictors, cells):
                traced[0] += int((np.array(masks[label]) == mask).all())
                traced[1] += 1
        shutil.rmtree(scratch / f"prompt-{number}")
        print(f"prompt {number}: {name}, {len(ids)} tokens", flush=True)
    steppers = [r for r in chosen(STEPPERS) if method(r[1]) in known]
    stepped = steps(engine, ids, steppers, args) if args.steps and steppers else {}
    shutil.rmtree(scratch)
    report(own, end_to_end, differences, drift, lengths, traced, stepped, args.steps)
    return all(a.equal >= 0.99 * a.decisions for a in [*own.values(), *stepped.values()])


def steps(engine, ids, rows, args):
    """Held entries after decode steps on the last prompt: label -> Agreement."""
    options = ["--steps", str(args.steps), "--seed", str(args.seed), "--backend", args.backend]
    dump = engine.dump(ids, [c for _, c in rows], "steps", options)
    found = {}
    for i, (label, _) in enumerate(rows):
        a = found[label] = Agreement()
        for layer in range(dump.layers):
            for (ours, _, _), theirs in zip(dump.stores(i, layer, "end"), replay(dump, i, layer)):
                masks = np.zeros((2, 1, dump.T + args.steps), bool)
                masks[0, 0, ours], masks[1, 0, theirs] = True, True
                a.add(*masks, np.zeros(masks.shape[1:]))
    return found


def mains(rows):
    """The first row of each method."""
    seen = set()
    return [r for r in rows if not (method(r[1]) in seen or seen.add(method(r[1])))]


def quantise(difference, dump, index, layer, k, v):
    effective = dump.header["configurations"][index]["effective"]
    for head, (positions, ours_k, ours_v) in enumerate(dump.stores(index, layer)):
        assert (positions == np.arange(dump.T)).all(), "a quantiser drops nothing"
        K, V = k[:, head], v[:, head]
        name, own = method(effective), params(effective, keep=("seed",))
        if name == "kivi":
            pairs = [(x, None) for x in quantisers.kivi(K, V, **own)]
        elif name == "gear":
            own.pop("rank_decode")
            pairs = quantisers.gear(K, V, layer, head, **own)
        else:
            pairs = [(token_codecs.token_codec(name, x, layer, dump.layers, i, **own), None) for i, x in enumerate((K, V))]
        for ours, (theirs, plain), exact in zip((ours_k, ours_v), pairs, (K, V)):
            difference.add(ours.astype(np.float64), theirs, exact.astype(np.float64), plain)


def report(own, end_to_end, differences, drift, lengths, traced, stepped, fed):
    print(f"\n{len(lengths)} prompts of {min(lengths)} to {max(lengths)} tokens")
    if drift:
        q, k, v = np.mean(drift, axis=0)
        print(f"engine against float forward, mean relative difference over layers: q {q:.4f}, k {k:.4f}, v {v:.4f}")
    if own:
        print(f"kept sets of `generate` cells equal to those of dump-kv: {traced[0]} of {traced[1]} methods")
        print("\n| method | stores | own q, k, v: decisions | of kept | equal stores | widest gap | float: decisions | of kept |")
        print("|---|---|---|---|---|---|---|---|")
        for label, a in ((label, a) for label, a in own.items() if a.stores):
            b = end_to_end[label].cells()[:2] if drift else ["-", "-"]
            print("| " + " | ".join([label, str(a.stores), *a.cells(), f"{a.gap:.1e}", *b]) + " |")
    if stepped:
        print(f"\n| after {fed} steps | stores | own q, k: decisions | of kept | equal stores |\n|---|---|---|---|---|")
        for label, a in stepped.items():
            print("| " + " | ".join([label, str(a.stores), *a.cells()]) + " |")
    if differences:
        print("\n| method | values equal | max abs | max rel to largest | difference / own error | error / backbone's |")
        print("|---|---|---|---|---|---|")
        for label, d in ((label, d) for label, d in differences.items() if d.values):
            own_error = np.sqrt(d.square / d.error) if d.error else 0.0
            gain = f"{np.sqrt(d.error / d.backbone):.4f}" if d.backbone else "-"
            print(f"| {label} | {100 * d.equal / d.values:.4f} % | {d.absolute:.2e} | {d.relative:.2e} | {own_error:.1e} | {gain} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="a GGUF file of a llama model")
    parser.add_argument("sharegpt", help="ShareGPT_V3_unfiltered_cleaned_split.json")
    parser.add_argument("--engine", default="gpu-runner/target/release/gpu-runner")
    parser.add_argument("--prompts", type=int, default=10)
    parser.add_argument("--variants", type=int, default=2, help="prompts on which all rows run, not one a method")
    parser.add_argument("--least", type=int, default=700, help="tokens of the shortest prompt")
    parser.add_argument("--most", type=int, default=1000, help="tokens of the longest")
    parser.add_argument("--only", nargs="*", help="names of methods")
    parser.add_argument("--seed", type=int, default=0, help="the samples' seed")
    parser.add_argument("--steps", type=int, default=40, help="decode steps that are replayed on the last prompt")
    parser.add_argument("--backend", default="cpu", help="reference: the engine's own float oracle, minutes a prompt")
    parser.add_argument("--own-only", action="store_true", help="no float forward")
    parser.add_argument("--float64", action="store_true", help="the float forward in double precision")
    raise SystemExit(0 if run(parser.parse_args()) else 1)


if __name__ == "__main__":
    main()
