#!/usr/bin/env python3
"""The demo after the build: measures, plans, runs the chosen plan and the best of each other kind of parallelism, compares, and prints one table.

Usage: scripts/demo_loop.py [--config configs/runs/demo.yaml] [--out build/demo] [--steps N] [--rounds N]

The strategies: the one that the search chose, and the fastest with all ranks in data, tensor (with and without sequence parallelism) or pipeline
parallelism. Every round runs all of them once, so that a machine that changes its speed changes it for all; a measured time is the median of the steps of
all rounds. Leaves in the output folder: config.yaml, cost_table.json, search.json, rows.json, plan.yaml, predicted.json, measured.json, compare.json,
report.html (of the chosen plan), and plan-2.yaml, plan-3.yaml ... with their compare-N.json (of the others, last round). Exits 4 when a prediction is
outside the tolerance.
"""
import argparse
import json
import os
import pathlib
import shutil
import statistics
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


def kinds(ranks):
    """What all ranks of a world can do together."""
    return [{"data": ranks, "tensor": 1, "pipeline": 1}, {"data": 1, "tensor": ranks, "sequence_parallel": False, "pipeline": 1},
            {"data": 1, "tensor": 1, "pipeline": ranks}, {"data": 1, "tensor": ranks, "sequence_parallel": True, "pipeline": 1}]


def settings(kind):
    return [word for key, value in kind.items() for word in ("--set", f"strategy.{key}={json.dumps(value)}")]


def file(out, stem, number):
    """The chosen plan's files have no number, the others' have 2, 3 ..."""
    name, suffix = stem.split(".")
    return out / (f"{name}.{suffix}" if number == 1 else f"{name}-{number}.{suffix}")


def name(strategy):
    parts = [f"{kind} {strategy[kind]}" for kind in ("data", "tensor") if strategy[kind] > 1]
    if strategy["sequence_parallel"]:
        parts.append("sequence_parallel")
    if strategy["pipeline"] > 1:
        parts.append(f"pipeline {strategy['pipeline']} ({strategy['schedule']})")
    if strategy["zero"] > 0:
        parts.append(f"zero {strategy['zero']}")
    return ", ".join(parts + [f"micro_batch {strategy['micro_batch']}"])


def plans(config, out, table):
    """(number, strategy) of each plan: the chosen one first, then the fastest of each other kind, written to the output folder."""
    search = json.loads(run("helm-plan", config, "--cost-table", table, "--out", out / "plan.yaml", "--json"))
    (out / "search.json").write_text(json.dumps(search, indent=2) + "\n")
    chosen = search["best"]["strategy"]
    print(run("helm-plan", config, "--cost-table", table, "--out", out / "plan.yaml"))
    planned = [chosen]
    ranks = chosen["data"] * chosen["tensor"] * chosen["pipeline"]
    for kind in kinds(ranks):
        if all(chosen[key] == value for key, value in kind.items()):
            continue  # planned already
        plan = file(out, "plan.yaml", len(planned) + 1)
        found = run("helm-plan", config, "--cost-table", table, "--out", plan, "--json", *settings(kind), check=False)
        if not found:
            say(f"no plan with {kind}")
            continue
        planned.append(json.loads(found)["best"]["strategy"])
    return list(enumerate(planned, 1))


def check_verification(comparison):
    worst = comparison["verify"]["worst"]
    verdict = "equals" if comparison["verify"]["passed"] else "DIFFERS FROM"
    say(f"verify: the split model {verdict} the unsplit one; worst {worst['kind']} error {worst['error']:.1e} (bound {worst['bound']:.0e})")
    if not comparison["verify"]["passed"]:
        sys.exit(7)


def execute(out, number, steps, verify):
    result = run("helm-exec", file(out, "plan.yaml", number), "--steps", steps, *(["--verify"] if verify else []), "--trace",
                 file(out, "measured.json", number), "--predicted-trace", file(out, "predicted.json", number), "--json", check=False)
    if not result:
        sys.exit(5)
    comparison = json.loads(result)
    if verify:
        check_verification(comparison)
    file(out, "compare.json", number).write_text(json.dumps(comparison, indent=2) + "\n")
    return comparison


def row_of(strategy, comparisons):
    """One strategy's prediction against all its rounds."""
    predicted = comparisons[0]["predicted"]
    rounds = [comparison["measured"]["steps_s"] for comparison in comparisons]
    memory = max(comparison["measured"]["peak_memory"]["allocated_bytes"] for comparison in comparisons)
    step_time = statistics.median(step for steps in rounds for step in steps)
    return {"strategy": name(strategy), "predicted_s": predicted["step_time_s"], "measured_s": step_time,
            "rounds_s": [statistics.median(steps) for steps in rounds], "step_time_error": predicted["step_time_s"] / step_time - 1,
            "predicted_bytes": predicted["peak_memory"]["allocated_bytes"], "measured_bytes": memory,
            "peak_memory_error": predicted["peak_memory"]["allocated_bytes"] / memory - 1,
            "slowdowns": [(comparison["pace"] or {}).get("compute_slowdown") for comparison in comparisons]}


def table_of(rows):
    lines = [f"{'strategy':<60} {'predicted':>10} {'measured':>10} {'error':>8}   {'predicted':>11} {'measured':>11} {'error':>8}"]
    for row in rows:
        memory = [row[side] / 2**20 for side in ("predicted_bytes", "measured_bytes")]
        lines.append(f"{row['strategy']:<60} {row['predicted_s']:>8.3f} s {row['measured_s']:>8.3f} s {100 * row['step_time_error']:>+6.1f} % "
                     f"  {memory[0]:>7.1f} MiB {memory[1]:>7.1f} MiB {100 * row['peak_memory_error']:>+6.1f} %")
    return "\n".join(lines)


def ranked(rows, least):
    """(right, pairs) of the pairs whose measured times differ by over `least` (a fraction), the same way in every round."""
    right = pairs = 0
    for i, a in enumerate(rows):
        for b in rows[i + 1:]:
            faster = {x < y for x, y in zip(a["rounds_s"], b["rounds_s"])}
            if len(faster) == 1 and abs(a["measured_s"] - b["measured_s"]) > least * min(a["measured_s"], b["measured_s"]):
                pairs += 1
                right += (a["predicted_s"] < b["predicted_s"]) == (a["measured_s"] < b["measured_s"])
    return right, pairs


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=pathlib.Path, default=ROOT / "configs/runs/demo.yaml")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "build/demo")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=1)
    arguments = parser.parse_args()

    out = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    shutil.copy(arguments.config, out / "config.yaml")
    table = out / "cost_table.json"
    print(run("helm-profile", arguments.config, "--out", table), end="")
    planned = plans(arguments.config, out, table)
    comparisons = {number: [] for number, _ in planned}
    for round in range(arguments.rounds):
        for number, _ in planned:
            comparisons[number].append(execute(out, number, arguments.steps, verify=number == 1 and round == 0))
    print(run("helm-compare", out / "predicted.json", out / "measured.json", "--html", out / "report.html"))
    rows = [row_of(strategy, comparisons[number]) for number, strategy in planned]
    (out / "rows.json").write_text(json.dumps(rows, indent=2) + "\n")

    print("\nPredicted against measured (step time: median; memory: peak allocated on the rank with the most)\n")
    print(table_of(rows))
    right, pairs = ranked(rows, 0.02)
    print(f"\norder: {right} of {pairs} pairs right whose measured times differ by over 2 %")
    print(f"took {time.monotonic() - start:.0f} s; open {(out / 'report.html')}")
    worst_time = max(abs(row["step_time_error"]) for row in rows)
    worst_memory = max(abs(row["peak_memory_error"]) for row in rows)
    if worst_time > 0.15 or worst_memory > 0.05 or right < pairs:
        say(f"outside the tolerance: step time {100 * worst_time:.1f} % (15 %), peak memory {100 * worst_memory:.1f} % (5 %), order {right} of {pairs}")
        sys.exit(4)


if __name__ == "__main__":
    main()
