#!/usr/bin/env python3
"""Makes traces/kernels/*.json (format helm-kernel-table/1, docs/formats/kernel_table.md) from published kernel measurements.

Sources, both under Apache-2.0:
  * NVIDIA aiconfigurator (ai-dynamo/aiconfigurator), systems/data/<gpu>/{gemm,attention}/...: median times of single kernels in milliseconds,
    as CSV files <gpu>-gemm.csv.gz and <gpu>-attention.csv.gz with the path of the original in their first line;
  * the same project's TensorRT-LLM context attention tables (entries of kind attention_forward_causal in gemm.yaml). They replace the
    attention rows of Hopper and Blackwell in the CSV files, which grow to twice the rate of these and above the bfloat16 peak of the chip.

Thinning. Products: of the axis m, the sizes of ROWS (dropped: those of decoding, m below 16 but for 1 and 4, and those that are one more than
another); of n and k all from 64 on. Attention: lengths of 256 and more, at most one of three batch sizes. Times are rounded to four digits.
--check prints the error that interpolation makes at the products that were dropped.

Use, in the top folder: make_kernel_tables.py FOLDER [--configs configs/gpus] [--out traces/kernels] [--check]    FOLDER holds gemm.yaml
and kernels/. Needs numpy and PyYAML.
"""
import argparse
import csv
import gzip
import json
import pathlib

import numpy
import yaml

# File of the source -> preset of the device that was measured. Its facts are copied into the table, so that a table says by itself
# how far its times are from the data sheet.
GPUS = {
    "a100_sxm": "a100-sxm-80gb",
    "l40s": "l40s",
    "h100_sxm": "h100-sxm-80gb",
    "h200_sxm": "h200-sxm-141gb",
    "b200_sxm": "b200-sxm-180gb",
    "b300_sxm": "b300-sxm-288gb",
    "gb200": "gb200-186gb",
    "gb300": "gb300-288gb",
}
DTYPES = {"bfloat16": "bf16", "fp8": "fp8"}
ROWS = [1, 4, 16, 64, 128, 256, 384, 512, 768, 1024, 1536, 2048, 2560, 3072, 3584, 4096, 8192, 16384, 32768]
COLUMNS_LEAST = 64
LENGTH_LEAST = 256
BATCHES = (1, 4, 16, 64, 256)
ATTENTION_OF_CSV = ("a100_sxm", "l40s")
ATTENTION_OF_YAML = {"h100_sxm": "aic-attn-prefill-h100_sxm", "b200_sxm": "aic-attn-prefill-b200_sxm"}


# Training kernels against the paged ones of the CSV files: the efficiency of FlashAttention-2 in Transformer Engine on A100, batch 1, 4096
# tokens, head size 128 (SimuMax, configs/system/a100_pcie.json, Apache-2.0, sdp_fwd: 8 rows) over that of the CSV rows: 1.12 to 1.16.
LEVEL_OF_CSV = 1.14
# The same for TensorRT-LLM's kernels on B200: 10 rows of configs/system/b200_bf16_ceperm.json with 4096 tokens and 16 heads or more: 1.13 to 1.49,
# median 1.3, and six of 32768 and 131072 tokens: 0.69 to 1.35, median 1.07.
LEVEL_OF_YAML = {"b200_sxm": 1.2}


def read_csv(path):
    """RETURNS the first comment line and the rows as dictionaries."""
    with gzip.open(path, "rt") as file:
        lines = file.readlines()
    return lines[0].lstrip("# ").strip(), list(csv.DictReader(line for line in lines if not line.startswith("#")))


def nanoseconds(milliseconds):
    return int(float(f"{float(milliseconds) * 1e6:.4g}"))


def product_grid(rows, dtype, facts, keep_rows=None):
    """RETURNS m, n, k axes and the times in nanoseconds, [m][n][k], nan where not measured."""
    times = {(int(r["m"]), int(r["n"]), int(r["k"])): nanoseconds(r["latency_ms"]) for r in rows if r["gemm_dtype"] == dtype}
    if dtype == "fp8":
        times = without_cast(times, facts)
    m_axis = sorted({m for m, _, _ in times if keep_rows is None or m in keep_rows})
    n_axis = sorted({n for _, n, _ in times if n >= COLUMNS_LEAST})
    k_axis = sorted({k for _, _, k in times if k >= COLUMNS_LEAST})
    grid = [[[times.get((m, n, k), numpy.nan) for k in k_axis] for n in n_axis] for m in m_axis]
    return m_axis, n_axis, k_axis, numpy.array(grid)


# The fp8 rows are of a whole layer of vLLM (aiconfigurator, collector/vllm/collect_gemm.py: forward of a RowParallelLinear with
# Fp8Config and static activations on a bf16 input): they hold the cast of the left operand to fp8, which HELM's programs have as a kernel of
# their own. A product with 32 to 128 columns shows what the cast takes: 190 us of 8192 x 8192 on H100, where the product reads its operands
# in 21 us; bf16 rows of that shape are within a sixth of their bytes.
CAST_COLUMNS = (32, 64, 128)
LAUNCH_NANOSECONDS = 2000


def least_nanoseconds(facts, dtype, m, n, k):
    """Of a product: its FLOPs at the peak or its bytes at the bandwidth, and a launch."""
    operand_bytes = 1 if dtype == "fp8" else 2
    transfer = (operand_bytes * (m * k + k * n) + 2 * m * n) / facts["memory_gbytes_per_s"]
    return LAUNCH_NANOSECONDS + max(transfer, 2 * m * n * k / (facts["peak_tflops"][DTYPES[dtype]] * 1e3))


def without_cast(times, facts):
    """{(m, n, k): nanoseconds} of fp8 rows less what the cast of [m, k] takes, by the fastest of the narrow products over their bound."""
    result = {}
    for (m, n, k), time in times.items():
        narrow = [times[m, c, k] - least_nanoseconds(facts, "fp8", m, c, k) for c in CAST_COLUMNS if (m, c, k) in times]
        cast = max(min(narrow), 0) if narrow else 0
        result[m, n, k] = int(float(f"{max(time - cast, least_nanoseconds(facts, 'fp8', m, n, k)):.4g}"))
    return result


def product_table(rows, dtype, facts):
    m_axis, n_axis, k_axis, grid = product_grid(rows, dtype, facts, ROWS)
    flat = [None if numpy.isnan(value) else int(value) for value in grid.reshape(-1)]
    return {"dtype": DTYPES[dtype], "m": m_axis, "n": n_axis, "k": k_axis, "nanoseconds": flat}


def attention_of_csv(path):
    source, rows = read_csv(path)
    kept = [
        [int(r["batch_size"]), int(r["isl"]), int(r["num_heads"]), int(r["num_key_value_heads"]), int(r["head_dim"]), nanoseconds(r["latency_ms"])]
        for r in rows
        if int(r["isl"]) >= LENGTH_LEAST and int(r["batch_size"]) in BATCHES and r["attn_dtype"] == "bfloat16" and r["step"] == "0"
        and int(r["num_key_value_heads"]) in (8, int(r["num_heads"]))
    ]
    return source, sorted(kept)


def attention_of_yaml(entry):
    return entry["source"]["ref"], sorted([*map(int, row[:5]), nanoseconds(row[5])] for row in entry["table"])


def write_table(path, document):
    """One line for each key, the long arrays on one line each: diffs stay readable, files small."""
    lines = [f"  {json.dumps(key)}: {json.dumps(value, separators=(',', ':'))}" for key, value in document.items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def make(folder, configs, out):
    entries = {entry["id"]: entry for entry in yaml.load((folder / "gemm.yaml").read_text(), Loader=yaml.CSafeLoader)["entries"]}
    for gpu, name in GPUS.items():
        facts = yaml.safe_load((configs / f"{name}.yaml").read_text())
        source, rows = read_csv(folder / "kernels" / f"{gpu}-gemm.csv.gz")
        sources = [source]
        products = [product_table(rows, dtype, facts) for dtype in DTYPES if any(r["gemm_dtype"] == dtype for r in rows)]
        attention = []
        if gpu in ATTENTION_OF_CSV:
            more, attention = attention_of_csv(folder / "kernels" / f"{gpu}-attention.csv.gz")
            sources.append(more)
        elif gpu in ATTENTION_OF_YAML:
            more, attention = attention_of_yaml(entries[ATTENTION_OF_YAML[gpu]])
            sources.append(f"source: NVIDIA aiconfigurator (Apache-2.0), {more}; latency in ms, measured")
        write_table(out / f"{name}.json", {
            "format": "helm-kernel-table/1", "device": name, "architecture": facts["architecture"],
            "peak_tflops": {dtype: facts["peak_tflops"][dtype] for dtype in DTYPES.values() if dtype in facts["peak_tflops"]},
            "memory_gbytes_per_s": facts["memory_gbytes_per_s"], "multiprocessors": facts["multiprocessors"], "licence": "Apache-2.0",
            "sources": sources, "made_by": "scripts/make_kernel_tables.py", "products": products, "attention_forward": attention,
            "attention_level": LEVEL_OF_CSV if gpu in ATTENTION_OF_CSV else LEVEL_OF_YAML.get(gpu, 1.0),
        })


def interpolate(axes, values, queries):
    """Linear in the logarithms of all three sizes; corners that were not measured do not count."""
    index, weight = [], []
    for axis, query in zip(axes, queries):
        at = numpy.clip(numpy.searchsorted(axis, query, side="right") - 1, 0, len(axis) - 2)
        index.append(at)
        weight.append(numpy.clip((query - axis[at]) / (axis[at + 1] - axis[at]), 0, 1))
    total = mass = 0
    for corner in numpy.ndindex(2, 2, 2):
        share = numpy.prod([w if up else 1 - w for w, up in zip(weight, corner)], axis=0)
        value = values[tuple(at + up for at, up in zip(index, corner))]
        known = ~numpy.isnan(value)
        total = total + numpy.where(known, share * numpy.nan_to_num(value), 0)
        mass = mass + numpy.where(known, share, 0)
    return total / numpy.maximum(mass, 1e-12)


def check(folder, configs):
    for gpu, name in GPUS.items():
        facts = yaml.safe_load((configs / f"{name}.yaml").read_text())
        _, rows = read_csv(folder / "kernels" / f"{gpu}-gemm.csv.gz")
        for dtype in DTYPES:
            if not any(r["gemm_dtype"] == dtype for r in rows):
                continue
            m_all, n_axis, k_axis, grid = product_grid(rows, dtype, facts)
            dropped = [i for i, m in enumerate(m_all) if m not in ROWS and m >= 128 and m % 64 == 0]
            kept = [i for i, m in enumerate(m_all) if m in ROWS]
            mesh = numpy.meshgrid(m_all, n_axis, k_axis, indexing="ij")
            work = 2.0 * mesh[0] * mesh[1] * mesh[2]
            rate = numpy.log(work / grid)
            axes = [numpy.log(numpy.array(axis, float)) for axis in ([m_all[i] for i in kept], n_axis, k_axis)]
            guess = interpolate(axes, rate[kept], [numpy.log(part[dropped].astype(float)) for part in mesh])
            error = numpy.abs(numpy.expm1(rate[dropped] - guess))[work[dropped] > 2e10]
            error = error[~numpy.isnan(error)]
            print(f"{gpu:9s} {DTYPES[dtype]:5s} {error.size:6d} products of 20 GFLOP and more: median {numpy.median(error):.3f}, p90 {numpy.percentile(error, 90):.3f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Makes traces/kernels/*.json from published kernel measurements.")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--configs", type=pathlib.Path, default=pathlib.Path("configs/gpus"))
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("traces/kernels"))
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    if arguments.check:
        check(arguments.folder, arguments.configs)
    else:
        make(arguments.folder, arguments.configs, arguments.out)
