#!/usr/bin/env python3
"""The oracle's own tests: its file reader, its reading of models, and that its comparison notices a wrong number."""
import os
import tempfile
import unittest

import torch

import model_config
import reference_model
import safetensors_file

MODEL = dict(family="llama", layers=1, hidden=8, ffn=12, heads=2, kv_heads=1, vocab=11)
OPTIMIZER = dict(learning_rate=1e-2, beta1=0.9, beta2=0.95, epsilon=1e-4, weight_decay=0.1, clip_norm=1.0)


class Arguments:
    dtype = "float64"
    learning_rate = beta1 = beta2 = epsilon = weight_decay = clip_norm = None


def write_dump(folder, change):
    """A dump as helm-exec would write it, made by the oracle itself; `change` may spoil the updated parameters."""
    torch.manual_seed(1)
    names = {"model.embed_tokens.weight": (11, 8), "lm_head.weight": (11, 8), "model.norm.weight": (8,)}
    prefix = "model.layers.0."
    names |= {prefix + "input_layernorm.weight": (8,), prefix + "post_attention_layernorm.weight": (8,)}
    names |= {prefix + f"self_attn.{which}_proj.weight": shape for which, shape in dict(q=(8, 8), k=(4, 8), v=(4, 8), o=(8, 8)).items()}
    names |= {prefix + f"mlp.{which}_proj.weight": shape for which, shape in dict(gate=(12, 8), up=(12, 8), down=(8, 12)).items()}
    initial = {name: torch.randn(shape) * 0.3 for name, shape in names.items()}
    tokens, labels = torch.randint(11, (2, 3, 5)), torch.randint(11, (2, 3, 5))
    losses, gradients, updated, _ = reference_model.train(model_config.complete(MODEL), initial, tokens, labels, OPTIMIZER)
    change(updated)
    safetensors_file.write(os.path.join(folder, "initial.safetensors"), initial)
    safetensors_file.write(os.path.join(folder, "tokens.safetensors"), {"tokens": tokens, "labels": labels})
    safetensors_file.write(os.path.join(folder, "gradients.safetensors"), {name: value.float() for name, value in gradients.items()})
    safetensors_file.write(os.path.join(folder, "updated.safetensors"), {name: value.float() for name, value in updated.items()})
    with open(os.path.join(folder, "loss.json"), "w", encoding="utf-8") as file:
        file.write(repr(losses))
    with open(os.path.join(folder, "plan.yaml"), "w", encoding="utf-8") as file:
        file.write("format: helm-plan/1\nmodel:\n" + "".join(f"  {key}: {value}\n" for key, value in MODEL.items()))
        file.write("workload:\n  optimizer: {" + ", ".join(f"{key}: {value}" for key, value in OPTIMIZER.items()) + "}\n")


class Oracle(unittest.TestCase):
    def worst(self, change):
        with tempfile.TemporaryDirectory() as folder:
            write_dump(folder, change)
            arguments = Arguments()
            arguments.dump, arguments.model = folder, os.path.join(folder, "plan.yaml")
            return reference_model.check_dump(arguments)[0][0]

    def test_agrees_with_itself(self):
        self.assertLess(self.worst(lambda updated: None)[0], 1e-6)

    def test_notices_one_wrong_number(self):
        def spoil(updated):
            updated["lm_head.weight"][3, 2] += 0.01

        error, kind, name = self.worst(spoil)
        self.assertGreater(error, 1e-3)
        self.assertEqual((kind, name), ("parameter", "lm_head.weight"))

    def test_notices_not_a_number(self):
        self.assertEqual(self.worst(lambda updated: updated["model.norm.weight"].fill_(float("nan")))[0], float("inf"))

    def test_safetensors_round_trip(self):
        tensors = {"a": torch.arange(6).reshape(2, 3), "b": torch.tensor([1.5, -2.0], dtype=torch.bfloat16), "c": torch.tensor(3.0)}
        with tempfile.NamedTemporaryFile() as file:
            safetensors_file.write(file.name, tensors)
            again = safetensors_file.read(file.name)
        self.assertEqual(list(again), list(tensors))
        for name, tensor in tensors.items():
            self.assertTrue(torch.equal(again[name], tensor) and again[name].dtype == tensor.dtype, name)

    def test_yaml(self):
        text = 'a: 1\nb:  # note\n  c: [1, "x, y"]\n  d: {e: true, f: {g: 1e-5}}\nh: null\n'
        self.assertEqual(model_config.read_yaml(text), {"a": 1, "b": {"c": [1, "x, y"], "d": {"e": True, "f": {"g": 1e-5}}}, "h": None})

    def test_error_definition(self):
        # Largest |b| is 10, so the floor is 0.01: 0.001 / 0.01 for the small tensor, 0.001 / 10 for the large one.
        expected = {"large": torch.tensor([10.0]), "small": torch.tensor([1e-4])}
        found = {"large": torch.tensor([10.001]), "small": torch.tensor([1.1e-3])}
        errors = {name: error for error, _, name in reference_model.compare("gradient", found, expected)}
        self.assertAlmostEqual(errors["small"], 0.1, places=4)
        self.assertAlmostEqual(errors["large"], 1e-4, places=6)


if __name__ == "__main__":
    unittest.main()
