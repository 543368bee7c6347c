"""The model a HELM file speaks of, as a plain dict in the inline form: from a Hugging Face config.json, an inline JSON or YAML mapping, a preset
or a plan. Written apart from HELM's readers, so that a mistake in those shows."""
import json


def _scalar(text):
    text = text.strip()
    if text in ("", "null", "~"):
        return None
    if text in ("true", "false"):
        return text == "true"
    if text[0] in "\"'":
        return text[1:-1]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def _split(text):
    """The parts of a flow mapping or sequence, at commas that are not inside brackets or quotes."""
    parts, depth, quote = [""], 0, ""
    for c in text:
        if quote:
            quote = "" if c == quote else quote
        elif c in "\"'":
            quote = c
        depth += (c in "[{" and not quote) - (c in "]}" and not quote)
        if c == "," and depth == 0 and not quote:
            parts.append("")
        else:
            parts[-1] += c
    return [part.strip() for part in parts if part.strip()]


def _value(text):
    text = text.strip()
    if text.startswith("{"):
        pairs = (part.partition(":") for part in _split(text[1:-1]))
        return {_scalar(key): _value(value) for key, _, value in pairs}
    if text.startswith("["):
        return [_value(part) for part in _split(text[1:-1])]
    return _scalar(text)


def read_yaml(text):
    """Block mappings nested by indentation, with scalars and flow collections on one line: all that presets and plans need. Block sequences are
    skipped."""
    root = {}
    stack = [(-1, root)]
    for line in text.splitlines():
        line = line.split(" #")[0].rstrip()
        if not line.strip() or line.lstrip().startswith(("#", "-")):
            continue
        indent = len(line) - len(line.lstrip())
        key, _, value = line.strip().partition(":")
        while stack[-1][0] >= indent:
            stack.pop()
        here = stack[-1][1]
        if value.strip():
            here[_scalar(key)] = _value(value)
        else:
            here[_scalar(key)] = {}
            stack.append((indent, here[_scalar(key)]))
    return root


def read_document(path):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    return json.loads(text) if text.lstrip().startswith("{") else read_yaml(text)


def _from_hugging_face(c):
    kind = c.get("model_type") or {"LlamaForCausalLM": "llama", "GPT2LMHeadModel": "gpt2", "GemmaForCausalLM": "gemma"}[c["architectures"][0]]
    if kind == "gpt2":
        h = c["n_embd"]
        return dict(family="gpt", layers=c["n_layer"], hidden=h, ffn=c.get("n_inner") or 4 * h, heads=c["n_head"], vocab=c["vocab_size"],
                    max_positions=c.get("n_positions", 1024), norm_epsilon=c.get("layer_norm_epsilon", 1e-5),
                    tied_embeddings=c.get("tie_word_embeddings", True))
    gemma = kind == "gemma"
    more = dict(activation="geglu", norm="rmsnorm1p", scaled_embeddings=True) if gemma else {}
    return dict(**more, family="llama", layers=c["num_hidden_layers"], hidden=c["hidden_size"], ffn=c["intermediate_size"],
                heads=c["num_attention_heads"], kv_heads=c.get("num_key_value_heads"), head_dim=c.get("head_dim"), vocab=c["vocab_size"],
                norm_epsilon=c.get("rms_norm_eps", 1e-6), rope_theta=c.get("rope_theta", 10000.0),
                tied_embeddings=c.get("tie_word_embeddings", gemma), attention_bias=kind == "qwen2", qk_norm=kind == "qwen3")


def complete(document):
    """Fills in what the inline form leaves out."""
    if "model" in document:  # a plan or a run config with an inline model
        document = document["model"]
    if "model_type" in document or "architectures" in document:
        document = _from_hugging_face(document)
    gpt = document["family"] == "gpt"
    usual = dict(activation="gelu" if gpt else "swiglu", norm="layernorm" if gpt else "rmsnorm", position="learned" if gpt else "rope",
                 bias=gpt, tied_embeddings=gpt, norm_epsilon=1e-5, rope_theta=10000.0, attention_bias=False, qk_norm=False,
                 kv_heads=document["heads"], head_dim=document["hidden"] // document["heads"], ffn=4 * document["hidden"])
    return {**usual, **{key: value for key, value in document.items() if value is not None}}
