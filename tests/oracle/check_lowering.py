#!/usr/bin/env python3
"""Compares lowered programs with PyTorch's autograd (reference_model.py) for models x strategies, before and beside HELM's own executor.

    check_lowering.py path/to/helm_dump_program [--only text] [--mutations] [--verbose]
"""
import argparse
import json
import subprocess
import sys

import torch

import model_config
import reference_model
import run_program

STEPS = 2
OPTIMIZER = dict(learning_rate=3e-4, beta1=0.9, beta2=0.95, epsilon=1e-4, weight_decay=0.1, clip_norm=1.0)

MODELS = {
    "llama": dict(family="llama", layers=2, hidden=24, ffn=40, heads=4, kv_heads=4, vocab=50),
    "llama-gqa": dict(family="llama", layers=2, hidden=48, ffn=56, heads=6, kv_heads=2, vocab=51, head_dim=10),
    "llama-tied": dict(family="llama", layers=1, hidden=24, ffn=36, heads=4, kv_heads=2, vocab=52, tied_embeddings=True),
    "qwen2": dict(family="llama", layers=2, hidden=24, ffn=40, heads=4, kv_heads=2, vocab=50, attention_bias=True, rope_theta=1e6),
    "qwen3": dict(family="llama", layers=2, hidden=24, ffn=40, heads=4, kv_heads=2, head_dim=12, vocab=50, qk_norm=True),
    "gpt2": dict(family="gpt", layers=2, hidden=24, heads=4, vocab=50, max_positions=16),
    "gpt-untied": dict(family="gpt", layers=1, hidden=24, ffn=60, heads=4, vocab=53, max_positions=12, tied_embeddings=False),
    "llama-geglu": dict(family="llama", layers=1, hidden=24, ffn=40, heads=2, kv_heads=2, vocab=50, activation="geglu"),
    "gpt-relu2-rope": dict(family="gpt", layers=2, hidden=24, heads=4, kv_heads=2, vocab=50, activation="squared_relu", position="rope", norm="rmsnorm"),
    "llama-bias": dict(family="llama", layers=1, hidden=24, ffn=40, heads=4, kv_heads=4, vocab=50, bias=True, norm="layernorm"),
    "llama-nope": dict(family="llama", layers=1, hidden=24, ffn=40, heads=4, kv_heads=2, vocab=50, position="none"),
}
STRATEGIES = {
    "one": dict(),
    "accumulate": dict(global_batch=4),
    "micro2": dict(global_batch=4, micro_batch=2),
    "data2": dict(data=2, global_batch=4),
    "tensor2": dict(tensor=2),
    "tensor2-sp": dict(tensor=2, sequence_parallel=True),
    "data2-tensor2-sp-accumulate": dict(data=2, tensor=2, sequence_parallel=True, global_batch=8, micro_batch=2),
    "data2-tensor2": dict(data=2, tensor=2, global_batch=4, bucket_bytes=10**9),
}
SEQUENCE = 6


def cases():
    for model_name, model in MODELS.items():
        for strategy_name, strategy in STRATEGIES.items():
            yield f"{model_name}/{strategy_name}", {"model": {"name": model_name, **model}, "sequence_length": SEQUENCE, "global_batch": 2, **strategy}
    for strategy_name in ("one", "accumulate", "tensor2-sp", "data2-tensor2"):
        for model_name in ("llama-gqa", "gpt2", "qwen3"):
            strategy = STRATEGIES[strategy_name]
            yield (f"{model_name}/{strategy_name}/bf16",
                   {"model": {"name": model_name, **MODELS[model_name]}, "sequence_length": SEQUENCE, "global_batch": 2, "dtype": "bf16", **strategy})


def dump(binary, case_list):
    text = "\n".join(json.dumps({**case, "clip_norm": OPTIMIZER["clip_norm"], "epsilon": OPTIMIZER["epsilon"]}) for case in case_list)
    out = subprocess.run([binary], input=text + "\n", capture_output=True, text=True, check=True).stdout
    return [json.loads(line) for line in out.splitlines()]


def initial_weights(shapes):
    """Large enough that nothing is lost in noise; norms near one."""
    generator = torch.Generator().manual_seed(7)
    result = {}
    for name in sorted(shapes):
        noise = torch.randn(shapes[name], generator=generator)
        is_norm = "norm" in name or ".ln_" in name
        result[name] = 1.0 + 0.2 * noise if is_norm and name.endswith("weight") else 0.3 * noise
    return result


def feed(world, case, tokens, labels):
    """Micro-batch i of data rank r: sequences [r x share + i x micro_batch, ...) of the global batch."""
    data, micro = case.get("data", 1), case.get("micro_batch", 1)
    share = case["global_batch"] // data
    for i in range(share // micro):
        for name, batch in (("tokens", tokens), ("labels", labels)):
            world.set_input(f"{name}.{i}", [batch[r * share + i * micro: r * share + (i + 1) * micro] for r in range(data)])


def run_case(program, case, skip=None, world=None):
    """Errors of the program against the reference, largest first."""
    torch.manual_seed(3)
    config = model_config.complete(case["model"])
    tokens = torch.randint(config["vocab"], (STEPS, case["global_batch"], SEQUENCE))
    labels = torch.randint(config["vocab"], (STEPS, case["global_batch"], SEQUENCE))
    world = run_program.World(program)
    initial = initial_weights(world.shapes())
    bf16 = case.get("dtype") == "bf16"
    world.load(initial)
    losses, gradients, updated, norms = reference_model.train(config, initial, tokens, labels, OPTIMIZER)
    errors = []
    for step in range(STEPS):
        feed(world, case, tokens[step], labels[step])
        world.run(skip)
        errors.append((abs(world.output("loss") - losses[step]) / losses[step], "loss", f"step {step}"))
        errors.append((abs(world.output("gradient_norm") - norms[step]) / norms[step], "gradient_norm", f"step {step}"))
        if step == 0:
            coefficient = world.output("clip_coefficient")
            found = {name: value / coefficient for name, value in world.gather("gradient").items()}
            errors += reference_model.compare("gradient", found, gradients)
    errors += reference_model.compare("parameter", world.gather("master"), updated)
    return sorted(errors, reverse=True), (0.08 if bf16 else 1e-5)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("binary")
    parser.add_argument("--only", default="")
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    chosen = [(name, case) for name, case in cases() if arguments.only in name]
    failures = 0
    for (name, case), program in zip(chosen, dump(arguments.binary, [case for _, case in chosen]), strict=True):
        if "error" in program:
            errors, tolerance, text = None, 0, program["error"]
        else:
            try:
                errors, tolerance = run_case(program, case)
                text = f"{errors[0][0]:.2e} ({errors[0][1]} {errors[0][2]}) {len(program['ops'])} ops"
            except run_program.Mismatch as mismatch:
                errors, tolerance, text = None, 0, str(mismatch)
        fine = errors is not None and errors[0][0] <= tolerance
        failures += not fine
        print(f"{'ok  ' if fine else 'FAIL'} {name}: {text}", flush=True)
        if arguments.verbose and errors:
            for error in errors[:12]:
                print("    ", *error)
    print(f"{len(chosen) - failures} of {len(chosen)} cases agree")
    sys.exit(1 if failures or not chosen else 0)


if __name__ == "__main__":
    main()
