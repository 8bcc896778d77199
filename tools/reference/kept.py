"""Which entries a layer keeps after the prompt: one function a method, `(q, k, layer, layers, seed, **params)` ->
(mask [Hk, T], scores [Hk, T] with nan where entries are protected).

Parameters have the engine's names. `published` variants follow the public code that section and method name.
"""

import numpy as np

import random_numbers
import scores as s


def best(score, count):
    """Indices of the `count` best; a tie goes to the later entry."""
    order = np.lexsort((np.arange(len(score)), score))
    return order[len(score) - count :] if count else order[:0]


def keep(scores, T, counts, recent, sinks=0):
    """Protected first and last entries, and the best of the others: counts[h] entries a head in all."""
    heads = len(counts)
    mask, shown = np.zeros((heads, T), bool), np.full((heads, T), np.nan)
    mask[:, :sinks] = True
    mask[:, T - recent :] = True
    for h in range(heads):
        free = np.arange(sinks, T - recent)
        shown[h, free] = scores[h][free]
        mask[h, free[best(scores[h][free], counts[h] - sinks - recent)]] = True
    return mask, shown


def everything(k):
    return np.ones((k.shape[1], len(k)), bool), np.full((k.shape[1], len(k)), np.nan)


def streaming_llm(q, k, layer, layers, seed, sinks, recent, **_):
    T, heads = k.shape[:2]
    if T <= sinks + recent:
        return everything(k)
    return keep(np.zeros((heads, T)), T, [sinks + recent] * heads, recent, sinks)


def snapkv(q, k, layer, layers, seed, budget, obs_window=32, kernel=7, pool="max", gqa="mean", gqa_at="weights", **_):
    T, heads = k.shape[:2]
    if T <= budget:
        return everything(k)
    return keep(s.observed(q, k, obs_window, kernel, pool, gqa, gqa_at), T, [budget] * heads, obs_window)


def pyramid_budgets(a, T, w, layers, beta, rounding):
    """Entries besides the window, of each layer."""
    seen = T - w
    if T < 2 * a or layers == 1:
        return [min(a, seen)] * layers
    low = a // beta
    high = 2 * a - low
    if high >= seen:
        high, low = seen, 2 * a - seen
    if rounding == "published":
        step = (high - low) // (layers - 1)
        return [high - l * step for l in range(layers)]
    den = 2 * (layers - 1)
    cum = lambda l: (den * l * high - (high - low) * l * (l - 1)) // den
    return [cum(l + 1) - cum(l) for l in range(layers)]


def pyramidkv(q, k, layer, layers, seed, budget, obs_window=8, kernel=7, pool="max", gqa="mean", gqa_at="weights",
              beta=20, rounding="exact"):
    T, heads = k.shape[:2]
    if T <= budget:
        return everything(k)
    own = pyramid_budgets(budget - obs_window, T, obs_window, layers, beta, rounding)[layer]
    return keep(s.observed(q, k, obs_window, kernel, pool, gqa, gqa_at), T, [own + obs_window] * heads, obs_window)


def ada_counts(scores, base, alpha, normalize, rounding):
    """Entries besides the window, of each head."""
    heads = len(scores)
    if normalize:
        share = lambda x: np.sort(x)[::-1][:base].sum() / x.sum()
        scores = np.array([x * share(x) for x in scores])
    # A tie of scores goes to the later entry, then to the lower head.
    head, entry = np.indices(scores.shape)
    order = np.lexsort((head.ravel(), -entry.ravel(), -scores.ravel()))
    taken = np.bincount(head.ravel()[order[: heads * base]], minlength=heads)
    if rounding == "published":
        return [int(np.rint(n * (1 - alpha) + np.floor(base * alpha))) for n in taken]
    A = round(1000 * alpha)
    parts = [(1000 - A) * int(n) + A * base for n in taken]
    counts = [p // 1000 for p in parts]
    missing = heads * base - sum(counts)
    for h in sorted(range(heads), key=lambda h: (-(parts[h] % 1000), h))[:missing]:
        counts[h] += 1
    return counts


def ada_kv(q, k, layer, layers, seed, budget, obs_window=32, kernel=7, pool="max", gqa="mean", gqa_at="weights",
           alpha=0.2, normalize=False, layers_="uniform", beta=20, rounding="exact"):
    T = len(k)
    if T <= budget:
        return everything(k)
    base = budget - obs_window
    if layers_ == "pyramid":
        base = pyramid_budgets(base, T, obs_window, layers, beta, rounding)[layer]
    scores = s.observed(q, k, obs_window, kernel, pool, gqa, gqa_at)
    counts = [min(n, T - obs_window) + obs_window for n in ada_counts(scores, base, alpha, normalize, rounding)]
    return keep(scores, T, counts, obs_window)


def h2o(q, k, layer, layers, seed, budget, recent=8, normalise="none", **_):
    T, heads = k.shape[:2]
    if T <= budget:
        return everything(k)
    return keep(s.accumulated(q, k, normalise == "visible"), T, [budget] * heads, recent)


def tova(q, k, layer, layers, seed, budget, heads="layer", protect_last=False, **_):
    T = len(k)
    if T <= budget:
        return everything(k)
    return keep(s.newest(q, k, heads), T, [budget] * k.shape[1], int(protect_last))


def knorm(q, k, layer, layers, seed, budget, sinks=0, recent=0, **_):
    T = len(k)
    return everything(k) if T <= budget else keep(s.knorm(k), T, [budget] * k.shape[1], recent, sinks)


def keydiff(q, k, layer, layers, seed, budget, sinks=0, recent=0, **_):
    T = len(k)
    return everything(k) if T <= budget else keep(s.keydiff(k), T, [budget] * k.shape[1], recent, sinks)


def random(q, k, layer, layers, seed, budget, sinks=0, recent=0, seed_=0, **_):
    T, heads = k.shape[:2]
    h, p = np.arange(heads)[:, None], np.arange(T)[None]
    scores = random_numbers.uniform(random_numbers.key(seed_, 3, seed, layer, h, p), 0)
    return everything(k) if T <= budget else keep(scores, T, [budget] * heads, recent, sinks)


def r_kv(q, k, layer, layers, seed, budget, obs_window=8, kernel=7, pool="max", lambda_=0.1, threshold=0.5, **_):
    T = len(k)
    if T <= budget:
        return everything(k)
    scores = s.r_kv(q, k, obs_window, kernel, pool, lambda_, threshold)
    return keep(scores, T, [budget] * k.shape[1], obs_window)


def lagkv(q, k, layer, layers, seed, v, budget, sinks=4, lag=None, **_):
    T, heads = k.shape[:2]
    if T <= budget:
        return everything(k)
    mask, shown = np.zeros((heads, T), bool), np.full((heads, T), np.nan)
    whole = (T - sinks) // lag
    last = sinks + (whole - 1) * lag
    mask[:, :sinks] = mask[:, last:] = True
    places = budget - sinks - (T - last)
    for h in range(heads):
        for p in range(whole - 1):
            first = sinks + p * lag
            of = lambda x: s.softmax(s.lag_spreads(x[:, h].astype(np.float64), first, lag))
            score = of(k) + of(v)
            shown[h, first : first + lag] = score
            # Equal shares; what does not divide goes to the latest partitions.
            share = places // (whole - 1) + (p >= whole - 1 - places % (whole - 1))
            mask[h, first + best(score, min(share, lag))] = True
    return mask, shown
