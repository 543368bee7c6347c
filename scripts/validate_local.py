#!/usr/bin/env python3
"""Predicted against measured on this machine for models that nothing was developed on: the loop of scripts/demo_loop.py for each run configuration.

Usage: scripts/validate_local.py [--out build/validate_local] [--steps N] [CONFIG ...]     (default: configs/runs/unseen/*.yaml)

Prints one Markdown table (that of docs/validation.md) and leaves each run's folder in the output folder. Run it on an otherwise idle machine.
Exits with 4 when a step time is off by more than 20 %, a memory by more than 3 %, or the order of two strategies
is wrong whose measured times differ by over 3 %.
"""
import argparse
import json
import pathlib
import subprocess
import sys

import demo_loop

STEP_TIME, PEAK_MEMORY = 0.20, 0.03
REPEATABLE = 0.03  # by which the measured times of one plan differ between two runs


def measured(config, out, steps):
    """The rows of one configuration, (strategy, comparison) each; the comparisons are what demo_loop.py left behind."""
    subprocess.run([sys.executable, demo_loop.__file__, "--config", config, "--out", out, "--steps", str(steps)], stdout=subprocess.DEVNULL)
    search = json.loads((out / "search.json").read_text())
    comparisons = [out / f"compare{suffix}.json" for suffix in ("", "-2", "-3", "-4")]
    return [(strategy, json.loads(file.read_text())) for strategy, file in zip(demo_loop.strategies(search), comparisons)]


def row_of(config, strategy, comparison):
    predicted, measured, error = comparison["predicted"], comparison["measured"], comparison["error"]
    return (f"| {config.stem} | {demo_loop.name(strategy)} | {predicted['step_time_s']:.3f} s | {measured['step_time_s']:.3f} s "
            f"| {100 * error['step_time']:+.1f} % | {100 * error['peak_memory']:+.1f} % |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configs", nargs="*", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, default=demo_loop.ROOT / "build/validate_local")
    parser.add_argument("--steps", type=int, default=12)
    arguments = parser.parse_args()
    configs = arguments.configs or sorted((demo_loop.ROOT / "configs/runs/unseen").glob("*.yaml"))

    good = True
    print("| model | strategy | predicted | measured | step time | memory |\n|---|---|---|---|---|---|")
    for config in configs:
        rows = measured(config, arguments.out / config.stem, arguments.steps)
        for strategy, comparison in rows:
            print(row_of(config, strategy, comparison), flush=True)
            error = comparison["error"]
            good &= abs(error["step_time"]) <= STEP_TIME and abs(error["peak_memory"]) <= PEAK_MEMORY
        if not demo_loop.same_order(rows, REPEATABLE):
            print(f"{config}: the order of the strategies is wrong", file=sys.stderr)
            good = False
    sys.exit(0 if good else 4)


if __name__ == "__main__":
    main()
