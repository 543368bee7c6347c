#!/usr/bin/env python3
"""One training step of a run configuration in eager PyTorch and under torch.compile, on one GPU: what HELM's interpreter is held against.

    eager_baseline.py CONFIG.yaml [--steps 10] [--compile] [--device cuda]

The same work as the program that HELM lowers: bf16 weights with fp32 master copies, gradients added up in fp32 over micro-batches, flash attention,
cross-entropy in fp32, clipping to norm 1, fused AdamW. Prints one JSON document: medians over the steps behind a warm-up, in seconds, and the
allocator's peak.
"""
import argparse
import functools
import json
import pathlib
import statistics
import sys
import time

import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests/oracle"))
import model_config  # noqa: E402
import reference_model  # noqa: E402


class Fused:
    """The reference model with the fused operators that people use."""

    def norm(self, w, name, x):
        c = self.c
        if c["norm"] == "layernorm":
            return F.layer_norm(x, x.shape[-1:], w[name + ".weight"], w[name + ".bias"], c["norm_epsilon"])
        return F.rms_norm(x, x.shape[-1:], w[name + ".weight"], c["norm_epsilon"])

    def attention(self, w, prefix, x):
        c = self.c
        batch, positions, _ = x.shape
        q, k, v = (t.view(batch, positions, -1, c["head_dim"]) for t in self.projections(w, prefix, x))
        if c["qk_norm"]:
            q, k = self.norm(w, self.names["q_norm"].format(prefix), q), self.norm(w, self.names["k_norm"].format(prefix), k)
        q, k, v = (t.transpose(1, 2) for t in (q, k, v))
        if c["position"] == "rope":
            q, k = self.rotate(q, *self.angles), self.rotate(k, *self.angles)
        core = functools.partial(F.scaled_dot_product_attention, is_causal=True, enable_gqa=c["heads"] != c["kv_heads"])
        out = checkpoint(core, q, k, v, use_reentrant=False) if self.recompute == "selective" else core(q, k, v)
        return self.linear(w, self.names["out"].format(prefix), out.transpose(1, 2).reshape(batch, positions, -1))

    def layer(self, w, index, x):
        prefix = self.names["layer"].format(index)
        x = x + self.attention(w, prefix, self.norm(w, self.names["norm1"].format(prefix), x))
        return x + self.mlp(w, prefix, self.norm(w, self.names["norm2"].format(prefix), x))

    def loss(self, w, tokens, labels):
        c, n = self.c, self.names
        x = F.embedding(tokens, w[n["embedding"]])
        if c["position"] == "learned":
            x = x + w[n["position"]][: tokens.shape[1]]
        for index in range(c["layers"]):
            x = checkpoint(self.layer, w, index, x, use_reentrant=False) if self.recompute == "full" else self.layer(w, index, x)
        head = w[n["embedding"]] if c["tied_embeddings"] else w["lm_head.weight"]
        logits = self.norm(w, n["final_norm"], x) @ head.T
        return F.cross_entropy(logits.flatten(0, 1).float(), labels.flatten())


class FusedLlama(Fused, reference_model.Llama):
    pass


class FusedGpt2(Fused, reference_model.Gpt2):
    pass


def shapes_of(c, n):
    """Of all parameters, under their names."""
    h, d, query, key = c["hidden"], c["head_dim"], c["heads"] * c["head_dim"], c["kv_heads"] * c["head_dim"]
    shapes = {n["embedding"]: (c["vocab"], h)}
    gpt = c["family"] == "gpt"

    def linear(name, inputs, outputs):
        shapes[name + ".weight"] = (inputs, outputs) if gpt else (outputs, inputs)
        if gpt:
            shapes[name + ".bias"] = (outputs,)

    def norm(name, size):
        shapes[name + ".weight"] = (size,)
        if c["norm"] == "layernorm":
            shapes[name + ".bias"] = (size,)

    if c["position"] == "learned":
        shapes[n["position"]] = (c["max_positions"], h)
    for index in range(c["layers"]):
        prefix = n["layer"].format(index)
        norm(n["norm1"].format(prefix), h)
        norm(n["norm2"].format(prefix), h)
        if gpt:
            linear(prefix + "attn.c_attn", h, query + 2 * key)
        else:
            for which, size in (("q_proj", query), ("k_proj", key), ("v_proj", key)):
                linear(prefix + "self_attn." + which, h, size)
        linear(n["out"].format(prefix), query, h)
        for which in ("up",) if gpt else ("gate", "up"):
            linear(n[which].format(prefix), h, c["ffn"])
        linear(n["down"].format(prefix), c["ffn"], h)
        if c["qk_norm"]:
            norm(n["q_norm"].format(prefix), d)
            norm(n["k_norm"].format(prefix), d)
    norm(n["final_norm"], h)
    if not c["tied_embeddings"]:
        shapes["lm_head.weight"] = (c["vocab"], h)
    return shapes


class Training:
    def __init__(self, config, workload, strategy, device):
        self.model = (FusedGpt2 if config["family"] == "gpt" else FusedLlama)(config)
        shapes = shapes_of(config, self.model.names)
        self.masters = {name: torch.empty(shape, device=device).normal_(std=0.02).add_(1.0 if len(shape) == 1 and name.endswith("weight") else 0.0)
                        for name, shape in shapes.items()}
        self.weights = {name: master.to(torch.bfloat16).requires_grad_() for name, master in self.masters.items()}
        decayed = [m for m in self.masters.values() if m.dim() > 1]
        others = [m for m in self.masters.values() if m.dim() <= 1]
        self.optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}], lr=3e-4,
                                           betas=(0.9, 0.95), fused=device != "cpu")
        self.micro_batches = workload["global_batch"] // strategy.get("micro_batch", 1)
        shape = (strategy.get("micro_batch", 1), workload["sequence_length"])
        self.batches = [[torch.randint(config["vocab"], shape, device=device) for _ in range(2)] for _ in range(self.micro_batches)]
        self.model.recompute = strategy.get("recompute", "none")
        if config["position"] == "rope":
            self.model.angles = [t.to(device) for t in self.model.rotary(workload["sequence_length"], torch.bfloat16)]
        self.loss = self.model.loss

    def step(self):
        for number, (tokens, labels) in enumerate(self.batches):
            (self.loss(self.weights, tokens, labels) / self.micro_batches).backward()
            for name, weight in self.weights.items():
                master = self.masters[name]
                if number == 0:
                    master.grad = weight.grad.float()
                else:
                    master.grad.add_(weight.grad)
                weight.grad = None
        torch.nn.utils.clip_grad_norm_(list(self.masters.values()), 1.0, foreach=True)
        self.optimizer.step()
        with torch.no_grad():
            torch._foreach_copy_([w.detach() for w in self.weights.values()], list(self.masters.values()))
        for master in self.masters.values():
            master.grad = None


def median_step(training, steps, warm_up, synchronise):
    times = []
    for _ in range(warm_up + steps):
        synchronise()
        start = time.perf_counter()
        training.step()
        synchronise()
        times.append(time.perf_counter() - start)
    return statistics.median(times[warm_up:])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=pathlib.Path)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--warm-up", type=int, default=3)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--device", default="cuda")
    arguments = parser.parse_args()
    document = model_config.read_yaml(arguments.config.read_text())
    model = document["model"]
    if isinstance(model, str):
        model = model_config.read_document(str(arguments.config.parents[2] / "models" / (model + ".yaml")))
    config = model_config.complete(model)
    training = Training(config, document["workload"], document.get("strategy") or {}, arguments.device)
    on_gpu = arguments.device != "cpu"
    synchronise = torch.cuda.synchronize if on_gpu else lambda: None
    result = {"config": arguments.config.stem, "torch": torch.__version__, "device": torch.cuda.get_device_name() if on_gpu else "cpu",
              "eager_step_s": median_step(training, arguments.steps, arguments.warm_up, synchronise)}
    if on_gpu:
        result["eager_allocated_bytes_peak"] = torch.cuda.max_memory_allocated()
    if arguments.compile:
        start = time.perf_counter()
        training.loss = torch.compile(training.model.loss)
        training.step()
        result["compile_s"] = time.perf_counter() - start
        result["compiled_step_s"] = median_step(training, arguments.steps, arguments.warm_up, synchronise)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
