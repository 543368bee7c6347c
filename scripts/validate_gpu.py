#!/usr/bin/env python3
"""Predicted against measured on this machine's GPU: measures, plans and runs each configuration, and holds the run against its prediction.

Usage: scripts/validate_gpu.py [--bin build/bin] [--out build/validate_gpu] [--steps 16] [--eager] [--compile] [CONFIG ...]
       (default: configs/runs/h200/*.yaml)

Prints one Markdown table (that of docs/validation.md). Leaves in the output folder one cost table (ops.json) and for each configuration its plan, both
timelines and the comparison; what is in ops.json already is not measured again. --eager and --compile also time the same model in PyTorch
(bench/eager_baseline.py), in the same run. Exits with 4 when a step time is off by more than 5 %, allocated memory by more than 1 %
or reserved memory by more than 3 %.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
STEP_TIME, ALLOCATED, RESERVED = 0.05, 0.01, 0.03


def run(command, log):
    """The command's output; its messages go to the log."""
    with open(log, "a", encoding="utf-8") as file:
        print("$", *command, file=file, flush=True)
        done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=file, text=True)
        print(f"exit code {done.returncode}", file=file)
    if done.returncode != 0:
        raise SystemExit(f"{command[0]} failed with {done.returncode}; see {log}:\n{pathlib.Path(log).read_text()[-2000:]}")
    return done.stdout


def validate(config, arguments):
    """The comparison of one configuration, with the baseline's times beside it."""
    folder = arguments.out / config.stem
    folder.mkdir(parents=True, exist_ok=True)
    table, plan, log = arguments.out / "ops.json", folder / "plan.yaml", folder / "log.txt"
    run([arguments.bin / "helm-profile", config, "--out", table], log)
    run([arguments.bin / "helm-plan", config, "--cost-table", table, "--out", plan], log)
    text = run([arguments.bin / "helm-exec", plan, "--steps", arguments.steps, "--json", "--trace", folder / "measured.json", "--predicted-trace",
                folder / "predicted.json"], log)
    (folder / "compare.json").write_text(text)
    comparison = json.loads(text)
    text = run([arguments.bin / "helm-exec", plan, "--steps", max(4, arguments.steps // 2), "--json", "--op-times", "activities", "--trace",
                folder / "measured_activities.json"], log)
    (folder / "compare_activities.json").write_text(text)
    if arguments.eager or arguments.compile:
        options = ["--compile"] if arguments.compile else []
        text = run([sys.executable, ROOT / "bench/eager_baseline.py", config, *options], log)
        (folder / "eager.json").write_text(text)
        comparison["eager"] = json.loads(text.strip().splitlines()[-1])
    return comparison


def percent(value):
    return "" if value is None else f"{100 * value:+.1f} %"


def error_of(predicted, measured):
    return None if predicted is None or not measured else (predicted - measured) / measured


def row_of(config, comparison):
    predicted, measured, error = comparison["predicted"], comparison["measured"], comparison["error"]
    bare = sorted(measured["steps_s"])[(len(measured["steps_s"]) - 1) // 2]
    reserved = error_of(predicted["peak_memory"].get("reserved_bytes"), measured["peak_memory"].get("reserved_bytes"))
    eager = comparison.get("eager", {})
    times = [f"{1e3 * eager[key]:.1f} ms" if key in eager else "" for key in ("eager_step_s", "compiled_step_s")]
    good = abs(error["step_time"]) <= STEP_TIME and abs(error["peak_memory"]) <= ALLOCATED and (reserved is None or abs(reserved) <= RESERVED)
    return good, (f"| {config.stem} | {1e3 * predicted['step_time_s']:.1f} ms | {1e3 * bare:.1f} ms | {percent(error['step_time'])} "
                  f"| {percent(error['peak_memory'])} | {percent(reserved)} | {' | '.join(times)} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configs", nargs="*", type=pathlib.Path)
    parser.add_argument("--bin", type=pathlib.Path, default=ROOT / "build/bin")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "build/validate_gpu")
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--eager", action="store_true")
    parser.add_argument("--compile", action="store_true")
    arguments = parser.parse_args()
    os.environ.setdefault("HELM_CONFIG_DIR", str(ROOT / "configs"))
    configs = arguments.configs or sorted((ROOT / "configs/runs/h200").glob("*.yaml"))
    arguments.out.mkdir(parents=True, exist_ok=True)

    print("| configuration | predicted | measured | step time | allocated | reserved | eager | compiled |\n|---|---|---|---|---|---|---|---|")
    rows = []
    for config in configs:
        good, row = row_of(config, validate(config, arguments))
        rows.append(good)
        print(row, flush=True)
    sys.exit(0 if all(rows) else 4)


if __name__ == "__main__":
    main()
