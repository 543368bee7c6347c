#!/usr/bin/env python3
"""helm-profile --describe prints a cluster file: what it prints can be named by a run configuration as it is.

    describe_check.py BIN_FOLDER
"""
import os
import pathlib
import subprocess
import sys
import tempfile

from interrupt_checks import CONFIG


def run(*command, folder):
    done = subprocess.run([str(part) for part in command], cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done
    return done.stdout


def main():
    binaries = pathlib.Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        text = run(binaries / "helm-profile", "--describe", folder=folder)
        keys = [line.split(":")[0] for line in text.splitlines() if not line.startswith(("#", " "))]
        assert keys[:3] == ["name", "local", "cores"] and keys[3] in ("cpu", "gpu"), text
        has_gpu = os.path.exists("/dev/nvidiactl")
        assert has_gpu == ("# GPU" in text) and ("# no GPU" in text) != has_gpu, text
        (folder / "here.yaml").write_text(text)
        (folder / "run.yaml").write_text("\n".join("cluster: ./here.yaml" if line.startswith("cluster:") else line for line in CONFIG.splitlines()))
        plan = run(binaries / "helm-plan", "run.yaml", "--out", "plan.yaml", folder=folder)
        assert "cluster        local-" in plan, plan


if __name__ == "__main__":
    main()
