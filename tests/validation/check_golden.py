#!/usr/bin/env python3
"""Holds the summary of helm-validate over the full suites against tests/validation/golden_summary.json, source by source.

Fails when a source got worse: fewer rows predicted, or an error (or the share of wrongly ranked pairs, or a regret) above the golden one by more
than the tolerance. A source that got better passes with a word; HELM_UPDATE_GOLDEN=1 writes the golden file anew, to be reviewed with
`git diff`. Skipped (exit 77) where the suites are not on this machine.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys

GOLDEN = pathlib.Path(__file__).with_name("golden_summary.json")
SKIPPED = 77
# Errors are fractions: another compiler's rounding moves them by far less, a change that matters by far more.
TOLERANCE = 0.001


def figures(summary):
    """{name: (value, larger is worse)} of one summary."""
    time, memory = summary["step_time"], summary["peak_memory"]
    result = {"predicted": (summary["predicted"], False), "step_time.count": (time["count"], False)}
    for name in ("mape", "median", "worst"):
        result["step_time." + name] = (time[name], True)
    result["order.share"] = (summary["order"]["share"], False)
    result["regret.mean"] = (summary["regret"]["mean"], True)
    for kind, statistics in memory.items():
        result[f"peak_memory.{kind}.mape"] = (statistics["mape"], True)
        result[f"peak_memory.{kind}.count"] = (statistics["count"], False)
    return result


def compare(source, golden, found):
    """([what got worse], [what got better]). An error counts only where as many rows are predicted as before."""
    worse, better = [], []
    for name, (now, larger_is_worse) in found.items():
        before = golden.get(name)
        if before is None:
            continue
        change = (now - before) if larger_is_worse else (before - now)
        line = f"{source}: {name} was {before:.6g}, is {now:.6g}"
        if change > TOLERANCE:
            worse.append(line)
        elif change < -TOLERANCE:
            better.append(line)
    if found["predicted"][0] > golden.get("predicted", 0):
        # More rows: their errors are new, not worse.
        worse = [line for line in worse if ".count" in line or ": predicted" in line]
    return worse, better


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", required=True, help="folder of helm-validate")
    parser.add_argument("--suites", required=True, help="folder of the suites")
    arguments = parser.parse_args()
    suites = sorted(pathlib.Path(arguments.suites).glob("*.yaml"))
    if not suites:
        print(f"skipped: no suites in {arguments.suites}")
        return SKIPPED
    command = [str(pathlib.Path(arguments.bin) / "helm-validate"), "--json", *map(str, suites)]
    document = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    summaries = dict(document["by_source"], all=document["summary"])
    found = {source: figures(summary) for source, summary in summaries.items()}
    if os.environ.get("HELM_UPDATE_GOLDEN") == "1":
        values = {source: {name: round(value, 6) for name, (value, _) in part.items()} for source, part in found.items()}
        GOLDEN.write_text(json.dumps(values, indent=2) + "\n")
        print(f"wrote {GOLDEN}")
        return 0
    golden = json.loads(GOLDEN.read_text())
    worse, better = [], []
    for source, part in found.items():
        for total, lines in zip((worse, better), compare(source, golden.get(source, {}), part)):
            total.extend(lines)
    print("\n".join(["better (HELM_UPDATE_GOLDEN=1 keeps it):", *better] if better else ["nothing better"]))
    if worse:
        print("\n".join(["WORSE:", *worse]))
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
