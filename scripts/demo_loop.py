#!/usr/bin/env python3
"""The demo after the build: measures, plans, runs four strategies, compares, and prints one table.

Usage: scripts/demo_loop.py [--config configs/runs/demo.yaml] [--out build/demo] [--steps N] [--strategies N]

Leaves in the output folder: config.yaml, cost_table.json, search.json, plan.yaml, predicted.json, measured.json, compare.json, report.html (of the chosen
plan), and plan-2.yaml, plan-3.yaml ... with their compare-N.json (of the others). Exits 4 when a prediction is outside the tolerance.
"""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BIN = pathlib.Path(os.environ.get("HELM_BIN", ROOT / "build" / "bin"))


def say(text):
    print(f"demo: {text}", file=sys.stderr, flush=True)


def run(*command, check=True):
    """Runs a command of build/bin and returns its standard output. Shows the command as a person would type it."""
    print(f"$ {' '.join(str(word) for word in command)}", file=sys.stderr, flush=True)
    done = subprocess.run([str(BIN / command[0]), *[str(word) for word in command[1:]]], stdout=subprocess.PIPE, text=True)
    if check and done.returncode != 0:
        sys.exit(done.returncode)
    return done.stdout


def strategies(search):
    """The chosen strategy, and others that differ from it in the split, the fastest of each split first."""
    seen, chosen = set(), []
    for candidate in [search["best"], *search["runners_up"]]:
        strategy = candidate["strategy"]
        split = (strategy["data"], strategy["tensor"], strategy["sequence_parallel"], strategy["pipeline"])
        if split not in seen:
            seen.add(split)
            chosen.append(strategy)
    for candidate in search["runners_up"]:  # fewer splits than asked for: other micro-batch sizes
        if candidate["strategy"] not in chosen:
            chosen.append(candidate["strategy"])
    return chosen


def settings(strategy):
    keys = ["data", "tensor", "sequence_parallel", "pipeline", "schedule", "zero", "recompute", "micro_batch"]
    return [word for key in keys for word in ("--set", f"strategy.{key}={json.dumps(strategy[key])}")]


def name(strategy):
    parts = [f"data {strategy['data']}", f"tensor {strategy['tensor']}"]
    if strategy["sequence_parallel"]:
        parts.append("sequence_parallel")
    if strategy["pipeline"] > 1:
        parts.append(f"pipeline {strategy['pipeline']} ({strategy['schedule']})")
    if strategy["zero"] > 0:
        parts.append(f"zero {strategy['zero']}")
    return ", ".join(parts + [f"micro_batch {strategy['micro_batch']}"])


def measure(config, out, table, strategy, number, steps):
    """Plans, runs and compares one strategy; returns (strategy, comparison)."""
    suffix = "" if number == 1 else f"-{number}"
    plan = out / f"plan{suffix}.yaml"
    shown = run("helm-plan", config, "--cost-table", table, "--out", plan, *(settings(strategy) if number > 1 else []))
    print(shown)
    verify = ["--verify"] if number == 1 else []
    result = run("helm-exec", plan, "--steps", steps, *verify, "--trace", out / f"measured{suffix}.json",
                 "--predicted-trace", out / f"predicted{suffix}.json", "--json", check=False)
    if not result:
        sys.exit(5)
    comparison = json.loads(result)
    if "verify" in comparison:
        worst = comparison["verify"]["worst"]
        verdict = "equals" if comparison["verify"]["passed"] else "DIFFERS FROM"
        say(f"verify: the split model {verdict} the unsplit one; worst {worst['kind']} error {worst['error']:.1e} (bound {worst['bound']:.0e})")
        if not comparison["verify"]["passed"]:
            sys.exit(7)
    (out / f"compare{suffix}.json").write_text(json.dumps(comparison, indent=2) + "\n")
    if number == 1:
        print(run("helm-compare", out / "predicted.json", out / "measured.json", "--html", out / "report.html"))
    return strategy, comparison


def table_of(rows):
    lines = [f"{'strategy':<60} {'predicted':>10} {'measured':>10} {'error':>8}   {'predicted':>11} {'measured':>11} {'error':>8}"]
    for strategy, comparison in rows:
        predicted, measured, error = comparison["predicted"], comparison["measured"], comparison["error"]
        memory = [side["peak_memory"]["allocated_bytes"] / 2**20 for side in (predicted, measured)]
        lines.append(f"{name(strategy):<60} {predicted['step_time_s']:>8.3f} s {measured['step_time_s']:>8.3f} s {100 * error['step_time']:>+6.1f} % "
                     f"  {memory[0]:>7.1f} MiB {memory[1]:>7.1f} MiB {100 * error['peak_memory']:>+6.1f} %")
    return "\n".join(lines)


def same_order(rows, least=0.02):
    """Pairs whose measured times differ by over `least` (a fraction) must be ranked right by the prediction."""
    times = [(c["predicted"]["step_time_s"], c["measured"]["step_time_s"]) for _, c in rows]
    pairs = [(a, b) for i, a in enumerate(times) for b in times[i + 1:] if abs(a[1] - b[1]) > least * min(a[1], b[1])]
    return all((a[0] < b[0]) == (a[1] < b[1]) for a, b in pairs)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=pathlib.Path, default=ROOT / "configs/runs/demo.yaml")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "build/demo")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--strategies", type=int, default=4)
    arguments = parser.parse_args()

    out = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    shutil.copy(arguments.config, out / "config.yaml")
    table = out / "cost_table.json"
    print(run("helm-profile", arguments.config, "--out", table), end="")
    search = json.loads(run("helm-plan", arguments.config, "--cost-table", table, "--out", out / "plan.yaml", "--json"))
    (out / "search.json").write_text(json.dumps(search, indent=2) + "\n")
    chosen = strategies(search)[:arguments.strategies]
    rows = [measure(arguments.config, out, table, strategy, i + 1, arguments.steps) for i, strategy in enumerate(chosen)]

    print("\nPredicted against measured (step time: median; memory: peak allocated on the rank with the most)\n")
    print(table_of(rows))
    print(f"\norder of the strategies: {'right' if same_order(rows) else 'WRONG'}")
    print(f"took {time.monotonic() - start:.0f} s; open {(out / 'report.html')}")
    worst_time = max(abs(c["error"]["step_time"]) for _, c in rows)
    worst_memory = max(abs(c["error"]["peak_memory"]) for _, c in rows)
    if worst_time > 0.15 or worst_memory > 0.05 or not same_order(rows):
        say(f"outside the tolerance: step time {100 * worst_time:.1f} % (15 %), peak memory {100 * worst_memory:.1f} % (5 %)")
        sys.exit(4)


if __name__ == "__main__":
    main()
