#!/usr/bin/env python3
"""helm-exec says so when the machine did not compute as fast as when its cost table was measured: shown with a table whose rows are
made ten times shorter or longer than what the machine takes (beside other tests it may take several times as long as alone).

    pace_check.py BIN_FOLDER
"""
import json
import pathlib
import subprocess
import sys
import tempfile

from interrupt_checks import CONFIG

TIMES = ("median_us", "mean_us", "quartile_lower_us", "quartile_upper_us")


FIXED = [word for fixed in ("data=2", "tensor=1", "micro_batch=1") for word in ("--set", "strategy." + fixed)]


def run(*command, folder):
    done = subprocess.run([str(part) for part in command], cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done
    return done


def scaled(table, factor):
    for row in table["ops"].values():
        row.update({name: row[name] * factor for name in TIMES})
    return table


def execute(binaries, folder, factor):
    """The run's pace and stderr against a table whose ops take `factor` times as long as measured."""
    table = scaled(json.loads((folder / "table.json").read_text()), factor)
    (folder / "scaled.json").write_text(json.dumps(table))
    run(binaries / "helm-plan", "run.yaml", "--cost-table", "scaled.json", *FIXED, "--out", "plan.yaml", folder=folder)
    done = run(binaries / "helm-exec", "plan.yaml", "--steps", 8, "--json", folder=folder)
    return json.loads(done.stdout)["pace"], done.stderr


def main():
    binaries = pathlib.Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "run.yaml").write_text(CONFIG)
        run(binaries / "helm-profile", "run.yaml", *FIXED, "--out", "table.json", folder=folder)
        true, _ = execute(binaries, folder, 1)  # may itself be disturbed here, by other tests
        slow, stderr = execute(binaries, folder, true["compute_slowdown"] / 10)
        assert slow["disturbed"] and slow["compute_slowdown"] > 1 and slow["ops"] > 50, (true, slow)
        assert "warning: compute ops ran " in stderr and "busy with something else now; fix: run again on an idle machine" in stderr, stderr
        fast, stderr = execute(binaries, folder, 10 * true["compute_slowdown"])
        assert fast["disturbed"] and fast["compute_slowdown"] < 1, (true, fast)
        assert "busy with something else when the cost table was measured" in stderr, stderr


if __name__ == "__main__":
    main()
