#!/usr/bin/env python3
"""Compares lowered programs with PyTorch's autograd (reference_model.py) for models x strategies, beside HELM's own executor.

    check_lowering.py path/to/helm_dump_program [--only text] [--mutations] [--schemas] [--verbose]

fp32 programs must agree with fp64 autograd within 1e-5, bf16 programs within three times the error that PyTorch's own autograd makes in bf16 on the same
weights. --mutations breaks programs in many places, one at a time, and fails when a break goes unnoticed. --schemas checks programs for CUDA, which
cannot run here, against the operators' schemas and the shapes of PyTorch's fake CUDA tensors.
"""
import argparse
import json
import subprocess
import sys

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

import model_config
import reference_model
import run_program

STEPS = 2
OPTIMIZER = dict(learning_rate=3e-4, beta1=0.9, beta2=0.95, epsilon=1e-4, weight_decay=0.1, clip_norm=0.9)

MODELS = {
    "llama": dict(family="llama", layers=2, hidden=24, ffn=40, heads=4, kv_heads=4, vocab=50),
    "llama-gqa": dict(family="llama", layers=2, hidden=48, ffn=56, heads=6, kv_heads=2, vocab=301, head_dim=10),
    "llama-tied": dict(family="llama", layers=1, hidden=24, ffn=36, heads=4, kv_heads=2, vocab=52, tied_embeddings=True),
    "qwen2": dict(family="llama", layers=2, hidden=24, ffn=40, heads=4, kv_heads=2, vocab=50, attention_bias=True, rope_theta=1e6),
    "qwen3": dict(family="llama", layers=2, hidden=24, ffn=40, heads=4, kv_heads=2, head_dim=12, vocab=50, qk_norm=True),
    "gpt2": dict(family="gpt", layers=2, hidden=24, heads=4, vocab=50, max_positions=16),
    "gpt-untied": dict(family="gpt", layers=1, hidden=24, ffn=60, heads=4, vocab=53, max_positions=12, tied_embeddings=False),
    "llama-geglu": dict(family="llama", layers=1, hidden=24, ffn=40, heads=2, kv_heads=2, vocab=50, activation="geglu"),
    "gemma": dict(family="llama", layers=1, hidden=24, ffn=40, heads=4, kv_heads=2, head_dim=10, vocab=50, activation="geglu", norm="rmsnorm1p",
                  scaled_embeddings=True, tied_embeddings=True),
    "gpt-relu2-rope": dict(family="gpt", layers=2, hidden=24, heads=4, kv_heads=2, vocab=50, activation="squared_relu", position="rope", norm="rmsnorm"),
    "llama-bias": dict(family="llama", layers=1, hidden=24, ffn=40, heads=4, kv_heads=4, vocab=50, bias=True, norm="layernorm"),
    # Wavelengths are 6, 29, 132, 612 positions: one of each kind between 40 / 4 and 40 / 1.
    "llama-llama3": dict(family="llama", layers=1, hidden=32, ffn=40, heads=4, kv_heads=2, vocab=50, rope_theta=450.0,
                         rope_scaling=dict(type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=40)),
    "llama-linear": dict(family="llama", layers=1, hidden=24, ffn=40, heads=4, kv_heads=2, vocab=50, rope_scaling=dict(type="linear", factor=4.0)),
    "qwen3-yarn": dict(family="llama", layers=1, hidden=48, ffn=40, heads=4, kv_heads=2, head_dim=24, vocab=50, qk_norm=True,
                       rope_scaling=dict(type="yarn", factor=4.0, original_max_position_embeddings=512)),
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
    "zero2-data3": dict(data=3, zero=2, global_batch=6),
    "zero3-data2-tensor2-sp": dict(data=2, tensor=2, sequence_parallel=True, zero=3, global_batch=4),
    "hsdp-2x2-full": dict(data=4, zero=3, fsdp_shard=2, fsdp_replicate=2, recompute="full", global_batch=8, fsdp_root_kept=False),
    "fsdp-data3-kept": dict(data=3, zero=2, fsdp_shard=3, global_batch=6, fsdp_no_sync=True, fsdp_gather_copied=True, fsdp_gradient_divided=True),
    "parts-norms": dict(recompute=dict(ops=["norm", "rope", "mlp_activation"]), global_batch=4),
    "parts-attention": dict(recompute=dict(ops=["qkv_projection", "attention_output", "mlp_up"])),
    "parts-tensor2-sp": dict(tensor=2, sequence_parallel=True, recompute=dict(ops=["norm", "rope", "core_attention", "attention_output", "mlp"])),
    "parts-layers-zero3": dict(data=2, zero=3, global_batch=4, recompute=dict(layers=1)),
}
SEQUENCE = 6
# Without flash attention, and what goes with it.
SCORES = {
    "gpt2-scores": dict(family="gpt", layers=2, hidden=24, heads=4, vocab=50, max_positions=16),
    "llama-gqa-scores": dict(family="llama", layers=1, hidden=48, ffn=56, heads=6, kv_heads=2, vocab=301, head_dim=10),
    "qwen3-scores": dict(family="llama", layers=1, hidden=24, ffn=40, heads=4, kv_heads=2, head_dim=12, vocab=50, qk_norm=True),
    "gpt-alibi": dict(family="gpt", layers=2, hidden=24, heads=4, vocab=50, position="alibi"),
    "gpt-alibi-6": dict(family="gpt", layers=1, hidden=24, heads=6, kv_heads=2, vocab=50, position="alibi", norm="layernorm1p"),
}
SCORES_STRATEGIES = {
    "one": dict(),
    "micro2": dict(global_batch=4, micro_batch=2, recompute="selective"),
    "tensor2-sp": dict(tensor=2, sequence_parallel=True, recompute="full", recompute_whole=True),
    "data2-tensor2": dict(data=2, tensor=2, global_batch=4, recompute="full", fused_norm=False, logits="compute", activation_recomputed=False, fused_linear_bias=False),
}

# Experts: with room for all tokens (capacity factor experts / top_k), and with so little that some are dropped.
EXPERTS = {
    "moe": dict(family="moe", layers=2, hidden=24, ffn=40, heads=4, kv_heads=2, vocab=50, moe=dict(experts=4, top_k=2, ffn=12, capacity_factor=2.0)),
    "moe-shared": dict(family="moe", layers=2, hidden=24, ffn=40, heads=4, kv_heads=4, vocab=50, activation="geglu",
                       moe=dict(experts=8, top_k=3, ffn=12, shared_ffn=20, dense_layers=1, capacity_factor=1.0, aux_loss=0.5)),
    "moe-top1": dict(family="moe", layers=3, hidden=24, ffn=40, heads=4, kv_heads=4, vocab=50, activation="gelu", norm="layernorm", position="learned",
                     max_positions=16, moe=dict(experts=4, top_k=1, ffn=16, layer_freq=2, capacity_factor=1.5, aux_loss=0.1)),
    "moe-dropless": dict(family="moe", layers=1, hidden=24, ffn=40, heads=4, kv_heads=4, vocab=50, activation="squared_relu",
                         moe=dict(experts=8, top_k=2, ffn=12, aux_loss=0.1)),
    "deepseek": dict(family="moe", layers=2, hidden=24, ffn=40, heads=4, kv_heads=4, vocab=50, mla=dict(q_lora=10, kv_lora=8, qk_nope=6, qk_rope=4, v=6),
                     moe=dict(experts=4, top_k=2, ffn=12, shared_ffn=8, dense_layers=1, capacity_factor=2.0)),
    "deepseek-queries": dict(family="moe", layers=1, hidden=24, ffn=40, heads=2, kv_heads=2, vocab=50, mla=dict(q_lora=0, kv_lora=8, qk_nope=4, qk_rope=6, v=10),
                             moe=dict(experts=4, top_k=2, ffn=12, capacity_factor=2.0)),
}
EXPERTS_STRATEGIES = {
    "one": dict(),
    "accumulate": dict(global_batch=4, expert_grouped_gemm=False),
    "micro2-full": dict(global_batch=4, micro_batch=2, recompute="full"),
    "data2-whole": dict(data=2, global_batch=4, recompute="full", recompute_whole=True),
    "zero3-data2": dict(data=2, zero=3, global_batch=4),
    "expert2": dict(data=2, expert=2, global_batch=4),
    "expert2-data2-zero1": dict(data=4, expert=2, zero=1, global_batch=8),
    "expert2-zero1": dict(data=2, expert=2, zero=1, global_batch=4),
    "tensor2": dict(tensor=2, expert_tensor=2),
    "tensor2-sp-expert2": dict(tensor=2, sequence_parallel=True, expert_tensor=2, data=2, expert=2, global_batch=4, expert_grouped_gemm=False),
    "tensor2-sp-data2-expert4": dict(tensor=2, sequence_parallel=True, expert_tensor=1, data=2, expert=4, global_batch=4, zero=1),
    "tensor2-sp-data2-expert2": dict(tensor=2, sequence_parallel=True, expert_tensor=1, data=2, expert=2, global_batch=8, micro_batch=2),
    "tensor2-data2-expert2": dict(tensor=2, expert_tensor=2, data=2, expert=2, global_batch=4, recompute="full"),
    "parts": dict(recompute=dict(ops=["norm", "moe_activation"])),
    "parts-expert2": dict(data=2, expert=2, global_batch=4, recompute=dict(ops=["qkv_projection", "core_attention", "moe"], layers=1)),
}

# Sequences split over ranks: by ring and all-gather over two, three and four, by all-to-all over as many as divide the heads.
CONTEXT = {
    "ring2": dict(context=2),
    "ring3-data2-accumulate": dict(context=3, data=2, global_batch=4),
    "ring4-tensor2-sp": dict(context=4, tensor=2, sequence_parallel=True, micro_batch=2),
    "ring2-selective": dict(context=2, recompute="selective"),
    "gather2-zero1": dict(context=2, context_communication="all_gather", zero=1),
    "gather4-full-micro2": dict(context=4, context_communication="all_gather", recompute="full", micro_batch=2),
    "gather3-zero3": dict(context=3, context_communication="all_gather", zero=3, data=2),
    "exchange2": dict(context=2, context_communication="all_to_all"),
    "exchange2-micro2-full": dict(context=2, context_communication="all_to_all", micro_batch=2, recompute="full"),
    "exchange2-tensor2-sp-selective": dict(context=2, context_communication="all_to_all", tensor=2, sequence_parallel=True, recompute="selective"),
    "exchange2-parts": dict(context=2, context_communication="all_to_all", recompute=dict(ops=["norm", "qkv_projection", "core_attention"])),
    "ring2-parts": dict(context=2, recompute=dict(ops=["rope", "core_attention", "attention_output"])),
}
CONTEXT_SEQUENCE = 24
CONTEXT_MODELS = {
    "llama": MODELS["llama"],
    "qwen3-wide": dict(family="llama", layers=2, hidden=24, ffn=40, heads=8, kv_heads=4, head_dim=12, vocab=50, qk_norm=True),
    "gpt2-long": dict(family="gpt", layers=2, hidden=24, heads=4, vocab=50, max_positions=24),
}
# Products of 8-bit operands, with types that lose nothing (run_program.WIDE_8_BITS).
FP8_MODELS = {
    "llama-fp8": dict(family="llama", layers=2, hidden=32, ffn=48, heads=4, kv_heads=2, vocab=50),
    "gpt-fp8": dict(family="gpt", layers=2, hidden=32, ffn=64, heads=4, vocab=50, max_positions=24),
    "moe-fp8": dict(family="moe", layers=2, hidden=32, ffn=48, heads=4, kv_heads=2, vocab=50, moe=dict(experts=4, top_k=2, ffn=16, dense_layers=1,
                                                                                                       capacity_factor=2.0)),
}
FP8_STRATEGIES = {
    "delayed": dict(fp8="delayed"),
    "current-accumulate": dict(fp8="current", global_batch=4),
    "delayed-tensor2-sp": dict(fp8="delayed", tensor=2, sequence_parallel=True, expert_tensor=2),
    "current-tensor2-sp": dict(fp8="current", tensor=2, sequence_parallel=True, expert_tensor=2),
    "delayed-full": dict(fp8="delayed", recompute="full"),
    "delayed-parts-tensor2-sp": dict(fp8="delayed", tensor=2, sequence_parallel=True, expert_tensor=2, recompute=dict(ops=["norm", "core_attention"])),
    "current-parts": dict(fp8="current", recompute=dict(ops=["norm", "attention_output", "core_attention"])),
    "delayed-zero3-data2": dict(fp8="delayed", data=2, zero=3, global_batch=4),
}

# Low-rank adapters beside frozen weights: on all linear layers, on some, and where backward ends early in the first layer.
ADAPTERS = {
    "lora-all": dict(family="llama", layers=2, hidden=48, ffn=56, heads=6, kv_heads=2, vocab=301, head_dim=10, lora=dict(rank=3, alpha=4.5)),
    "lora-attention": dict(family="llama", layers=2, hidden=24, ffn=40, heads=4, kv_heads=2, vocab=50, attention_bias=True,
                           lora=dict(rank=2, targets=["q_proj", "v_proj"])),
    "lora-output": dict(family="llama", layers=2, hidden=24, ffn=40, heads=4, kv_heads=2, head_dim=12, vocab=50, qk_norm=True, tied_embeddings=True,
                        lora=dict(rank=4, alpha=4.0, targets=["o_proj", "up_proj"])),
    "lora-mlp": dict(family="llama", layers=2, hidden=24, ffn=40, heads=4, kv_heads=4, vocab=50, norm="rmsnorm1p", activation="geglu",
                     scaled_embeddings=True, lora=dict(rank=2, targets=["gate_proj", "down_proj"])),
    "lora-down": dict(family="llama", layers=1, hidden=24, ffn=40, heads=4, kv_heads=4, vocab=52, lora=dict(rank=2, targets=["down_proj"])),
    "lora-gpt2": dict(family="gpt", layers=2, hidden=24, heads=4, vocab=50, max_positions=24, lora=dict(rank=2)),
    "lora-gpt2-attention": dict(family="gpt", layers=2, hidden=24, heads=4, vocab=53, max_positions=24, lora=dict(rank=3, targets=["c_attn"])),
}
ADAPTERS_STRATEGIES = {
    "one": dict(),
    "accumulate": dict(global_batch=4),
    "micro2-full": dict(global_batch=4, micro_batch=2, recompute="full"),
    "selective": dict(recompute="selective"),
    "data2": dict(data=2, global_batch=4),
    "tensor2": dict(tensor=2),
    "tensor2-sp-full": dict(tensor=2, sequence_parallel=True, recompute="full"),
    "data2-tensor2-sp-accumulate": dict(data=2, tensor=2, sequence_parallel=True, global_batch=8, micro_batch=2),
    "zero1-data2": dict(data=2, zero=1, global_batch=4),
    "zero2-data3": dict(data=3, zero=2, global_batch=6),
    "zero3-data2-tensor2-sp": dict(data=2, tensor=2, sequence_parallel=True, zero=3, global_batch=4),
    "hsdp-2x2-full": dict(data=4, zero=3, fsdp_shard=2, fsdp_replicate=2, recompute="full", global_batch=8, fsdp_root_kept=False),
    "parts-norms": dict(recompute=dict(ops=["norm", "rope", "mlp_activation"]), global_batch=4),
    "parts-tensor2-sp": dict(tensor=2, sequence_parallel=True, recompute=dict(ops=["norm", "rope", "core_attention", "attention_output", "mlp"])),
    "ring2": dict(context=2),
}


def moe_rows(case):
    """Rows of the batch that a rank routes at once."""
    split = (case.get("tensor", 1) if case.get("sequence_parallel") else 1) * case.get("context", 1)
    return case.get("micro_batch", 1) * case["sequence_length"] // split


def cases():
    for model_name, model in EXPERTS.items():
        for strategy_name, strategy in EXPERTS_STRATEGIES.items():
            # As many slots as tokens: none is dropped.
            yield (f"{model_name}/{strategy_name}",
                   {"model": {"name": model_name, **model}, "sequence_length": SEQUENCE, "global_batch": 2, "imbalance": 8.0, **strategy})
    for strategy_name in ("one", "expert2-data2-zero1", "tensor2-sp-expert2"):
        yield (f"moe/{strategy_name}/bf16", {"model": {"name": "moe", **EXPERTS["moe"]}, "sequence_length": SEQUENCE, "global_batch": 2, "dtype": "bf16",
                                             **EXPERTS_STRATEGIES[strategy_name]})
    for model_name, model in MODELS.items():
        for strategy_name, strategy in STRATEGIES.items():
            yield f"{model_name}/{strategy_name}", {"model": {"name": model_name, **model}, "sequence_length": SEQUENCE, "global_batch": 2, **strategy}
    for model_name, model in ADAPTERS.items():
        for strategy_name, strategy in ADAPTERS_STRATEGIES.items():
            case = {"model": {"name": model_name, **model}, "sequence_length": SEQUENCE, "global_batch": 2, **strategy}
            if strategy.get("context"):
                case["sequence_length"] = CONTEXT_SEQUENCE
            yield f"{model_name}/{strategy_name}", case
            if strategy_name in ("accumulate", "zero3-data2-tensor2-sp", "tensor2-sp-full"):
                yield f"{model_name}/{strategy_name}/bf16", {**case, "dtype": "bf16"}
    for model_name, model in FP8_MODELS.items():
        for strategy_name, strategy in FP8_STRATEGIES.items():
            if "moe" in model_name and "tensor2" not in strategy_name:
                continue  # bf16 alone sends some tokens to other experts there
            split = {key: value for key, value in strategy.items() if key != "expert_tensor" or "moe" in model_name}
            yield (f"{model_name}/{strategy_name}", {"model": {"name": model_name, **model}, "sequence_length": 16, "global_batch": 2, "dtype": "bf16",
                                                     "imbalance": 8.0, **split})
    for model_name, model in CONTEXT_MODELS.items():
        for strategy_name, strategy in CONTEXT.items():
            yield (f"{model_name}/{strategy_name}",
                   {"model": {"name": model_name, **model}, "sequence_length": CONTEXT_SEQUENCE, "global_batch": 2, **strategy})
    yield ("deepseek/parts-latent", {"model": {"name": "deepseek", **EXPERTS["deepseek"]}, "sequence_length": SEQUENCE, "global_batch": 2, "imbalance": 8.0,
                                     "recompute": dict(ops=["norm", "mla_up_projection", "shared_experts", "mlp"])})
    yield ("deepseek-queries/parts-latent", {"model": {"name": "deepseek-queries", **EXPERTS["deepseek-queries"]}, "sequence_length": SEQUENCE,
                                             "global_batch": 2, "imbalance": 8.0, "recompute": dict(ops=["mla_up_projection", "core_attention"])})
    yield ("llama-fp8/parts-mlp", {"model": {"name": "llama-fp8", **FP8_MODELS["llama-fp8"]}, "sequence_length": 16, "global_batch": 2, "dtype": "bf16",
                                   "fp8": "delayed", "recompute": dict(ops=["mlp", "qkv_projection"])})
    yield ("gpt-fp8/parts-mlp", {"model": {"name": "gpt-fp8", **FP8_MODELS["gpt-fp8"]}, "sequence_length": 16, "global_batch": 2, "dtype": "bf16",
                                 "fp8": "current", "recompute": dict(ops=["mlp_activation", "norm"], layers=1)})
    for strategy_name in ("ring2", "gather2-zero1", "exchange2"):
        yield (f"llama/{strategy_name}/bf16", {"model": {"name": "llama", **MODELS["llama"]}, "sequence_length": CONTEXT_SEQUENCE, "global_batch": 2,
                                               "dtype": "bf16", **CONTEXT[strategy_name]})
    yield ("moe/ring2-expert4", {"model": {"name": "moe", **EXPERTS["moe"]}, "sequence_length": CONTEXT_SEQUENCE, "global_batch": 2, "imbalance": 8.0,
                                 "context": 2, "data": 2, "expert": 4, "zero": 1})
    yield ("moe/ring2-tensor2-sp-expert2", {"model": {"name": "moe", **EXPERTS["moe"]}, "sequence_length": CONTEXT_SEQUENCE, "global_batch": 2,
                                            "imbalance": 8.0, "context": 2, "tensor": 2, "sequence_parallel": True, "expert_tensor": 2, "expert": 2})
    for model_name, model in SCORES.items():
        for strategy_name, strategy in SCORES_STRATEGIES.items():
            yield (f"{model_name}/{strategy_name}",
                   {"model": {"name": model_name, **model}, "sequence_length": SEQUENCE, "global_batch": 2, "flash_attention": False, **strategy})
    for strategy_name in ("one", "accumulate", "tensor2-sp", "data2-tensor2", "zero2-data3", "hsdp-2x2-full"):
        for model_name in ("llama-gqa", "gpt2", "qwen3"):
            strategy = STRATEGIES[strategy_name]
            yield (f"{model_name}/{strategy_name}/bf16",
                   {"model": {"name": model_name, **MODELS[model_name]}, "sequence_length": SEQUENCE, "global_batch": 2, "dtype": "bf16", **strategy})


def dump(binary, case_list):
    text = "\n".join(json.dumps({**OPTIMIZER, **case}) for case in case_list)
    out = subprocess.run([binary], input=text + "\n", capture_output=True, text=True, check=True).stdout
    return [json.loads(line) for line in out.splitlines()]


def initial_weights(shapes):
    """Large enough that nothing is lost in noise; norms near one."""
    generator = torch.Generator().manual_seed(7)
    result = {}
    for name in sorted(shapes):
        noise = torch.randn(shapes[name], generator=generator)
        is_norm = "norm" in name or ".ln_" in name
        result[name] = 1.0 + 0.2 * noise if is_norm and name.endswith("weight") else 0.2 * noise
    return result


def feed(world, case, tokens, labels):
    """Micro-batch i of data rank r: sequences [r x share + i x micro_batch, ...) of the global batch."""
    data, micro = case.get("data", 1), case.get("micro_batch", 1)
    share = case["global_batch"] // data
    for i in range(share // micro):
        for name, batch in (("tokens", tokens), ("labels", labels)):
            world.set_input(f"{name}.{i}", [batch[r * share + i * micro: r * share + (i + 1) * micro] for r in range(data)])


def bf16_bound(config, initial, tokens, labels, gradients):
    """Three times the worst gradient error of PyTorch's autograd in bf16."""
    narrow = reference_model.train(config, initial, tokens, labels, OPTIMIZER, torch.bfloat16)[1]
    return 3 * max(reference_model.compare("gradient", {name: value.double() for name, value in narrow.items()}, gradients))[0]


def run_case(program, case, skip=None, negate=None):
    """Errors of the program against the reference, largest first, and the bound they have to keep."""
    torch.manual_seed(3)
    config = {**model_config.complete(case["model"]), "moe_rows": moe_rows(case)}
    tokens = torch.randint(config["vocab"], (STEPS, case["global_batch"], case["sequence_length"]))
    labels = torch.randint(config["vocab"], (STEPS, case["global_batch"], case["sequence_length"]))
    world = run_program.World(program)
    initial = initial_weights(world.shapes())
    bf16 = case.get("dtype") == "bf16"
    world.load(initial)
    optimizer = {**OPTIMIZER, **{key: case[key] for key in OPTIMIZER if key in case}}
    losses, gradients, updated, norms = reference_model.train(config, initial, tokens, labels, optimizer)
    errors = []
    for step in range(STEPS):
        feed(world, case, tokens[step], labels[step])
        world.run(skip, negate)
        errors.append((abs(world.output("loss") - losses[step]) / losses[step], "loss", f"step {step}"))
        errors.append((abs(world.output("gradient_norm") - norms[step]) / norms[step], "gradient_norm", f"step {step}"))
        if step == 0 and case.get("zero") != 1:  # with ZeRO-1 the reduced shards are tensors of their own: the updated parameters tell
            coefficient = world.output("clip_coefficient")
            found = {name: value / coefficient for name, value in world.gather("gradient").items()}
            errors += reference_model.compare("gradient", found, gradients)
    errors += reference_model.compare("parameter", world.gather("master"), updated)
    return sorted(errors, reverse=True), (bf16_bound(config, initial, tokens, labels, gradients) if bf16 else 1e-5)


# Mutations that change nothing: new_empty only makes room, new_zeros and new_ones are all a dropped op leaves of nothing; cross-entropy does not depend
# on what is subtracted from all logits (it only keeps exp from overflowing); the norm of rows is squared; where the copy that makes columns contiguous
# is dropped, the columns themselves stand in for it; a rank's own place along the context is below their number already.
UNTOUCHED = ("aten.new_empty", "aten.new_zeros", "aten.new_ones")
EQUIVALENT = ("drop aten.amax (loss, forward)", "negate aten.amax (loss, forward)", "drop aten.sub_.Tensor (loss, forward)",
              "negate aten.linalg_vector_norm (gradient_norm, optimizer)", "drop aten.copy_ (attention.kv_norm, forward)",
              "drop aten.copy_ (attention.core, recompute)", "drop aten.remainder_.Scalar (context.tables, forward)")

# Clipping off in the second, positions of two sequences in it.
MUTATED = {
    "llama-gqa/data2-tensor2-sp-accumulate": dict(),
    "gpt2/data2-tensor2": dict(clip_norm=1000.0, micro_batch=2),
    "qwen3/tensor2": dict(),
    "qwen3/parts-tensor2-sp": dict(),
    "llama/ring3-data2-accumulate": dict(),
    "llama/gather2-zero1": dict(),
    "llama/exchange2-micro2-full": dict(),
    "moe-shared/tensor2-sp-expert2": dict(expert_grouped_gemm=True),
    "deepseek/tensor2-sp-expert2": dict(expert_grouped_gemm=True),
    "lora-all/data2-tensor2-sp-accumulate": dict(),
    "lora-gpt2/zero3-data2-tensor2-sp": dict(),
}


def mutations(program):
    """(what, skip, negate) for every op that computes, the first of each target, label and phase."""
    seen = set()
    for number, op in enumerate(program["ops"]):
        key = (op["target"], op["label"], op["phase"])
        if op["kind"] in ("view", "wait") or op["target"] in UNTOUCHED or key in seen:
            continue
        seen.add(key)
        yield f"drop {op['target']} ({op['label']}, {op['phase']})", number, None
        writes = op["target"].rpartition(".")[0].endswith("_") or op["target"].endswith("out")
        if not writes and op["kind"] == "compute":
            yield f"negate {op['target']} ({op['label']}, {op['phase']})", None, number


def is_noticed(program, case, skip, negate):
    try:
        errors, tolerance = run_case(program, case, skip, negate)
        return not errors[0][0] <= tolerance
    except (run_program.Mismatch, RuntimeError, IndexError):
        return True


def check_mutations(binary):
    """Every kind of break must be told from the right program in at least one case (a clipping that does not bite cannot be missed)."""
    noticed = {}
    for name, changes in MUTATED.items():
        case = {**dict(cases())[name], **changes}
        (program,) = dump(binary, [case])
        for what, skip, negate in mutations(program):
            if what not in EQUIVALENT and not noticed.get(what):
                noticed[what] = is_noticed(program, case, skip, negate)
    for what in sorted(what for what, seen in noticed.items() if not seen):
        print(f"unnoticed: {what}")
    print(f"{sum(noticed.values())} of {len(noticed)} mutations noticed")
    return len(noticed) - sum(noticed.values())


def shape_problem(program):
    """What PyTorch's own rules for shapes (fake tensors, which need no GPU) find wrong with the first rank of a program."""
    try:
        with FakeTensorMode():
            run_program.FakeRank(program, 0).run_all()
    except (run_program.Mismatch, RuntimeError) as problem:
        return str(problem).splitlines()[0]
    return None


def check_schemas(binary):
    """Programs for CUDA: every target exists, every argument fits its type in the schema, the number of results is right, and every result has the
    dtype, shape and strides that PyTorch's CUDA operators give it."""
    chosen = [{**case, "dtype": "bf16", "device": "cuda"} for name, case in cases() if "bf16" not in name]
    problems = set()
    for program in dump(binary, chosen):
        for op in program["ops"]:
            if op["target"].startswith("aten."):
                problems.update(run_program.schema_problems(op))
        problems.add(shape_problem(program))
    problems.discard(None)
    for problem in sorted(problems):
        print(problem)
    print(f"{len(chosen)} programs for CUDA, {len(problems)} problems with schemas and shapes")
    return len(problems)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("binary")
    parser.add_argument("--only", default="")
    parser.add_argument("--mutations", action="store_true")
    parser.add_argument("--schemas", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.mutations:
        sys.exit(1 if check_mutations(arguments.binary) else 0)
    if arguments.schemas:
        sys.exit(1 if check_schemas(arguments.binary) else 0)
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
