#!/usr/bin/env python3
"""Says how honest the fitted constants are: refits each without one source at a time and predicts that source then.

    scripts/leave_one_out.py --bin build/bin ../shared/validation/*.yaml                # the tables of docs/validation.md, on stdout
    scripts/leave_one_out.py --bin build/bin ../shared/validation/*.yaml --write        # and traces/errors/error_bands.json

How. helm-validate predicts all rows at several values of each fitted constant (helm-validate --constant, cost/fitted_constants.h); between
them the logarithm of a prediction is interpolated, and constants are taken to act independently. A fit minimises the mean over sources of the
mean |log(measured / predicted)| of their rows, none of which counts as more than 0.2: each source has the same weight, and rows that are far off,
which they are for other reasons, do not pull. The clocks are fitted on rows that hardly follow the host's cost, that cost on rows that mostly do.
What was fitted on kernels that SimuMax measured (attention's level and backward, a wider sum's traffic) is not refitted on rows: without
simumax_b200 there is no level and no such traffic (0), and backward has the efficiency of FlashAttention-2's publication (arXiv 2307.08691: 63 % of the peak against 73 %).
A GPU generation all of whose runs are of the source left out takes the clock of Hopper, whose factor before the fit is that of
configs/gpus/ (0.85): its clock is not known then.

Bands: quantiles of measured / predicted, predicted without the row's source; a source counts as the root of the number of its rows. By kind of
run (step_time_band_from, cost/error_bands.h) where the kind has rows of two sources at least, and 20 rows. The ratio of two predictions:
pairs of rows that differ only in the strategy, all sources counting the same, since pairs of one group depend on each other; the factor holds 80 % of |log(ratio measured / ratio predicted)|.

Needs nothing but Python. Takes as long as five runs of helm-validate.
"""
import argparse
import collections
import json
import math
import pathlib
import re
import subprocess
import sys

# Values at which each constant is predicted, around the one that holds (the second of three).
GRID = {"clock": [0.85, 1.0, 1.1], "python_kernel_us": [30.0, 46.0, 65.0]}
# Fitted on kernels of one source: what holds without it.
OF_KERNELS = {"simumax_b200": {"attention_level": 0.0, "attention_backward": 63 / 73, "sum_exposed": 0.0}}
HOPPER_CLOCK = 0.85
CLOCKS = {"ampere": 0.90, "hopper": 0.85, "blackwell": 0.72}  # of the SXM parts, configs/gpus/
LOSS_MOST = 0.2  # a row that is further off is so for another reason than these constants, and pulls no more
HOST_SHARE_OF_CLOCK, HOST_SHARE_OF_HOST = 0.1, 0.5  # which rows show the one and the other
SHARE_OUTSIDE = 0.1  # at either end of a band
ROWS_LEAST, SOURCES_LEAST = 20, 2
REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
BANDS = REPOSITORY / "traces/errors/error_bands.json"


class Row:
    """One timed row: its logarithms of measured / predicted by setting of a constant."""

    def __init__(self, row):
        self.id, self.source = row["id"], row["source"]
        self.kind = row["kind"]
        self.architecture = self.kind.split()[0]
        self.key = (row["source"], row["group"])
        self.strategy = json.dumps(row["strategy"], sort_keys=True)
        self.measured = row["measured"]["step_time_s"]
        self.predicted = {}  # {(constant, value): seconds}; (): as HELM is


def predict(arguments, constants, only=""):
    """Rows with a measured and a predicted time, by id; `only` those of a source."""
    command = [str(pathlib.Path(arguments.bin) / "helm-validate"), "--json", "--jobs", str(arguments.jobs), *arguments.suites]
    if only:
        command += ["--only", only]
    for name, value in constants.items():
        command += ["--constant", f"{name}={value}"]
    print("predicting with", constants or "the constants as they are", file=sys.stderr)
    name = "_".join(f"{key}={value:g}" for key, value in constants.items()) or "as_they_are"
    kept = arguments.keep / f"{name}.json" if arguments.keep else None
    if kept and kept.exists():
        output = kept.read_text()
    else:
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        if kept:
            kept.write_text(output)
    return {row["id"]: row for row in json.loads(output)["rows"] if row["error"]["step_time"] is not None}


def all_rows(arguments):
    base = predict(arguments, {})
    rows = {name: Row(row) for name, row in base.items()}
    settings = [(name, value) for name, values in GRID.items() for value in values if value != values[1]]
    alternatives = [(setting, dict([setting]), "") for setting in settings] + [(source, values, source) for source, values in OF_KERNELS.items()]
    for name, row in rows.items():
        row.predicted[()] = base[name]["predicted"]["step_time_s"]
    for key, constants, only in alternatives:
        for name, row in predict(arguments, constants, only).items():
            rows[name].predicted[key] = row["predicted"]["step_time_s"]
    return list(rows.values())


def shift(row, name, value):
    """log(predicted with the constant / predicted as it is), piecewise linear in log(value)."""
    grid = GRID[name]
    logs = [math.log(row.predicted.get((name, v), row.predicted[()]) / row.predicted[()]) for v in grid]
    below = value < grid[1]
    a, b = (0, 1) if below else (1, 2)
    place = (math.log(value) - math.log(grid[a])) / (math.log(grid[b]) - math.log(grid[a]))
    return logs[a] + place * (logs[b] - logs[a])


def log_ratio(row, constants, without=None):
    """log(measured / predicted) with {"clock": {architecture: factor}, "python_kernel_us": value}."""
    predicted = math.log(row.predicted.get(without, row.predicted[()]))
    predicted += shift(row, "clock", constants["clock"].get(row.architecture, 1.0))
    predicted += shift(row, "python_kernel_us", constants["python_kernel_us"])
    return math.log(row.measured) - predicted


def loss(rows, constants):
    by_source = collections.defaultdict(list)
    for row in rows:
        by_source[row.source].append(min(abs(log_ratio(row, constants)), LOSS_MOST))
    return sum(sum(errors) / len(errors) for errors in by_source.values()) / max(len(by_source), 1)


def host_share(row):
    """How much of the step follows the host's cost: d log(predicted) / d log(python_kernel_us), upwards."""
    return shift(row, "python_kernel_us", GRID["python_kernel_us"][2]) / math.log(GRID["python_kernel_us"][2] / GRID["python_kernel_us"][1])


def shows_clock(row):
    return host_share(row) < HOST_SHARE_OF_CLOCK


def shows_host(row):
    return host_share(row) > HOST_SHARE_OF_HOST


def candidates(name):
    low, high = GRID[name][0], GRID[name][-1]
    return [low * (high / low) ** (i / 60) for i in range(61)]


def fit(rows):
    """Coordinate descent from the constants as they are; a few rounds, since they hardly act on each other."""
    architectures = sorted({row.architecture for row in rows if shows_clock(row)})
    constants = {"clock": {architecture: 1.0 for architecture in architectures}, "python_kernel_us": GRID["python_kernel_us"][1]}
    launched = [row for row in rows if shows_host(row)]
    for _ in range(3):
        for architecture in architectures:
            part = [row for row in rows if row.architecture == architecture and shows_clock(row)]
            def with_clock(value, architecture=architecture):
                return dict(constants, clock=dict(constants["clock"], **{architecture: value}))
            best = min(candidates("clock"), key=lambda value: loss(part, with_clock(value)))
            constants = with_clock(best)
        best = min(candidates("python_kernel_us"), key=lambda value: loss(launched, dict(constants, python_kernel_us=value)))
        constants = dict(constants, python_kernel_us=best)
    return constants


def fit_without(rows, source):
    constants = fit([row for row in rows if row.source != source])
    for row in rows:
        if row.source == source and row.architecture not in constants["clock"]:
            own = CLOCKS.get(row.architecture, HOPPER_CLOCK)
            constants["clock"][row.architecture] = HOPPER_CLOCK * constants["clock"].get("hopper", 1.0) / own
    return constants


def mape(logs):
    """Mean |predicted - measured| / measured."""
    return sum(abs(math.exp(-value) - 1) for value in logs) / len(logs)


def quantile(weighted, share):
    """Of [(value, weight)]: the smallest value that at least `share` of the weight does not exceed."""
    total = sum(weight for _, weight in weighted)
    passed = 0.0
    for value, weight in sorted(weighted):
        passed += weight
        if passed >= share * total - 1e-12:
            return value
    return max(value for value, _ in weighted)


def weighted_by_source(pairs, power):
    """[(source, value)] -> [(value, weight)]: 0.5: a source counts as the root of the number of its values; 1: all sources count the same."""
    counts = collections.Counter(source for source, _ in pairs)
    return [(value, counts[source] ** -power) for source, value in pairs]


def bands_of(outside):
    """[{kind, rows, sources, low, high}] from [(Row, log ratio)]."""
    kinds = collections.defaultdict(list)
    for row, value in outside:
        for kind in {row.kind, "all"} | ({"fp8"} if row.kind.endswith(" fp8") else set()):
            kinds[kind].append((row.source, value))
    bands = []
    for kind, pairs in sorted(kinds.items()):
        sources = {source for source, _ in pairs}
        if kind != "all" and (len(pairs) < ROWS_LEAST or len(sources) < SOURCES_LEAST):
            continue
        weighted = weighted_by_source(pairs, 0.5)
        low, high = quantile(weighted, SHARE_OUTSIDE), quantile(weighted, 1 - SHARE_OUTSIDE)
        bands.append({"kind": kind, "rows": len(pairs), "sources": len(sources), "low": round(math.exp(low), 3), "high": round(math.exp(high), 3)})
    return bands


def measured_band():
    """Of HELM's own runs on a GPU with a cost table of that GPU: the table "One H200" of docs/validation.md."""
    ratios = []
    for line in (REPOSITORY / "docs/validation.md").read_text().splitlines():
        found = re.match(r"\| `[^`]+` \(.*\) \| ([0-9.]+) ms \| ([0-9.]+) ms \| [+-]", line)
        if found:
            ratios.append((float(found.group(2)) / float(found.group(1)), 1.0))
    return {"kind": "measured", "rows": len(ratios), "sources": 1, "low": round(quantile(ratios, SHARE_OUTSIDE), 3),
            "high": round(quantile(ratios, 1 - SHARE_OUTSIDE), 3)}


def pair_errors(outside):
    """[(source, |log of measured ratio / predicted ratio|)] of pairs that differ only in the strategy."""
    groups = collections.defaultdict(list)
    for row, value in outside:
        groups[row.key].append((row, value))
    errors = []
    for members in groups.values():
        for i, (a, value) in enumerate(members):
            errors += [(a.source, abs(value - other)) for b, other in members[:i] if a.strategy != b.strategy]
    return errors


def report(rows):
    shipped = {"clock": {}, "python_kernel_us": GRID["python_kernel_us"][1]}
    together = fit(rows)
    by_source = collections.defaultdict(list)
    for row in rows:
        by_source[row.source].append(row)
    text = ["| left out | rows | MAPE | refitted on all | refitted without it | without / with | clock Ampere, Hopper, Blackwell | Python's host, us |",
            "|---|---|---|---|---|---|---|---|"]
    outside = []
    def described(constants):
        clocks = [constants["clock"].get(name) for name in CLOCKS]
        values = [f"{CLOCKS[name] * clock:.2f}" if clock else "-" for name, clock in zip(CLOCKS, clocks)]
        return f"{', '.join(values)} | {constants['python_kernel_us']:.0f}"
    for source, part in sorted(by_source.items()):
        without = fit_without(rows, source)
        logs = [log_ratio(row, without, source if source in OF_KERNELS else None) for row in part]
        outside += list(zip(part, logs))
        now = mape([log_ratio(row, shipped) for row in part])
        both = mape([log_ratio(row, together) for row in part])
        text.append(f"| {source} | {len(part)} | {100 * now:.1f} % | {100 * both:.1f} % | {100 * mape(logs):.1f} % | {mape(logs) / now:.2f} | {described(without)} |")
    now, both, left = (mape([log_ratio(row, c) for row in rows]) for c in (shipped, together, shipped))
    left = mape([value for _, value in outside])
    text.append(f"| all | {len(rows)} | {100 * now:.1f} % | {100 * both:.1f} % | {100 * left:.1f} % | {left / now:.2f} | {described(together)} (fit on all) |")
    return "\n".join(text), outside


def main():
    parser = argparse.ArgumentParser(description="Refits the fitted constants without one source at a time.")
    parser.add_argument("suites", nargs="+")
    parser.add_argument("--bin", required=True, help="folder of helm-validate")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--keep", type=pathlib.Path, help="folder: keeps helm-validate's documents, and takes those that it holds")
    parser.add_argument("--write", action="store_true", help=f"write {BANDS.relative_to(REPOSITORY)}")
    arguments = parser.parse_args()
    table, outside = report(all_rows(arguments))
    print(table)
    bands = bands_of(outside) + [measured_band()]
    pairs = pair_errors(outside)
    factor = math.exp(quantile(weighted_by_source(pairs, 1.0), 1 - 2 * SHARE_OUTSIDE))
    print("\n| kind of run | rows | sources | measured / predicted |\n|---|---|---|---|")
    for band in bands:
        print(f"| {band['kind']} | {band['rows']} | {band['sources']} | {band['low']:.2f} to {band['high']:.2f} |")
    ratio = {"factor": round(factor, 3), "pairs": len(pairs), "sources": len({source for source, _ in pairs})}
    print(f"\nratio of two strategies: within a factor of {ratio['factor']} ({ratio['pairs']} pairs of {ratio['sources']} sources)")
    if arguments.write:
        lines = ",\n    ".join(json.dumps(band) for band in bands)
        BANDS.write_text(f'{{\n  "format": "helm-error-bands/1",\n  "made_by": "scripts/leave_one_out.py",\n  "bands": [\n    {lines}\n  ],\n  "ratio": {json.dumps(ratio)}\n}}\n')


if __name__ == "__main__":
    main()
