#!/usr/bin/env python3
"""Predicted against measured on this machine for models that nothing was developed on: the loop of scripts/demo_loop.py for each run configuration.

Usage: scripts/validate_local.py [--out build/validate_local] [--steps N] [--rounds N] [CONFIG ...]     (default: configs/runs/unseen/*.yaml)

Prints one Markdown table (that of docs/validation.md) and leaves each run's folder in the output folder. Run it on an otherwise idle machine.
Exits with 4 when a step time is off by more than 20 %, a memory by more than 3 %, or two strategies of a model are in the wrong order whose measured
times differ by over 2 % and the same way in every round.
"""
import argparse
import json
import pathlib
import subprocess
import sys

import demo_loop

STEP_TIME, PEAK_MEMORY = 0.20, 0.03
APART = 0.02


def measured(config, out, arguments):
    """The rows of one configuration, which demo_loop.py leaves behind; none when it could not run."""
    rows = out / "rows.json"
    rows.unlink(missing_ok=True)
    subprocess.run([sys.executable, demo_loop.__file__, "--config", config, "--out", out, "--steps", str(arguments.steps), "--rounds",
                    str(arguments.rounds)], stdout=subprocess.DEVNULL)
    return json.loads(rows.read_text()) if rows.exists() else []


def line_of(config, row):
    rounds = ", ".join(f"{time:.3f}" for time in row["rounds_s"])
    return (f"| `{config.stem}` | {row['strategy']} | {row['predicted_s']:.3f} s | {row['measured_s']:.3f} s ({rounds}) "
            f"| {100 * row['step_time_error']:+.1f} % | {100 * row['peak_memory_error']:+.1f} % |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configs", nargs="*", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, default=demo_loop.ROOT / "build/validate_local")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    configs = arguments.configs or sorted((demo_loop.ROOT / "configs/runs/unseen").glob("*.yaml"))

    good = True
    right = pairs = 0
    print("| model | strategy | predicted | measured (rounds) | step time | memory |\n|---|---|---|---|---|---|")
    for config in configs:
        rows = measured(config, arguments.out / config.stem, arguments)
        for row in rows:
            print(line_of(config, row), flush=True)
            good &= abs(row["step_time_error"]) <= STEP_TIME and abs(row["peak_memory_error"]) <= PEAK_MEMORY
        good &= bool(rows)
        counts = demo_loop.ranked(rows, APART)
        right, pairs = right + counts[0], pairs + counts[1]
    print(f"\norder: {right} of {pairs} pairs right")
    sys.exit(0 if good and right == pairs else 4)


if __name__ == "__main__":
    main()
