#!/usr/bin/env python3
"""Compares our scores with the Python packages of record on random pairs.

Two environments, because fuzzywuzzy computes other values where python-Levenshtein is installed:

    python3 -m venv a && a/bin/pip install rouge==1.0.1 fuzzywuzzy==0.18.0
    python3 -m venv b && b/bin/pip install rouge==1.0.1 fuzzywuzzy==0.18.0 python-Levenshtein
    a/bin/python tools/compare-metrics.py          # rouge_l, qa_f1, code_sim difflib
    b/bin/python tools/compare-metrics.py          # rouge_l, qa_f1, code_sim indel

Prints agreements and the largest difference of each metric; exits 1 if any pair differs.
"""
import argparse
import collections
import json
import pathlib
import random
import re
import string
import subprocess
import sys
import threading
import warnings

warnings.filterwarnings("ignore")
from fuzzywuzzy import fuzz  # noqa: E402
from rouge import Rouge  # noqa: E402

ROOT = pathlib.Path(__file__).parent.parent
VARIANT = "indel" if "StringMatcher" in sys.modules["fuzzywuzzy.fuzz"].SequenceMatcher.__module__ else "difflib"

WORDS = (
    "the a an The A cat cats sat on mat. river rose fast, U.S. state-of-the-art 1,000 men 3.14 yes no... it's (or) "
    "Paris paris PARIS the_ end! end. naïve café ÉTÉ été Straße STRASSE İstanbul 北京 大学 ½ x² ١٢ the\u2013cat an\u0301 "
    "\u00a0 \u2003 \x1c \x85 \ufeff \u3000 😀 👩\u200d💻 A. .B .. \t \n"
).split(" ")
CODE = [
    "return x + 1", "    return self.a", "x = foo(a, b)", "for i in range(10):", "# comment", "if (a && b) {", "}", "",
    "url = 'http://x'", "```python", "print('häßlich', \"漢字\")", "\tpublic static void main(String[] args) {",
    "def f(self, *args, **kwargs):", "// TODO(a)", "    raise ValueError(f'{x!r} is not {y}')", "y = [z for z in q if z]",
]


def words(n):
    return " ".join(random.choice(WORDS) for _ in range(n))


def changed(text, alphabet, changes):
    out = list(text)
    for _ in range(changes):
        at = random.randrange(len(out) + 1)
        if random.random() < 0.5:
            out[at:at] = [random.choice(alphabet) for _ in range(random.randrange(4))]
        else:
            del out[at : at + random.randrange(6)]
    if out and random.random() < 0.2:
        cut = random.randrange(len(out))
        out = out[cut:] + out[:cut]
    return "".join(out)


def prose_pairs(n):
    """Short answers, sentences, and texts of several hundred words."""
    for i in range(n):
        size = (random.randrange(0, 6), random.randrange(1, 40), random.randrange(100, 420))[i % 3 if i % 15 else 2]
        a = words(size)
        if random.random() < 0.5:
            b = words(random.randrange(0, size + 4))
        else:
            parts = a.split(" ")
            kept = [p for p in parts if random.random() < 0.8]
            b = " ".join(kept[len(kept) // 2 :] + kept[: len(kept) // 2] if random.random() < 0.3 else kept)
        yield a, b


def code_pairs(n):
    """Lines of code, random characters of small alphabets, and strings around 200 characters."""
    alphabets = ["ab", "abc ", string.ascii_letters + " ()=._", "xyzäß漢字😀 \t"]
    for i in range(n):
        alphabet = alphabets[i % len(alphabets)]
        if i % 3 == 0:
            a = random.choice(CODE)
            b = random.choice(CODE) if random.random() < 0.3 else changed(a, alphabet, random.randrange(1, 5))
        else:
            length = random.randrange(1, 60) if i % 3 == 1 else random.randrange(185, 225)
            a = "".join(random.choice(alphabet) for _ in range(length))
            b = changed(a, alphabet, random.randrange(0, 25))
        lead = random.choice(["", "", "\n", "\n\n# note\n", "```python\n"])
        tail = random.choice(["", "\n" + random.choice(CODE)])
        yield lead + a + tail, b


# --- what is compared with -------------------------------------------------------------------------------------------


def rouge_l(a, b):
    try:
        return Rouge(metrics=["rouge-l"], stats=["f"]).get_scores([a], [b], avg=True)["rouge-l"]["f"]
    except ValueError:  # it refuses texts without a word
        return 0.0


def qa_f1(a, b):
    def normal(text):
        text = "".join(c for c in text.lower() if c not in set(string.punctuation))
        return re.sub(r"\b(a|an|the)\b", " ", text).split()

    said, wanted = normal(a), normal(b)
    same = sum((collections.Counter(said) & collections.Counter(wanted)).values())
    if same == 0:
        return 0.0
    precision, recall = same / len(said), same / len(wanted)
    return 2 * precision * recall / (precision + recall)


def code_sim(a, b):
    line = next((x for x in a.lstrip("\n").split("\n") if "`" not in x and "#" not in x and "//" not in x), "")
    return fuzz.ratio(line, b) / 100


def compare(n, seed):
    random.seed(seed)
    jobs = [("rouge_l", "", rouge_l, a, b) for a, b in prose_pairs(n)]
    jobs += [("qa_f1", "", qa_f1, a, b) for a, b in prose_pairs(n)]
    jobs += [("code_sim", VARIANT, code_sim, a, b) for a, b in code_pairs(n)]
    lines = "".join(json.dumps([metric, variant, a, b]) + "\n" for metric, variant, _, a, b in jobs)
    command = ["node", "--import", "./tools/typescript.mjs", "tools/score-pairs.ts"]
    run = subprocess.run(command, cwd=ROOT, input=lines, capture_output=True, text=True, encoding="utf-8", check=True)
    ours = [json.loads(x) for x in run.stdout.split()]
    assert len(ours) == len(jobs), f"{len(ours)} scores for {len(jobs)} pairs"
    seen = collections.defaultdict(lambda: [0, 0, 0.0, None])
    for (metric, variant, theirs, a, b), score in zip(jobs, ours):
        row = seen[f"{metric} {variant}".strip()]
        value = theirs(a, b)
        off = abs(value - score) if score is not None else float("inf")
        row[0] += 1
        row[1] += off == 0
        if off > row[2]:
            row[2:] = [off, (a, b, value, score)]
    for name, (pairs, same, off, worst) in seen.items():
        print(f"{name}: {same} of {pairs} pairs agree to the last bit, largest difference {off:.3g}")
        if worst:
            print("  " + json.dumps(worst, ensure_ascii=False)[:600])
    return all(off == 0 for _, _, off, _ in seen.values())


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--pairs", type=int, default=2000, help="pairs a metric")
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    # rouge walks back through a table by recursion, one call a step
    sys.setrecursionlimit(100_000)
    threading.stack_size(512 << 20)
    results = []
    thread = threading.Thread(target=lambda: results.append(compare(chosen.pairs, chosen.seed)))
    thread.start()
    thread.join()
    sys.exit(0 if results == [True] else 1)


main()
