#!/usr/bin/env python3
"""A bundle (scripts/bundle) that was moved elsewhere plans, runs and verifies against another torch than the one beside the build.

    bundle_check.py BUILD_FOLDER TORCH_FOLDER
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

from interrupt_checks import CONFIG

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
GLIBC_NEWEST = (2, 36)  # of Debian 12


def run(*command, expect=0, **options):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=300, **options)
    assert done.returncode == expect, done
    return done


def check_self_contained(folder):
    """No absolute run path, and no newer C library than is promised."""
    programs = sorted((folder / "libexec").iterdir())
    assert {"helm-plan", "helm-exec", "libhelm_runtime_cuda.so"} <= {program.name for program in programs}, programs
    for program in programs:
        dynamic = run("readelf", "-d", program).stdout
        paths = re.findall(r"R(?:UN)?PATH\).*\[(.*)\]", dynamic)
        assert paths == ["$ORIGIN/../lib"], (program, paths)
        needed = [tuple(map(int, version.split("."))) for version in re.findall(r"GLIBC_([0-9.]+)", run("objdump", "-T", program).stdout)]
        assert max(needed)[:2] <= GLIBC_NEWEST, (program, max(needed))


def main():
    build, torch = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]).resolve()
    with tempfile.TemporaryDirectory() as name:
        made, moved, work = (pathlib.Path(name) / part for part in ("made", "some where/moved", "work"))
        run(ROOT / "scripts/bundle", "--build", build, made)
        moved.parent.mkdir()
        made.rename(moved)
        check_self_contained(moved)

        work.mkdir()
        (work / "run.yaml").write_text(CONFIG)
        elsewhere = pathlib.Path(name) / "torch"  # the other machine's: a path that no file of the build has heard of
        elsewhere.symlink_to(torch)
        environment = {"PATH": os.environ["PATH"], "HOME": name, "HELM_TORCH_DIR": str(elsewhere)}
        options = {"cwd": work, "env": environment}
        run(moved / "bin/helm-plan", "run.yaml", "--set", "model=demo-15m", "--out", "demo.yaml", **options)  # presets come along
        run(moved / "bin/helm-plan", "run.yaml", "--set", "strategy.tensor=2", "--out", "plan.yaml", **options)
        done = run(moved / "bin/helm-exec", "plan.yaml", "--steps", 2, "--verify", **options)
        assert "verify         passed" in done.stdout, done.stdout

        environment["HELM_TORCH_DIR"] = str(work)
        done = run(moved / "bin/helm-exec", "plan.yaml", expect=6, **options)
        assert f"helm-exec: error: there is no torch at '{work}' (HELM_TORCH_DIR)\nfix: pip install torch==" in done.stderr, done.stderr
        (work / "lib").mkdir()
        (work / "lib/libtorch_cpu.so").touch()
        (work / "version.py").write_text("__version__ = '2.7.1+cu126'\n")
        done = run(moved / "bin/helm-exec", "plan.yaml", expect=6, **options)
        assert "is version 2.7.1+cu126; HELM needs 2.11" in done.stderr, done.stderr


if __name__ == "__main__":
    main()
