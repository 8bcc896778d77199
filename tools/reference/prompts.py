"""The fixed rule that picks real prompts: in file order, the first conversations of a ShareGPT file whose first message
is the human's and has, in the model's chat template, at least `least` and at most `most` tokens."""

import json

DECODER = json.JSONDecoder()


def conversations(path, chunk=4 << 20):
    """The elements of a JSON array, read piece by piece: the file does not fit small machines."""
    with open(path, encoding="utf-8") as file:
        text, at = file.read(chunk), 0
        at = text.index("[") + 1
        while True:
            while at < len(text) and text[at] in " \t\r\n,":
                at += 1
            if at < len(text) and text[at] == "]":
                return
            try:
                value, at = DECODER.raw_decode(text, at)
                yield value
            except json.JSONDecodeError:
                more = file.read(chunk)
                if not more:
                    raise
                text, at = text[at:] + more, 0


def prompts(path, encode, count, least, most):
    """(id, token ids) of `count` prompts; `encode` turns a list of texts into lists of ids."""
    found, batch = [], []
    for conversation in conversations(path):
        turns = conversation["conversations"]
        # 2 to 12 characters a token: only such texts can be in the range.
        if turns and turns[0]["from"] == "human" and 2 * least <= len(turns[0]["value"]) <= 12 * most:
            batch.append((conversation["id"], turns[0]["value"]))
        if len(batch) == 100:
            for (name, _), ids in zip(batch, encode([text for _, text in batch])):
                if least <= len(ids) <= most:
                    found.append((name, ids))
            batch = []
        if len(found) >= count:
            return found[:count]
    raise SystemExit(f"{path}: only {len(found)} prompts of {least} to {most} tokens; lower --least")
