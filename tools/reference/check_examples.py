"""Checks this folder against the numeric examples of the design: `python check_examples.py ../../gpu-runner/tests/fixtures/fixtures.json`.

A reference that fails its page's examples proves nothing about the engine.
"""

import json
import sys

import numpy as np

import kept
import quantisers
import random_numbers as rn
import scores as s
import token_codecs as tc

FIXTURES = {f["name"]: f for f in json.load(open(sys.argv[1], encoding="utf-8"))["fixtures"]}
CHECKED = []


def fixture(name):
    CHECKED.append(name)
    return FIXTURES[name]["inputs"], FIXTURES[name]["expected"]


def close(found, wanted, tolerance=1e-6):
    np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance, err_msg=CHECKED[-1])


def equal(found, wanted):
    assert np.array_equal(found, wanted), f"{CHECKED[-1]}: {found} is not {wanted}"


def half(x):
    return np.array(x, np.float16)


for name in ("2bit_decimal", "2bit_half_even", "2bit_f16_exact", "4bit", "8bit", "degenerate", "scale_underflow"):
    given, wanted = fixture(f"group_{name}")
    close(quantisers.groups(half(given["x"]).astype(np.float32), given["bits"], 4), wanted["dequant"], 1e-6)

given, wanted = fixture("rng_mix64")
equal([hex(int(rn.mix64(int(z, 16)))) for z in given["z"]], wanted["mix"])
given, wanted = fixture("rng_key")
equal([hex(int(rn.key(seed, *words))) for seed, words in given["keys"]], wanted["h"])
given, wanted = fixture("rng_uniform")
equal([rn.uniform(rn.key(given["seed"], *given["words"]), i) for i in range(4)], wanted["u"])
given, wanted = fixture("rng_sign")
equal([rn.sign(rn.key(given["seed"], *given["words"]), i) for i in range(16)], wanted["sign"])

given, wanted = fixture("kivi_schedule_token")
for (T, step), row in zip(given["rows"], wanted["rows"]):
    if step == 0:
        equal(quantisers.sealed_counts(T, 128, "token"), [row["k_quant"], row["v_quant"]])
given, wanted = fixture("kivi_axes_2bit")
x = half(given["x"])
k = quantisers.groups(np.ascontiguousarray(x.T).astype(np.float32), 2, 4)
rebuilt = lambda codes, scales, lows: np.array(codes) * np.array(scales)[:, None] + np.array(lows)[:, None]
close(k, rebuilt(wanted["k_codes_by_channel"], wanted["k_scale"], wanted["k_min"]))
close(quantisers.groups(x.astype(np.float32), 2, 2), rebuilt(wanted["v_codes_by_token"], wanted["v_scale"], wanted["v_min"]))

given, wanted = fixture("gear_outliers_row")
row = half(given["x"]).astype(np.float32)[None]
equal(np.nonzero(quantisers.outliers(row, given["sparsity"])[0])[0], wanted["outliers"])
close(quantisers.backbone(row, 1, 2, 8, given["sparsity"])[0][0], wanted["backbone"], 0.004)
given, wanted = fixture("gear_per_tail")
for (length, sparsity), count in zip(given["cases"], wanted["per_tail"]):
    equal(quantisers.outliers(np.arange(length, dtype=np.float32)[None], sparsity).sum(), 2 * count)
given, wanted = fixture("gear_lowrank_rank1_exact")
E = np.array(given["E"], np.float32)
Q, P = quantisers.low_rank(E, 1, 3, np.array([[0.3], [0.9], [0.1]]))
close(Q @ P.T, wanted["correction"], 0.002)
given, wanted = fixture("gear_lowrank_gaussian")
rng = np.random.default_rng(1)
for rank, mean in zip(given["ranks"], wanted["mean_relative_residual"]):
    residuals = []
    for _ in range(given["trials"]):
        E = rng.standard_normal(given["shape"]).astype(np.float32)
        Q, P = quantisers.low_rank(E, rank, given["loop"], rng.random((E.shape[1], rank)))
        residuals.append(np.linalg.norm(E - Q @ P.T) / np.linalg.norm(E))
    close(np.mean(residuals), mean, 0.004)

given, wanted = fixture("snapkv_small")
sums = np.array(given["window_weights"]).sum(axis=0)[None, :6]
close(sums[0], wanted["sum"])
for (pool, budget), positions in zip(given["cases"], wanted["kept"]):
    mask, _ = kept.keep(s.pooled(sums, given["kernel"], pool), given["T"], [budget], given["obs_window"])
    equal(np.nonzero(mask[0])[0], positions)
given, wanted = fixture("snapkv_gqa")
heads = np.array(given["window_sum_per_query_head"])
for key, row in wanted.items():
    kind, stage = key.split("@")
    reduce = {"mean": np.mean, "max": np.max}[kind]
    pool = lambda x: s.pooled(x, given["kernel"], given["pool"])
    score = reduce(pool(heads), axis=0) if stage == "pooled" else pool(reduce(heads, axis=0))
    close(score, row["score"])
    equal([sorted(kept.best(score, n)) for n in given["keep"]][-1], row["kept"][-1])
given, wanted = fixture("snapkv_gqa_logits")
x = s.logits(np.array(given["q_per_head"])[None], np.array(given["k"])[:, None])[:, 0]
close(s.softmax(x).mean(axis=0), wanted["mean@weights"])
close(s.softmax(x.max(axis=0)), wanted["max@logits"])
close(s.softmax(x.mean(axis=0)), wanted["mean@logits"])

for rounding in ("published", "exact"):
    given, wanted = fixture(f"pyramid_{rounding}")
    for (budget, T), row in zip(given["cases"], wanted["rows"]):
        if row["branch"] == "pyramid":
            budgets = kept.pyramid_budgets(budget - 8, T, 8, given["layers"], given["beta"], rounding)
            equal([budgets[0], budgets[-1], sum(budgets)], [row["first"], row["last"], row["sum"]])
given, wanted = fixture("ada_small")
scores = np.array(given["scores"])
equal(kept.ada_counts(scores, 3, 0.2, False, "exact"), wanted["capacity_exact"])
equal(kept.ada_counts(scores, 3, 0.2, False, "published"), wanted["capacity_published"])
given, wanted = fixture("ada_three_heads")
three = [kept.ada_counts(np.array(given["scores"]), 3, alpha, False, "exact") for alpha in given["alphas"]]
equal(three, wanted["capacity_exact"])
given, wanted = fixture("ada_normalize")
equal(kept.ada_counts(np.array(given["scores"]), 3, 0.0, True, "exact"), wanted["counts"])

keys = lambda given: np.array(given["K"], np.float64)[:, None]
given, wanted = fixture("knorm_tie")
equal(sorted(kept.best(s.knorm(keys(given))[0], given["keep"])), wanted["kept"])
given, wanted = fixture("keydiff_small")
close(s.keydiff(keys(given))[0], wanted["score"], 1e-5)
given, wanted = fixture("rkv_select")
# lambda 0 leaves minus the redundancy.
close(-s.r_kv(keys(given), keys(given), 1, 1, "none", 0.0, given["threshold"])[0], wanted["redundancy"][:4], 1e-4)
given, wanted = fixture("random_scores")
draw = [rn.uniform(rn.key(given["seed"], 3, given["sample_seed"], 2, 1, p), 0) for p in given["positions"]]
equal(draw, wanted["score"])
given, wanted = fixture("tova_heads")
close(s.grouped(np.array(given["last_query_weights_per_head"]), 2).mean(axis=1), wanted["kv_mean"])
row = lambda x: half(x).astype(np.float32)[None]
given, wanted = fixture("fp8_e4m3_unit_scale")
close(tc.e4m3(np.array(given["x"], np.float32)), wanted["dequant"], 0)
given, wanted = fixture("fp8_e4m3_token_head")
close(tc.fp8_e4m3(row(given["x"]), "token_head")[0], wanted["dequant"])
for name in ("int8_token_head", "int4_token_head"):
    given, wanted = fixture(name)
    close(getattr(tc, name)(row(given["x"]))[0], wanted["dequant"])
for name in ("q4_0_decimal", "q8_0_decimal", "q4_0_f16_exact", "q8_0_f16_exact", "q8_0_half_away"):
    given, wanted = fixture(name)
    x = np.zeros((1, 32), np.float32)
    x[0, :4] = given["x_head"]
    found = getattr(tc, name[:4])(x)[0]
    close(found[:4], wanted.get("dequant_head", wanted.get("codes_head")))
    close(found[4:], 0)
for name in ("hadamard_4", "hadamard_8"):
    given, wanted = fixture(name)
    close(tc.hadamard(np.array(given["x"], np.float32)), wanted["y"])
for name in ("turboquant_d4", "turboquant_d4_renorm"):
    given, wanted = fixture(name)
    x, signs = np.array([given["x"]], np.float32), np.array(given["signs"], np.float32)
    close(tc.codebook(x, given["bits"], signs, given["renorm"])[0], wanted["dequant"], 0.002)
print(f"{len(CHECKED)} examples hold: {', '.join(CHECKED)}")
