"""The engine's commands, and the folder that `dump-kv` writes."""

import json
import subprocess
from pathlib import Path

import numpy as np


class Engine:
    def __init__(self, binary, model, scratch):
        self.binary, self.model, self.scratch = binary, model, Path(scratch)

    def run(self, requests):
        """The events of `gpu-runner run`."""
        file = self.scratch / "requests.jsonl"
        file.write_text("".join(json.dumps(r) + "\n" for r in requests))
        done = subprocess.run([self.binary, "run", file], capture_output=True, text=True)
        events = [json.loads(line) for line in done.stdout.splitlines()]
        failed = [e for e in events if e["event"] == "failed"]
        if done.returncode or failed:
            raise SystemExit(f"gpu-runner run: {failed or done.stderr}")
        return events

    def encode(self, texts):
        load = {"op": "load", "id": "m", "model": {"path": str(self.model)}, "tokenizer_only": True}
        events = self.run([load, {"op": "encode", "id": "e", "texts": texts, "chat": True}])
        return next(e["ids"] for e in events if e["event"] == "encoded")

    def names(self):
        """Names of the registry."""
        done = subprocess.run([self.binary, "list", "--json"], capture_output=True, text=True, check=True)
        return [row["name"] for row in json.loads(done.stdout)["compressors"]]

    def kept_by_cells(self, tokens, compressors, seed=0):
        """Masks [L, Hk, T] as `generate` cells of one token trace them."""
        import base64

        requests = [{"op": "load", "id": "m", "model": {"path": str(self.model)}}]
        for i, compressor in enumerate(compressors):
            workload = {"generate": {"max_new_tokens": 1, "trace": ["kept"]}}
            item = {"sample": "s", "seed": seed, "tokens": tokens}
            requests += [
                {"op": "cell", "cell": str(i), "compressor": compressor, "batch": 1, "workload": workload},
                {"op": "samples", "cell": str(i), "items": [item]},
                {"op": "start", "cell": str(i)},
            ]
        masks = {}
        for e in self.run(requests):
            if e["event"] == "kept":
                bits = np.unpackbits(np.frombuffer(base64.b64decode(e["bitmap"]), np.uint8), bitorder="little")
                rows = bits.reshape(e["layers"], e["kv_heads"], -1)
                masks[int(e["cell"])] = rows[..., : len(tokens)].astype(bool)
        return [masks[i] for i in range(len(compressors))]

    def dump(self, tokens, compressors, name, options=()):
        """Runs `dump-kv`; the answer is a Dump."""
        file, out = self.scratch / f"{name}.tokens.json", self.scratch / name
        file.write_text(json.dumps(tokens))
        command = [self.binary, "dump-kv", str(self.model), "--tokens", file, "--out", out, *options]
        for compressor in compressors:
            command += ["--compressor", json.dumps(compressor)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"gpu-runner dump-kv: {done.stderr.strip()}")
        return Dump(out)


class Dump:
    """What a folder of `dump-kv` holds, layer by layer."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.header = json.loads((self.folder / "header.json").read_text())
        self.layers, self.kv_heads = self.header["model"]["layers"], self.header["model"]["kv_heads"]
        self.T = len(self.header["tokens"])

    def array(self, part, layer, what):
        return np.load(self.folder / part / f"layer-{layer:02}.{what}.npy")

    def exact(self, layer):
        """q f32 [T, Hq, d], k and v f16 [T, Hk, d], after RoPE."""
        return tuple(self.array("exact", layer, what) for what in "qkv")

    def stores(self, index, layer, when="prompt"):
        """(positions, k, v) of every kv head under configuration `index`."""
        ends = np.cumsum(self.array(f"{index}/{when}", layer, "counts"))[:-1]
        arrays = (self.array(f"{index}/{when}", layer, what) for what in ("positions", "k", "v"))
        return list(zip(*(np.split(a, ends) for a in arrays)))

    def mask(self, index, layer):
        """Kept after the prompt, [Hk, T]."""
        mask = np.zeros((self.kv_heads, self.T), bool)
        for head, (positions, _, _) in enumerate(self.stores(index, layer)):
            mask[head, positions] = True
        return mask
