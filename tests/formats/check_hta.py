"""Reads a folder of Chrome traces with HolisticTraceAnalysis and compares its communication-computation overlap with RANK=PERCENT arguments."""

import sys

from hta.trace_analysis import TraceAnalysis


def main() -> int:
    folder, *expected = sys.argv[1:]
    analysis = TraceAnalysis(trace_dir=folder)
    overlap = analysis.get_comm_comp_overlap(visualize=False)
    found = dict(zip(overlap["rank"].astype(int), overlap["comp_comm_overlap_pctg"].astype(float)))
    wanted = {int(rank): float(percent) for rank, percent in (pair.split("=") for pair in expected)}
    print(f"HTA: {found}; expected: {wanted}")
    same = found.keys() == wanted.keys() and all(abs(found[rank] - percent) < 0.05 for rank, percent in wanted.items())
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
