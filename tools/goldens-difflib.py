#!/usr/bin/env python3
"""Writes test/fixtures/difflib.json: what Python's difflib says of random strings around 200 characters.

Its rule for frequent characters begins at 200, so lengths lie on both sides. Standard library only:

    python3 tools/goldens-difflib.py
"""
import difflib
import json
import pathlib
import random

OUT = pathlib.Path(__file__).parent.parent / "test" / "fixtures" / "difflib.json"
random.seed(20240817)
ALPHABETS = ["ab", "abc ", "abcdefgh ()", "return self.x + y_1(0)[i]\t", "äß漢字😀 ab", "".join(map(chr, range(32, 127)))]


def text(alphabet, length):
    return "".join(random.choice(alphabet) for _ in range(length))


def changed(a, alphabet):
    """The same text with a few insertions, deletions and moved pieces."""
    b = list(a)
    for _ in range(random.randrange(1, 20)):
        at = random.randrange(len(b) + 1)
        if random.random() < 0.5:
            b[at:at] = text(alphabet, random.randrange(4))
        else:
            del b[at : at + random.randrange(8)]
    if random.random() < 0.3:
        cut = random.randrange(len(b) + 1)
        b = b[cut:] + b[:cut]
    return "".join(b)


rows = []
for i in range(300):
    alphabet = ALPHABETS[i % len(ALPHABETS)]
    a = text(alphabet, random.randrange(180, 230))
    b = changed(a, alphabet) if i % 3 else text(alphabet, random.randrange(190, 215))
    blocks = difflib.SequenceMatcher(None, a, b).get_matching_blocks()
    rows.append([a, b, sum(block.size for block in blocks)])
OUT.write_text(json.dumps(rows, ensure_ascii=False, separators=(",", ":")).replace("],[", "],\n[") + "\n", encoding="utf-8")
long = sum(len(b) >= 200 for _, b, _ in rows)
print(f"{len(rows)} pairs, {long} with a second text of 200 or more")
