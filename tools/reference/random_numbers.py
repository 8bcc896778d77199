"""The design's counter-based numbers (section 1.8), from the page."""

MASK = (1 << 64) - 1
PHI = 0x9E3779B97F4A7C15


def mix64(z):
    z ^= z >> 30
    z = z * 0xBF58476D1CE4E5B9 & MASK
    z ^= z >> 27
    z = z * 0x94D049BB133111EB & MASK
    return z ^ z >> 31


def key(seed, *words):
    h = seed
    for word in words:
        h = mix64((h + PHI + word) & MASK)
    return h


def uniform(h, i):
    return (mix64((h + (i + 1) * PHI) & MASK) >> 40) * 2.0**-24


def sign(h, i):
    return -1.0 if mix64((h + (i + 1) * PHI) & MASK) >> 63 else 1.0
