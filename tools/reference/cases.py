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
    ("lagkv", snap("lagkv")),
    ("lagkv, lag 16", snap("lagkv", lag=16, sinks=16)),
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
    ("fp8_e4m3", {"fp8_e4m3": {}}),
    ("fp8_e4m3, scaled", {"fp8_e4m3": {"scale": "token_head", "window": 32}}),
    ("int8_token_head", {"int8_token_head": {}}),
    ("int4_token_head", {"int4_token_head": {}}),
    ("int4_token_head, rotated", {"int4_token_head": {"rotate": "hadamard"}}),
    ("int2_token_head", {"int2_token_head": {}}),
    ("q8_0", {"q8_0": {}}),
    ("q4_0", {"q4_0": {}}),
    ("q4_0, rotated", {"q4_0": {"rotate": "hadamard"}}),
    ("turboquant_mse 4 bit", {"turboquant_mse": {}}),
    ("turboquant_mse 2 bit, renorm", {"turboquant_mse": {"bits": 2, "renorm": True, "seed": 5}}),
    ("turboquant_vllm 4bit_nc", {"turboquant_vllm": {}}),
    ("turboquant_vllm k8v4", {"turboquant_vllm": {"preset": "k8v4", "window": 16}}),
    ("turboquant_vllm 3bit_nc", {"turboquant_vllm": {"preset": "3bit_nc", "skip_first": 0, "skip_last": 0}}),
]

# Methods that drop after decode forwards, replayed over the engine's own steps.
STEPPERS = [
    ("h2o step", snap("h2o")),
    ("h2o step, visible", snap("h2o", normalise="visible", recent=16)),
    ("tova step", snap("tova")),
    ("tova step per kv head", snap("tova", heads="kv", protect_last=True)),
    ("snapkv interval", snap("snapkv", evict_at="interval", interval=8)),
    ("r_kv interval", snap("r_kv", interval=8)),
    ("knorm step", snap("knorm", evict_at="step")),
    ("keydiff interval", snap("keydiff", evict_at="interval", interval=8, recent=16)),
    ("random step", snap("random", evict_at="step", sinks=4)),
]

# Names that Python reserves, or that the functions use themselves.
RENAMED = {"lambda": "lambda_", "layers": "layers_", "seed": "seed_", "backbone": "backbone_"}


def method(configuration):
    return next(iter(configuration))


def params(effective, keep=()):
    """The effective parameters under the names of the functions here."""
    own = effective[method(effective)]
    return {name if name in keep else RENAMED.get(name, name): value for name, value in own.items()}
