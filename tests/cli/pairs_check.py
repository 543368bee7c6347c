#!/usr/bin/env python3
"""helm-profile --pairs on two ranks of this machine: rows of pairs beside the others, kept when the command runs again, and used by helm-sim.

    pairs_check.py BIN_FOLDER
"""
import json
import pathlib
import re
import subprocess
import sys
import tempfile

from interrupt_checks import CONFIG

FIELDS = ["op_runs", "collective_runs", "op_alone_us", "collective_alone_us", "op_beside_us", "collective_beside_us", "samples"]
LIMIT = 4


def run(*command, folder):
    done = subprocess.run([str(part) for part in command], cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done
    return done


def main():
    binaries = pathlib.Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "run.yaml").write_text(CONFIG)
        fixed = [word for setting in ("data=2", "tensor=1", "micro_batch=2") for word in ("--set", "strategy." + setting)]
        profile = [binaries / "helm-profile", "run.yaml", *fixed, "--rounds", "1", "--pairs", "--pairs-limit", str(LIMIT), "--out", "table.json"]
        first = run(*profile, folder=folder)
        note = re.search(r"note: (\d+) pairs of an op and a collective can run at once; (\d+) are measured", first.stderr)
        assert note and int(note[1]) > LIMIT and int(note[2]) == LIMIT, first.stderr
        table = json.loads((folder / "table.json").read_text())
        assert table["format"] == "helm-cost-table/2" and len(table["pairs"]) == LIMIT, table
        for key, row in table["pairs"].items():
            op, collective = key.split(" beside ")
            assert op in table["ops"] and collective in table["collectives"], key
            assert list(row) == FIELDS and all(value > 0 for value in row.values()), row
            assert min(row["op_runs"], row["collective_runs"]) == 1, row  # the other as often as takes as long
        again = run(*profile, folder=folder)
        assert " rows, 0 of them new" in again.stdout, again.stdout
        assert json.loads((folder / "table.json").read_text())["pairs"] == table["pairs"]
        simulated = run(binaries / "helm-sim", "run.yaml", *fixed, "--cost-table", "table.json", folder=folder)
        assert re.search(r"other kernels beside collectives within a node: measured, 4 pairs: they lose \d+ % of their rate", simulated.stderr), simulated
        assert re.search(r"modelled, since no pair of their kind was measured: matrix products .* between nodes", simulated.stderr), simulated
        text = (folder / "table.json").read_text().replace('"op_runs": 1,', '"op_runs": 0,').replace('"collective_runs": 1,', '"collective_runs": 0,')
        (folder / "broken.json").write_text(text)
        refused = subprocess.run([str(binaries / "helm-sim"), "run.yaml", *fixed, "--cost-table", "broken.json"], cwd=folder, capture_output=True, text=True, timeout=300)
        assert refused.returncode == 2, refused
        assert re.search(r"broken.json:\d+:\d+: error: '(op|collective)_runs' is 0; it must be a whole number above zero", refused.stderr), refused


if __name__ == "__main__":
    main()
