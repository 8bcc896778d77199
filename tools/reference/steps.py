"""Replays the selections of decode steps: from the exact q and k of prompt and fed tokens to the entries held at the end.

Every head is replayed on its own list of positions, by the same scores as kept.py; `due` follows section 1.3.
"""

import numpy as np

import kept
import random_numbers
import scores as s
from cases import method, params


def half(x):
    return np.clip(x, -65504, 65504).astype(np.float16)


class Replay:
    """One layer of one sample. q [T + m, Hq, d] f32 and k [T + m, Hk, d] f16 of all tokens; T of them were the prompt."""

    def __init__(self, q, k, T, place, effective):
        self.q, self.k, self.T, self.name = q, k, T, method(effective)
        self.group = q.shape[1] // k.shape[1]
        self.layer, self.layers, self.seed = place
        self.p = params(effective)
        own = q[:T] if self.name in ("h2o", "tova") else half(q[:T])
        mask, _ = getattr(kept, self.name)(own, k[:T], *place, **self.p)
        if self.p.get("compress_prompt", True) is False:
            mask[:] = True
        self.held = [np.nonzero(row)[0] for row in mask]
        if self.name == "h2o":
            sums = s.accumulated(q[:T], k[:T])
            self.sums = [row[held] for row, held in zip(sums, self.held)]

    def due(self, t):
        at = self.p.get("evict_at", "interval")
        return at == "step" or at == "interval" and t % self.p["interval"] == 0

    def run(self, steps):
        for t in range(1, steps + 1):
            newest = self.T + t - 1
            self.held = [np.append(h, newest) for h in self.held]
            if self.name == "h2o":
                for head in range(len(self.held)):
                    q, k = self.one(head, self.q[newest : newest + 1])
                    weights = s.softmax(s.logits(q, k)[:, 0]).mean(axis=0)
                    self.sums[head] = np.append(self.sums[head], 0.0) + weights
            if self.due(t):
                self.select(newest)
        return self.held

    def one(self, head, q):
        """Query heads and held keys of one kv head."""
        return q[:, head * self.group : (head + 1) * self.group], self.k[self.held[head], head : head + 1]

    def select(self, newest):
        budget = self.p["budget"]
        protected = {"snapkv": "obs_window", "r_kv": "obs_window"}.get(self.name, "recent")
        recent, sinks = self.p.get(protected, 0), self.p.get("sinks", 0)
        if self.name == "tova":
            recent = int(self.p["protect_last"])
        rows = [self.score(head, newest) if len(h) > budget else None for head, h in enumerate(self.held)]
        if self.name == "tova" and self.p["heads"] == "layer" and rows[0] is not None:
            rows = [np.mean(rows, axis=0)] * len(rows)
        for head, score in enumerate(rows):
            if score is None:
                continue
            held = self.held[head]
            free = np.arange(len(held))
            fixed = (held < sinks) | (free >= len(held) - recent)
            order = free[~fixed]
            stays = np.sort(np.append(free[fixed], order[kept.best(score[order], budget - fixed.sum())]))
            self.held[head] = held[stays]
            if self.name == "h2o":
                self.sums[head] = self.sums[head][stays]

    def score(self, head, newest):
        """Scores of the entries held by one kv head; those of protected ones may be anything."""
        n, w = len(self.held[head]), self.p.get("obs_window", 0)
        if self.name == "h2o":
            age = newest + 1 - self.held[head] if self.p["normalise"] == "visible" else 1
            return self.sums[head] / age
        if self.name == "tova":
            return s.newest(*self.one(head, self.q[newest : newest + 1]), "kv")[0]
        q, k = self.one(head, half(self.q[newest + 1 - w : newest + 1]))
        if self.name == "random":
            h = random_numbers.key(self.p["seed_"], 3, self.seed, self.layer, head, self.held[head])
            return random_numbers.uniform(h, 0)
        if self.name in ("knorm", "keydiff"):
            return getattr(s, self.name)(k)[0]
        if self.name == "snapkv":
            row = s.observed(q, k, w, *(self.p[x] for x in ("kernel", "pool", "gqa", "gqa_at")))[0]
        else:
            row = s.r_kv(q, k, w, self.p["kernel"], self.p["pool"], self.p["lambda_"], self.p["threshold"])[0]
        return np.append(row, np.zeros(n - len(row)))


def replay(dump, index, layer):
    """Held positions [Hk] of configuration `index` after its steps."""
    (q, k, _), row = dump.exact(layer), dump.header["configurations"][index]
    fed = [dump.array(f"{index}/steps", layer, what) for what in "qk"]
    q, k = np.concatenate([q, fed[0]]), np.concatenate([k, fed[1]])
    place = layer, dump.layers, dump.header["seed"]
    return Replay(q, k, dump.T, place, row["effective"]).run(len(row["fed"]))
