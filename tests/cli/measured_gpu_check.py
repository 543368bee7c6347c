#!/usr/bin/env python3
"""Predictions from the cost table measured on an H200 against the steps measured there (traces/h200-sxm-141gb), without a GPU.

    measured_gpu_check.py BIN_FOLDER
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TRACES = ROOT / "traces/h200-sxm-141gb"
# Step times: gpt3-6.7b is off by 6.8 %, its recompute variant by 5.1 %, the others by less than 4 %; reserved memory: llama3-8b-32k by 3.3 %, the others by less
# than 1 % (docs/validation.md says why): a change that makes one worse is seen.
ALLOCATED = 0.001
STEP_TIME = {"gpt3-6.7b": 0.070, "gpt3-6.7b-recompute": 0.053}
RESERVED = {"llama3-8b-32k": 0.035}
STEP_TIME_ELSE, RESERVED_ELSE = 0.04, 0.01


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done
    return done.stdout


def check(binaries, measured, folder):
    config = ROOT / "configs/runs/h200" / (measured.stem + ".yaml")
    plan, predicted = folder / "plan.yaml", folder / "predicted.json"
    run(binaries / "helm-plan", config, "--cost-table", TRACES / "ops.json", "--out", plan)
    prediction = json.loads(run(binaries / "helm-sim", plan, "--trace", predicted, "--json"))["prediction"]
    comparison = json.loads(run(binaries / "helm-compare", predicted, measured, "--json"))
    # Every price is a measured one.
    assert prediction["sources"]["measured"] > 0.999, (measured, prediction["sources"])

    steps = sorted(comparison["measured"]["steps_s"])
    step = steps[(len(steps) - 1) // 2]
    memory = comparison["measured"]["peak_memory"]
    errors = [(name, (found - wanted) / wanted, bound) for name, found, wanted, bound in (
        ("step time", prediction["step_time_s"], step, STEP_TIME.get(measured.stem, STEP_TIME_ELSE)),
        ("allocated memory", prediction["peak_memory"]["allocated_bytes"], memory["allocated_bytes"], ALLOCATED),
        ("reserved memory", prediction["peak_memory"]["reserved_bytes"], memory["reserved_bytes"], RESERVED.get(measured.stem, RESERVED_ELSE)))]
    print(measured.stem, *(f"{name} {100 * error:+.2f} %" for name, error, _ in errors))
    for name, error, bound in errors:
        assert abs(error) <= bound, (measured, name, error)
    return step, prediction["step_time_s"]


def main():
    binaries = pathlib.Path(sys.argv[1])
    os.environ["HELM_CONFIG_DIR"] = str(ROOT / "configs")
    files = sorted(path for path in TRACES.glob("*.json") if path.name != "ops.json")
    assert len(files) >= 8, files
    with tempfile.TemporaryDirectory() as name:
        pairs = sorted(check(binaries, measured, pathlib.Path(name)) for measured in files)
    assert [predicted for _, predicted in pairs] == sorted(predicted for _, predicted in pairs), "the order of the programs is wrong"


if __name__ == "__main__":
    main()
