"""The design's counter-based numbers (section 1.8), from the page. Words may be arrays; all arithmetic wraps."""

import numpy as np

PHI = np.uint64(0x9E3779B97F4A7C15)


def u64(x):
    return np.asarray(x).astype(np.uint64)


@np.errstate(over="ignore")
def mix64(z):
    z = u64(z)
    z = (z ^ z >> u64(30)) * u64(0xBF58476D1CE4E5B9)
    z = (z ^ z >> u64(27)) * u64(0x94D049BB133111EB)
    return z ^ z >> u64(31)


@np.errstate(over="ignore")
def key(seed, *words):
    h = u64(seed)
    for word in words:
        h = mix64(h + PHI + u64(word))
    return h


@np.errstate(over="ignore")
def draw(h, i):
    return mix64(h + (u64(i) + u64(1)) * PHI)


def uniform(h, i):
    return (draw(h, i) >> u64(40)) * 2.0**-24


def sign(h, i):
    return np.where(draw(h, i) >> u64(63), -1.0, 1.0)
