#!/usr/bin/env python3
"""Makes traces/collectives/*.json (format helm-collective-table/1, docs/formats/collective_table.md) from published measurements.

Sources:
  * NVIDIA aiconfigurator (ai-dynamo/aiconfigurator, Apache-2.0), systems/data/<gpu>/comm/nccl: nccl-tests on 2, 4 and 8 GPUs of one node,
    fp16, out of place; sizes are those of the full tensor, as HELM counts them;
  * Vidur (microsoft/vidur, MIT), data/profiling/network/{a100,h100}_dgx/send_recv.csv: messages between two GPUs of one DGX node, and of two
    DGX H100 (one 400 Gb/s card each; of its DGX A100 the network is not stated, so those rows are left out).

Not carried: vTrain's and ml-engineering's all-reduces, Galvatron's profile, Vidur's all-reduces: they are what --check holds the tables
against, with the part of them that is on one node.

Use, in the top folder: make_collective_tables.py FILE [--configs configs/gpus] [--out traces/collectives] [--check]    FILE is
collectives.yaml with the tables above. Needs PyYAML.
"""
import argparse
import json
import math
import pathlib
import statistics

import yaml

# GPU of the source -> preset of the device that was measured.
GPUS = {
    "a100_sxm": "a100-sxm-80gb",
    "h100_sxm": "h100-sxm-80gb",
    "h200_sxm": "h200-sxm-141gb",
    "b200_sxm": "b200-sxm-180gb",
    "gb200": "gb200-186gb",
}
KINDS = {"all_gather": "all_gather", "all_reduce": "all_reduce", "alltoall": "all_to_all", "reduce_scatter": "reduce_scatter"}
MESSAGES = {"a100_sxm": [("vidur-a100_dgx-send_recv-2w-2pn", 2)],
            "h100_sxm": [("vidur-h100_dgx-send_recv-2w-2pn", 2), ("vidur-h100_dgx-send_recv-2w-1pn", 1)]}
# One card a GPU on the machines that were measured; only rows between nodes depend on it.
NETWORK_GBITS = {"a100_sxm": 200}
NETWORK_LATENCY_US = 5.0


def nanoseconds(milliseconds):
    return int(float(f"{float(milliseconds) * 1e6:.4g}"))


def curve(kind, ranks, ranks_per_node, entry):
    return {"kind": kind, "ranks": ranks, "ranks_per_node": ranks_per_node,
            "points": [[int(row[0]), nanoseconds(row[1])] for row in entry["table"]]}


def source_of(entry):
    return f"{entry['source']['title']}: {entry['source']['ref']}"


def write_table(path, document):
    """One line a key and a curve: diffs stay readable."""
    curves = ",\n".join("    " + json.dumps(c, separators=(",", ":")) for c in document.pop("curves"))
    lines = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in document.items()]
    path.write_text("{\n" + ",\n".join(lines) + ',\n  "curves": [\n' + curves + "\n  ]\n}\n")


def make(entries, configs, out):
    for gpu, name in GPUS.items():
        facts = yaml.safe_load((configs / f"{name}.yaml").read_text())
        measured = {key: entry for key, entry in entries.items() if key.startswith(f"aic-nccl-{gpu}-")}
        curves = [curve(KINDS[entry["op"]], entry["gpus"], entry["gpus"], entry) for entry in measured.values()]
        first = next(iter(measured.values()))
        sources = [source_of(first) + " (Apache-2.0)"]
        for key, per_node in MESSAGES.get(gpu, []):
            curves.append(curve("send", 2, per_node, entries[key]))
            sources.append(source_of(entries[key]) + " (MIT)")
        write_table(out / f"{name}.json", {
            "format": "helm-collective-table/1", "device": name, "architecture": facts["architecture"],
            "nvlink_gbytes_per_s": facts["nvlink_gbytes_per_s"], "network_gbits_per_s": NETWORK_GBITS.get(gpu, 400),
            "network_latency_us": NETWORK_LATENCY_US, "licence": "Apache-2.0; messages (send) MIT", "sources": sorted(set(sources)),
            "made_by": "scripts/make_collective_tables.py", "curves": sorted(curves, key=lambda c: (c["kind"], c["ranks"], c["ranks_per_node"])),
        })


def time_at(points, size):
    """As cost/interpolation.cc: straight in the logarithms, beyond the end by latency and bandwidth of the two last points."""
    if size > points[-1][0]:
        (b0, t0), (b1, t1) = points[-2:]
        return t1 + max((t1 - t0) / (b1 - b0), 0) * (size - b1)
    for (b0, t0), (b1, t1) in zip(points, points[1:]):
        if b0 <= size <= b1:
            return t0 * (t1 / t0) ** (math.log(size / b0) / math.log(b1 / b0))
    return None


def check(entries, out):
    """Prints how far other sources' all-reduces on one node are from the tables."""
    held_out = [(f"vtrain-ar-a100-{n}", "a100-sxm-80gb", n, 1e-3) for n in (2, 4, 8)]  # microseconds
    held_out += [(f"vidur-a100_dgx-all_reduce-{n}w-{n}pn", "a100-sxm-80gb", n, 1) for n in (2, 4, 8)]
    held_out += [(f"vidur-h100_dgx-all_reduce-{n}w-{n}pn", "h100-sxm-80gb", n, 1) for n in (2, 4, 8)]
    held_out += [("mleng-a100x8-ar", "a100-sxm-80gb", 8, 1), ("mleng-h200x8-ar-nvls", "h200-sxm-141gb", 8, 1),
                 ("mleng-b200-ar-1n", "b200-sxm-180gb", 8, 1)]
    for key, device, ranks, unit in held_out:
        table = json.loads((out / f"{device}.json").read_text())
        points = next(c["points"] for c in table["curves"] if c["kind"] == "all_reduce" and c["ranks"] == ranks)
        errors = {"under 4 MiB": [], "4 to 64 MiB": [], "above": []}
        for size, milliseconds, *_ in entries[key]["table"]:
            predicted = time_at(points, size)
            if predicted is None:
                continue
            where = "under 4 MiB" if size < 2**22 else "4 to 64 MiB" if size < 2**26 else "above"
            errors[where].append(predicted / (milliseconds * unit * 1e6) - 1)
        print(f"{key:38s}" + "".join(f"  {w}: {statistics.median(e):+.3f} ({len(e)})" for w, e in errors.items() if e))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Makes traces/collectives/*.json from published measurements.")
    parser.add_argument("file", type=pathlib.Path)
    parser.add_argument("--configs", type=pathlib.Path, default=pathlib.Path("configs/gpus"))
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("traces/collectives"))
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    tables = {e["id"]: e for e in yaml.load(arguments.file.read_text(), Loader=yaml.CSafeLoader)["entries"]}
    if arguments.check:
        check(tables, arguments.out)
    else:
        make(tables, arguments.configs, arguments.out)
