#!/usr/bin/env python3
"""What hiding communication gains on this machine over an emulated network, predicted and measured.

Usage: scripts/overlap_speedup.py [--config configs/runs/slow_link.yaml] [--overlap lattice] [--pairs 9] [--steps 8] [--out build/overlap]

Measures costs through the emulated network, plans the configuration with `overlap: none` and with the passes, verifies the second against the unsplit
model, and runs both in turn. Prints the speed-up of every pair, the median, and the predicted one. Run it on an otherwise idle machine. Exits with 4
when the two are more than 5 points apart.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys

import demo_loop

POINTS = 5.0


def planned(config, table, out, overlap):
    """The plan's file and its predicted step time."""
    plan = out / f"plan-{overlap}.yaml"
    text = demo_loop.run("helm-plan", config, "--cost-table", table, "--set", f"strategy.overlap={overlap}", "--out", plan, "--json")
    return plan, json.loads(text)["best"]["prediction"]["step_time_s"]


def verify(plan):
    result = json.loads(demo_loop.run("helm-exec", plan, "--steps", 3, "--verify", "--json"))
    worst = result["verify"]["worst"]
    print(f"the split model equals the unsplit one; worst {worst['kind']} error {worst['error']:.1e} (bound {worst['bound']:.0e})")


def measured(plan, steps):
    """The step time in seconds."""
    done = subprocess.run([str(demo_loop.BIN / "helm-exec"), str(plan), "--steps", str(steps), "--json"], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True)
    if not done.stdout:
        sys.exit(done.returncode or 5)
    return json.loads(done.stdout)["measured"]["step_time_s"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=pathlib.Path, default=demo_loop.ROOT / "configs/runs/slow_link.yaml")
    parser.add_argument("--overlap", default="lattice")
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--out", type=pathlib.Path, default=demo_loop.ROOT / "build/overlap")
    arguments = parser.parse_args()

    out = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    table = out / "cost_table.json"
    words = ["none", arguments.overlap]
    for overlap in words:
        demo_loop.run("helm-profile", arguments.config, "--set", f"strategy.overlap={overlap}", "--out", table)
    plans = [planned(arguments.config, table, out, overlap) for overlap in words]
    verify(plans[1][0])

    times = [[measured(plan, arguments.steps) for plan, _ in plans] for _ in range(arguments.pairs)]
    speedups = [none / overlapped for none, overlapped in times]
    for (none, overlapped), speedup in zip(times, speedups):
        print(f"none {none:.3f} s   {arguments.overlap} {overlapped:.3f} s   speed-up {speedup:.3f}")
    predicted, found = plans[0][1] / plans[1][1], statistics.median(speedups)
    for (_, prediction), index in zip(plans, range(2)):
        error = 100 * (prediction / statistics.median(pair[index] for pair in times) - 1)
        print(f"{words[index]}: predicted {prediction:.3f} s, {error:+.1f} % of the median measured")
    apart = 100 * (found - predicted)
    print(f"speed-up: predicted {predicted:.3f}, measured {found:.3f} (median of {len(speedups)} pairs): {apart:+.1f} points")
    sys.exit(0 if abs(apart) <= POINTS else 4)


if __name__ == "__main__":
    main()
