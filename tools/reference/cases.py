"""What is compared: a label and the engine's configuration. A row whose method the engine lacks is skipped by name.

Budgets are far below the shortest prompt, so that most decisions are real ones. "as X" rows switch on X's own
definition where the engine's default differs.
"""

BUDGET = 256


def snap(name, **params):
    return {name: {"budget": BUDGET, **params}}


EVICTORS = [
    ("streaming_llm", {"streaming_llm": {"sinks": 4, "recent": 252, "positions": "original", "evict_at": "prefill"}}),
    ("snapkv", snap("snapkv")),
    ("snapkv as kvpress", snap("snapkv", obs_window=64, kernel=5, pool="avg", gqa_at="pooled")),
    ("snapkv as KVCache-Factory, max", snap("snapkv", obs_window=8, gqa="max")),
    ("snapkv, max of logits", snap("snapkv", obs_window=8, gqa="max", gqa_at="logits")),
    ("pyramidkv", snap("pyramidkv")),
    ("pyramidkv as published", snap("pyramidkv", rounding="published")),
    ("ada_kv", snap("ada_kv")),
    ("ada_kv as published", snap("ada_kv", rounding="published", alpha=0.5)),
    ("ada_kv, normalize", snap("ada_kv", normalize=True)),
    ("ada_kv, pyramid layers", snap("ada_kv", layers="pyramid", obs_window=8)),
    ("tova", snap("tova", evict_at="prefill")),
    ("tova per kv head", snap("tova", evict_at="prefill", heads="kv")),
    ("tova as kvpress", snap("tova", evict_at="prefill", protect_last=True)),
    ("h2o prefill", snap("h2o", evict_at="prefill")),
    ("h2o, half recent", snap("h2o", evict_at="prefill", recent=128)),
    ("h2o, visible", snap("h2o", evict_at="prefill", normalise="visible")),
    ("knorm", snap("knorm")),
    ("knorm, sinks and recent", snap("knorm", sinks=4, recent=32)),
    ("keydiff", snap("keydiff")),
    ("random", snap("random")),
    ("r_kv", snap("r_kv")),
]

QUANTISERS = [
    ("kivi 2 bit", {"kivi": {"bits": 2}}),
    ("kivi 4 bit, window 32", {"kivi": {"bits": 4, "window": 32}}),
    ("kivi 8 bit, group 64", {"kivi": {"bits": 8, "group": 64, "window": 64}}),
    ("kivi 2 bit, V in blocks", {"kivi": {"bits": 2, "v_flush": "block"}}),
    ("gear 2 bit", {"gear": {"bits": 2}}),
    ("gear 4 bit, rank 8", {"gear": {"bits": 4, "rank_prefill": 8}}),
    ("gear-l 2 bit", {"gear": {"bits": 2, "sparsity": 0}}),
    ("gear 2 bit, kcvt", {"gear": {"bits": 2, "backbone": "kcvt"}}),
    ("gear 2 bit, backbone alone", {"gear": {"bits": 2, "sparsity": 0, "rank_prefill": 0}}),
]

# Names that Python reserves, or that the functions use themselves.
RENAMED = {"lambda": "lambda_", "layers": "layers_", "seed": "seed_", "backbone": "backbone_"}


def method(configuration):
    return next(iter(configuration))


def params(effective, keep=()):
    """The effective parameters under the names of the functions here."""
    own = effective[method(effective)]
    return {name if name in keep else RENAMED.get(name, name): value for name, value in own.items()}
