#!/usr/bin/env python3
"""PyTorch's own forward and autograd on the weights and tokens that `helm-exec --dump-state DIR` wrote: an oracle that shares no code with HELM.

    reference_model.py DIR --model plan.yaml|config.json|inline.json [--dtype float64|float32] [--tolerance 1e-5] [--json]

Recomputes the loss of every step, the gradients of the first step (before clipping) and the parameters after the last step, and compares them with
loss.json, gradients.safetensors and updated.safetensors. The error of a tensor is max|a-b| / max(max|b|, 1e-3 x the largest |b| of that kind in
the model), b being the reference. Exit code 7 when one exceeds the tolerance.
"""
import argparse
import json
import math
import os
import sys

import torch
import torch.nn.functional as F

import model_config
import safetensors_file


def alibi_slopes(heads):
    """As in the code published with the paper (ofirpress/attention_with_linear_biases)."""
    def geometric(n):
        start = 2.0 ** (-(2.0 ** -(math.log2(n) - 3)))
        return [start * start**i for i in range(n)]

    closest = 2 ** math.floor(math.log2(heads))
    slopes = geometric(closest) + (geometric(2 * closest)[0::2][: heads - closest] if closest < heads else [])
    return torch.tensor(slopes, dtype=torch.float64)


class Llama:
    """transformers' LlamaForCausalLM (and Mistral, Qwen2 with query/key/value bias, Qwen3 with norms of heads) as a function of named weights; with
    `moe` Mixtral and its like, the tokens of each `moe_rows` rows of the batch routed by themselves."""

    def __init__(self, config):
        self.c = config

    def linear(self, w, name, x):
        return F.linear(x, w[name + ".weight"], w.get(name + ".bias")) + self.adapter(w, name, x)

    def adapter(self, w, name, x):
        """PEFT's lora.Linear beside the layer, without dropout; 0 where there is none."""
        a, b = (w.get(f"base_model.model.{name}.lora_{which}.weight") for which in "AB")
        if a is None:
            return 0.0
        lora = self.c["lora"]
        return F.linear(F.linear(x, a), b) * (lora.get("alpha", 2 * lora["rank"]) / lora["rank"])

    def norm(self, w, name, x):
        c = self.c
        if c["norm"] in ("layernorm", "layernorm1p"):
            scale = w[name + ".weight"] + (1 if c["norm"] == "layernorm1p" else 0)
            return F.layer_norm(x, x.shape[-1:], scale, w[name + ".bias"], c["norm_epsilon"])
        scale = w[name + ".weight"] + (1 if c["norm"] == "rmsnorm1p" else 0)
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + c["norm_epsilon"]) * scale

    def rotary(self, positions, dtype, width=None):
        d = width or self.c["head_dim"]
        inverse_frequency = 1.0 / (self.c["rope_theta"] ** (torch.arange(0, d, 2, dtype=torch.float32) / d))
        inverse_frequency, attention = self.scaled(inverse_frequency, d)
        angle = torch.outer(torch.arange(positions, dtype=torch.float32), inverse_frequency)
        both = torch.cat((angle, angle), dim=-1)
        return (both.cos() * attention).to(dtype), (both.sin() * attention).to(dtype)

    def scaled(self, frequency, width):
        """As transformers' modeling_rope_utils.py: the frequencies, one at a time, and what cosine and sine are multiplied by."""
        scaling = self.c.get("rope_scaling") or {"type": "default"}
        factor, original = scaling.get("factor"), scaling.get("original_max_position_embeddings")
        if scaling["type"] == "linear":
            return frequency / factor, 1.0
        if scaling["type"] == "llama3":
            low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
            result = []
            for f in frequency.tolist():
                wavelength = 2 * math.pi / f
                smooth = (original / wavelength - low) / (high - low)
                result.append(f if wavelength < original / high else f / factor if wavelength > original / low else (1 - smooth) * f / factor + smooth * f)
            return torch.tensor(result, dtype=torch.float32), 1.0
        if scaling["type"] == "yarn":
            def dimension(turns):
                return width * math.log(original / (turns * 2 * math.pi)) / (2 * math.log(self.c["rope_theta"]))
            low = max(math.floor(dimension(scaling.get("beta_fast", 32))), 0)
            high = min(math.ceil(dimension(scaling.get("beta_slow", 1))), width - 1)
            ramp = [min(max((i - low) / (high - low if high > low else 0.001), 0), 1) for i in range(width // 2)]
            result = [f / factor * r + f * (1 - r) for f, r in zip(frequency.tolist(), ramp)]
            return torch.tensor(result, dtype=torch.float32), scaling.get("attention_factor", 0.1 * math.log(factor) + 1)
        return frequency, 1.0

    @staticmethod
    def rotate(x, cos, sin):
        first, second = x.chunk(2, dim=-1)
        return x * cos + torch.cat((-second, first), dim=-1) * sin

    def projections(self, w, prefix, x):
        return [self.linear(w, prefix + "self_attn." + which, x) for which in ("q_proj", "k_proj", "v_proj")]

    def latent_attention(self, w, prefix, x):
        """DeepSeek's, with rotary halves."""
        c, mla = self.c, self.c["mla"]
        batch, positions, _ = x.shape
        name = prefix + "self_attn."
        from_queries = self.norm(w, name + "q_a_layernorm", self.linear(w, name + "q_a_proj", x)) if mla.get("q_lora") else x
        queries = self.linear(w, name + ("q_b_proj" if mla.get("q_lora") else "q_proj"), from_queries)
        q, q_rope = queries.view(batch, positions, c["heads"], -1).transpose(1, 2).split((mla["qk_nope"], mla["qk_rope"]), dim=-1)
        compressed, k_rope = self.linear(w, name + "kv_a_proj_with_mqa", x).split((mla["kv_lora"], mla["qk_rope"]), dim=-1)
        up = self.linear(w, name + "kv_b_proj", self.norm(w, name + "kv_a_layernorm", compressed))
        k, v = up.view(batch, positions, c["heads"], -1).transpose(1, 2).split((mla["qk_nope"], mla["v"]), dim=-1)
        cos, sin = self.rotary(positions, x.dtype, mla["qk_rope"])
        k_rope = self.rotate(k_rope.unsqueeze(1), cos, sin).expand(-1, c["heads"], -1, -1)
        out = F.scaled_dot_product_attention(torch.cat((q, self.rotate(q_rope, cos, sin)), -1), torch.cat((k, k_rope), -1), v, is_causal=True)
        return self.linear(w, self.names["out"].format(prefix), out.transpose(1, 2).reshape(batch, positions, -1))

    def attention(self, w, prefix, x):
        c = self.c
        if c.get("mla"):
            return self.latent_attention(w, prefix, x)
        batch, positions, _ = x.shape
        q, k, v = self.projections(w, prefix, x)
        q = q.view(batch, positions, c["heads"], c["head_dim"])
        k = k.view(batch, positions, c["kv_heads"], c["head_dim"])
        v = v.view(batch, positions, c["kv_heads"], c["head_dim"])
        if c["qk_norm"]:
            q, k = self.norm(w, self.names["q_norm"].format(prefix), q), self.norm(w, self.names["k_norm"].format(prefix), k)
        q, k, v = (t.transpose(1, 2) for t in (q, k, v))
        if c["position"] == "rope":
            cos, sin = self.rotary(positions, x.dtype)
            q, k = self.rotate(q, cos, sin), self.rotate(k, cos, sin)
        groups = c["heads"] // c["kv_heads"]
        k, v = k.repeat_interleave(groups, dim=1), v.repeat_interleave(groups, dim=1)
        scores = q @ k.transpose(-1, -2) / math.sqrt(c["head_dim"])
        if c["position"] == "alibi":
            distance = torch.arange(positions)[None, :] - torch.arange(positions)[:, None]
            scores = scores + (alibi_slopes(c["heads"])[:, None, None] * distance).to(x.dtype)
        future = torch.ones(positions, positions, dtype=torch.bool).triu(1)
        scores = scores.masked_fill(future, float("-inf"))
        out = (scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, positions, -1)
        return self.linear(w, self.names["out"].format(prefix), out)

    def has_experts(self, layer):
        moe = self.c.get("moe")
        dense = moe.get("dense_layers", 0) if moe else 0
        return bool(moe) and layer >= dense and (layer - dense) % moe.get("layer_freq", 1) == 0

    def expert(self, w, prefix, number, x):
        """One expert of a layer; all are kept in one tensor each, gate above up."""
        gated = self.c["activation"] in ("swiglu", "geglu")
        hidden = x @ w[prefix + ("experts.gate_up_proj" if gated else "experts.up_proj")][number].T
        if gated:
            gate, up = hidden.chunk(2, dim=-1)
            hidden = (F.silu(gate) if self.c["activation"] == "swiglu" else F.gelu(gate, approximate="tanh")) * up
        elif self.c["activation"] == "squared_relu":
            hidden = F.relu(hidden) ** 2
        else:
            hidden = F.gelu(hidden, approximate="tanh")
        return hidden @ w[prefix + "experts.down_proj"][number].T

    def experts(self, w, prefix, x):
        """Tokens that share capacity: x [tokens, hidden]. Adds to self.balancing."""
        moe = self.c["moe"]
        count, top_k, tokens = moe["experts"], moe["top_k"], x.shape[0]
        probabilities = (x @ w[prefix + "gate.weight"].T).softmax(-1)
        largest, chosen = probabilities.topk(top_k)
        weights = largest / largest.sum(-1, keepdim=True) if top_k > 1 else largest
        room = math.ceil(tokens * top_k / count * moe["capacity_factor"] - 1e-6) if moe.get("capacity_factor") else tokens
        out = torch.zeros_like(x)
        for number in range(count):
            token, place = (chosen == number).nonzero(as_tuple=True)
            kept = weights[token, place].argsort(descending=True)[:room]
            token, place = token[kept], place[kept]
            out = out.index_add(0, token, weights[token, place, None] * self.expert(w, prefix, number, x[token]))
        share = torch.stack([(chosen == number).sum() for number in range(count)]) / (tokens * top_k)
        balancing = moe.get("aux_loss", 0) * count * (share * probabilities.mean(0)).sum()
        self.balancing = self.balancing + balancing * tokens / self.tokens
        return out

    def moe(self, w, prefix, x):
        rows = x.flatten(0, 1)
        self.tokens = rows.shape[0]
        parts = rows.split(self.c.get("moe_rows") or self.tokens)
        out = torch.cat([self.experts(w, prefix + "mlp.", part) for part in parts]).view_as(x)
        return out + self.mlp(w, prefix, x, "mlp.shared_experts.") if self.c["moe"].get("shared_ffn") else out

    def mlp(self, w, prefix, x, part="mlp."):
        activation = self.c["activation"]
        gate, up, down = (self.names[key].format(prefix).replace("mlp.", part) for key in ("gate", "up", "down"))
        if activation == "swiglu":
            hidden = F.silu(self.linear(w, gate, x)) * self.linear(w, up, x)
        elif activation == "geglu":
            hidden = F.gelu(self.linear(w, gate, x), approximate="tanh") * self.linear(w, up, x)
        elif activation == "squared_relu":
            hidden = F.relu(self.linear(w, up, x)) ** 2
        else:
            hidden = F.gelu(self.linear(w, up, x), approximate="tanh")
        return self.linear(w, down, hidden)

    names = dict(embedding="model.embed_tokens.weight", position="model.embed_positions.weight", layer="model.layers.{}.",
                 norm1="{}input_layernorm", norm2="{}post_attention_layernorm", final_norm="model.norm", out="{}self_attn.o_proj",
                 q_norm="{}self_attn.q_norm", k_norm="{}self_attn.k_norm", gate="{}mlp.gate_proj", up="{}mlp.up_proj", down="{}mlp.down_proj")

    def logits(self, w, tokens):
        c, n = self.c, self.names
        self.balancing = 0.0
        x = F.embedding(tokens, w[n["embedding"]])
        if c.get("scaled_embeddings"):
            x = x * math.sqrt(c["hidden"])
        if c["position"] == "learned":
            x = x + w[n["position"]][: tokens.shape[1]]
        for layer in range(c["layers"]):
            prefix = n["layer"].format(layer)
            x = x + self.attention(w, prefix, self.norm(w, n["norm1"].format(prefix), x))
            feed_forward = self.moe if self.has_experts(layer) else self.mlp
            x = x + feed_forward(w, prefix, self.norm(w, n["norm2"].format(prefix), x))
        head = w[n["embedding"]] if c["tied_embeddings"] else w["lm_head.weight"]
        return self.norm(w, n["final_norm"], x) @ head.T


class Gpt2(Llama):
    """transformers' GPT2LMHeadModel: its linear layers are Conv1D, which keeps weights as [in, out]."""

    names = dict(embedding="transformer.wte.weight", position="transformer.wpe.weight", layer="transformer.h.{}.", norm1="{}ln_1",
                 norm2="{}ln_2", final_norm="transformer.ln_f", out="{}attn.c_proj", q_norm="{}attn.q_norm", k_norm="{}attn.k_norm",
                 gate="{}mlp.c_gate", up="{}mlp.c_fc", down="{}mlp.c_proj")

    def linear(self, w, name, x):
        y = x @ w[name + ".weight"] + self.adapter(w, name, x)
        return y + w[name + ".bias"] if name + ".bias" in w else y

    def projections(self, w, prefix, x):
        c = self.c
        query, key = c["heads"] * c["head_dim"], c["kv_heads"] * c["head_dim"]
        return self.linear(w, prefix + "attn.c_attn", x).split((query, key, key), dim=-1)


def make_model(config):
    return (Gpt2 if config["family"] == "gpt" else Llama)(config)


def loss_of(model, weights, tokens, labels):
    logits = model.logits(weights, tokens)
    return F.cross_entropy(logits.flatten(0, 1), labels.flatten())


def train(config, initial, tokens, labels, optimizer, dtype=torch.float64):
    """tokens, labels: [step, batch, sequence]. Returns losses, the first step's gradients, parameters at the end, gradient norms."""
    weights = {name: value.to(dtype) for name, value in initial.items()}
    trained = {name: w.requires_grad_() for name, w in weights.items() if not config.get("lora") or ".lora_" in name}
    model = make_model(config)
    decayed = [w for w in trained.values() if w.dim() > 1]
    others = [w for w in trained.values() if w.dim() <= 1]
    adamw = torch.optim.AdamW([{"params": decayed, "weight_decay": optimizer["weight_decay"]}, {"params": others, "weight_decay": 0.0}],
                              lr=optimizer["learning_rate"], betas=(optimizer["beta1"], optimizer["beta2"]), eps=optimizer["epsilon"])
    losses, norms, first = [], [], None
    for step in range(tokens.shape[0]):
        adamw.zero_grad()
        loss = loss_of(model, weights, tokens[step], labels[step])
        (loss + model.balancing).backward()
        losses.append(loss.item())
        if first is None:
            first = {name: w.grad.clone() for name, w in trained.items()}
        clip = optimizer["clip_norm"] or float("inf")
        norms.append(torch.nn.utils.clip_grad_norm_(list(trained.values()), clip).item())
        adamw.step()
    return losses, first, {name: w.detach() for name, w in weights.items()}, norms


def compare(kind, found, expected):
    """Errors by DESIGN's definition: [(error, kind, tensor)]."""
    if set(found) != set(expected):
        raise SystemExit(f"{kind}: the names differ: {sorted(set(found) ^ set(expected))}")
    largest = max(b.abs().max().item() for b in expected.values())
    errors = []
    for name, b in expected.items():
        a = found[name].to(b.dtype)
        if a.shape != b.shape:
            raise SystemExit(f"{kind} {name}: shape {tuple(a.shape)} instead of {tuple(b.shape)}")
        scale = max(b.abs().max().item(), 1e-3 * largest)
        difference = (a - b).abs().max().item()
        errors.append((difference / scale if math.isfinite(difference) else math.inf, kind, name))
    return errors


def optimizer_of(document, arguments):
    optimizer = dict(learning_rate=3e-4, beta1=0.9, beta2=0.95, epsilon=1e-8, weight_decay=0.1, clip_norm=1.0)
    given = document.get("workload", {}).get("optimizer")
    if isinstance(given, dict):
        optimizer.update({key: value for key, value in given.items() if key in optimizer})
    optimizer.update({key: getattr(arguments, key) for key in optimizer if getattr(arguments, key) is not None})
    return optimizer


def check_dump(arguments):
    folder = arguments.dump
    document = model_config.read_document(arguments.model)
    batch = safetensors_file.read(os.path.join(folder, "tokens.safetensors"))
    initial = safetensors_file.read(os.path.join(folder, "initial.safetensors"))
    losses, gradients, updated, norms = train(model_config.complete(document), initial, batch["tokens"], batch["labels"],
                                              optimizer_of(document, arguments), getattr(torch, arguments.dtype))
    with open(os.path.join(folder, "loss.json"), encoding="utf-8") as file:
        found = json.load(file)
    found = found["loss"] if isinstance(found, dict) else found
    errors = [(abs(a - b) / abs(b), "loss", f"step {i}") for i, (a, b) in enumerate(zip(found, losses, strict=True))]
    errors += compare("gradient", safetensors_file.read(os.path.join(folder, "gradients.safetensors")), gradients)
    errors += compare("parameter", safetensors_file.read(os.path.join(folder, "updated.safetensors")), updated)
    return sorted(errors, reverse=True), norms


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dump")
    parser.add_argument("--model", required=True)
    parser.add_argument("--dtype", default="float64", choices=("float64", "float32"))
    parser.add_argument("--tolerance", type=float, default=1e-5)
    parser.add_argument("--json", action="store_true")
    for name in ("learning-rate", "beta1", "beta2", "epsilon", "weight-decay", "clip-norm"):
        parser.add_argument("--" + name, type=float)
    arguments = parser.parse_args()
    errors, norms = check_dump(arguments)
    worst = {}
    for error, kind, name in errors:
        worst.setdefault(kind, (error, name))
    if arguments.json:
        print(json.dumps({"worst": {kind: {"error": e, "tensor": n} for kind, (e, n) in worst.items()}, "gradient_norm": norms}))
    else:
        for kind, (error, name) in worst.items():
            print(f"{kind:10} worst error {error:.3g} ({name})")
    sys.exit(7 if not errors[0][0] <= arguments.tolerance else 0)


if __name__ == "__main__":
    main()
