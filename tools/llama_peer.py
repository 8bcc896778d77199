"""llama.cpp as the peer of the engine: the parts that the comparisons share. Needs llama-cpp-python 0.3.36."""
import ctypes
import json
import random
import subprocess
import time

import jinja2.sandbox
import llama_cpp as L
import numpy as np


class Peer:
    """One model in one llama.cpp context, by the C API: nothing of the Python wrapper is timed."""

    def __init__(self, model, threads, context, sequences=1, flash=True):
        L.llama_log_set(QUIET, ctypes.c_void_p(0))
        L.llama_backend_init()
        self.model = L.llama_model_load_from_file(str(model).encode(), L.llama_model_default_params())
        if not self.model:
            raise SystemExit(f"llama.cpp cannot load {model}")
        params = L.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch, params.n_seq_max = context * sequences, 2048, 512, sequences
        if not flash:
            params.flash_attn_type = L.LLAMA_FLASH_ATTN_TYPE_DISABLED
        params.n_threads = params.n_threads_batch = threads
        self.context = L.llama_init_from_model(self.model, params)
        if not self.context:
            raise SystemExit(f"llama.cpp cannot make a context of {context} x {sequences} tokens")
        self.vocab = L.llama_model_get_vocab(self.model)
        self.n_vocab = L.llama_vocab_n_tokens(self.vocab)
        self.batch = L.llama_batch_init(2048, 0, 1)
        self.length = 0

    def clear(self):
        L.llama_memory_clear(L.llama_get_memory(self.context), True)

    def template(self):
        return L.llama_model_chat_template(self.model, None).decode()

    def tokenize(self, text, special):
        raw = text.encode()
        room = (L.llama_token * (len(raw) + 8))()
        n = L.llama_tokenize(self.vocab, raw, len(raw), room, len(raw) + 8, False, special)
        return list(room[:n])

    def is_end(self, token):
        return L.llama_vocab_is_eog(self.vocab, token)

    def feed(self, rows):
        """rows: [(token, position, sequence, wants logits)]. Returns seconds."""
        batch = self.batch
        batch.n_tokens = len(rows)
        for i, (token, position, sequence, wanted) in enumerate(rows):
            batch.token[i], batch.pos[i], batch.n_seq_id[i] = token, position, 1
            batch.seq_id[i][0], batch.logits[i] = sequence, wanted
        start = time.perf_counter()
        code = L.llama_decode(self.context, batch)
        L.llama_synchronize(self.context)
        seconds = time.perf_counter() - start
        if code != 0:
            raise SystemExit(f"llama_decode answered {code}")
        return seconds

    def logits(self, row):
        pointer = L.llama_get_logits_ith(self.context, row)
        return np.ctypeslib.as_array(pointer, shape=(self.n_vocab,))


@L.llama_log_callback
def QUIET(level, text, data):
    pass


def sharegpt_prompts(path, count, seed, shortest=20, longest=1600):
    """First user turns, shuffled by a seed; those that spell control tokens are left out."""
    texts = []
    for conversation in records(path):
        turns = conversation["conversations"]
        if turns and turns[0]["from"] == "human" and shortest <= len(turns[0]["value"]) <= longest:
            texts.append(turns[0]["value"])
    texts = [text for text in texts if "<|" not in text]
    random.Random(seed).shuffle(texts)
    return texts[:count]


def records(path):
    """The objects of a JSON array, one by one: public copies of ShareGPT end in the middle of a string."""
    with open(path) as file:
        text = file.read()
    decoder, at = json.JSONDecoder(), text.index("{")
    while at >= 0:
        try:
            record, end = decoder.raw_decode(text, at)
        except json.JSONDecodeError:
            return
        yield record
        at = text.find("{", end)


def render(template, text):
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    messages = [{"role": "user", "content": text}]
    return environment.from_string(template).render(messages=messages, add_generation_prompt=True)


class Engine:
    """`gpu-runner serve`: lines in, events out."""

    def __init__(self, path):
        pipe = subprocess.PIPE
        self.process = subprocess.Popen([path, "serve"], stdin=pipe, stdout=pipe, text=True, bufsize=1)

    def send(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()

    def until(self, *names):
        """Events up to the first with one of these names; a failure ends the comparison."""
        events = []
        for line in self.process.stdout:
            event = json.loads(line)
            if event["event"] == "failed":
                raise SystemExit(f"the engine failed: {event['kind']}: {event['message']}")
            events.append(event)
            if event["event"] in names:
                return events
        raise SystemExit(f"the engine ended before it sent {' or '.join(names)}")

    def load(self, model, threads, backend):
        self.send(op="load", id="m", model={"path": str(model)}, backend=backend, threads=threads)
        return self.until("loaded")[-1]

    def close(self):
        self.send(op="shutdown")
        self.process.wait()
