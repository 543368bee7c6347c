#!/usr/bin/env python3
"""helm-exec from outside: against PyTorch's autograd, under the wheel's own torchrun, and killed by hand, it or its ranks.

    run_checks.py oracle|torchrun|orphans|failures HELM_EXEC HELM_WRITE_PLAN
"""
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PYTHON = ROOT / ".venv/bin/python"
TORCHRUN = ROOT / ".venv/bin/torchrun"


def run(command, expect=0):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=300)
    if done.returncode != expect:
        sys.exit(f"{command}\nexit code {done.returncode}, expected {expect}\n{done.stdout}\n{done.stderr}")
    return done


def write_plan(writer, folder, model, data, tensor, sequence_parallel):
    plan = folder / f"{model}.{data}.{tensor}.yaml"
    run([writer, model, data, tensor, int(sequence_parallel), plan])
    return plan


def oracle(helm_exec, writer, folder):
    """The single-process program against PyTorch's own backward, on the same weights."""
    for model in ("llama", "gpt2", "qwen2", "qwen3", "padded"):
        plan = write_plan(writer, folder, model, 1, 1, False)
        dump = folder / model
        # --verify (of the unsplit plan against itself) only for its epsilon.
        run([helm_exec, plan, "--steps", 3, "--verify", "--dump-state", dump])
        report = run([PYTHON, ROOT / "tests/oracle/reference_model.py", dump, "--model", plan, "--epsilon", "1e-4"])
        print(model, report.stdout, sep="\n")


def torchrun(helm_exec, writer, folder):
    """Two ranks of torchrun give the losses that two ranks of helm-exec give; another number of ranks is refused."""
    plan = write_plan(writer, folder, "llama", 1, 2, True)
    dumps = {}
    for name, launcher in (("alone", []), ("torchrun", [TORCHRUN, "--no-python", "--nproc-per-node", 2])):
        dumps[name] = folder / name
        done = run([*launcher, helm_exec, plan, "--steps", 3, "--verify", "--json", "--dump-state", dumps[name]])
        document = json.loads(done.stdout)
        assert document["verify"]["steps"] == 3, document
    losses = {name: json.loads((dump / "loss.json").read_text()) for name, dump in dumps.items()}
    assert losses["alone"] == losses["torchrun"], losses
    three = [TORCHRUN, "--no-python", "--nproc-per-node", 3, helm_exec, plan]
    done = subprocess.run([str(part) for part in three], capture_output=True, text=True, timeout=300)
    assert done.returncode != 0 and "the plan is for 2 ranks" in done.stderr, done
    alone = run([helm_exec, plan, "--steps", 0], expect=2)
    assert "--steps" in alone.stderr, alone


def children(process):
    return [int(pid) for pid in pathlib.Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def lives(process):
    status = pathlib.Path(f"/proc/{process}/status")
    return status.exists() and "State:\tZ" not in status.read_text()


def start_training(parent):
    """Its two ranks, in their order, when they have had the time to ask to die with their parent and to begin to train."""
    deadline = time.monotonic() + 60
    while len(children(parent.pid)) < 2:
        assert time.monotonic() < deadline, "no ranks"
        time.sleep(0.05)
    time.sleep(2)
    return children(parent.pid)


def orphans(helm_exec, writer, folder):
    """A helm-exec that is killed takes its ranks with it."""
    plan = write_plan(writer, folder, "llama", 2, 1, False)
    parent = subprocess.Popen([str(helm_exec), str(plan), "--steps", "1000000"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              env={**os.environ, "TMPDIR": str(folder)})
    ranks = start_training(parent)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    time.sleep(1)
    left = [pid for pid in ranks if lives(pid)]
    assert not left, f"ranks {left} outlived helm-exec"


def failures(helm_exec, writer, folder):
    """A rank that is killed or stopped: exit code 5, rank and cause are named, no rank is left and no file that was asked for is there."""
    plan = write_plan(writer, folder, "llama", 2, 1, False)
    for number, cause in ((signal.SIGKILL, "was killed by signal 9 (Killed)"), (signal.SIGSTOP, "is stopped")):
        command = [helm_exec, plan, "--steps", 1000000, "--timeout", 3, "--trace", folder / "trace.json", "--dump-state", folder / "dump"]
        parent = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                  env={**os.environ, "TMPDIR": str(folder)})
        ranks = start_training(parent)
        os.kill(ranks[1], number)
        stdout, stderr = parent.communicate(timeout=120)
        assert parent.returncode == 5 and stdout == "", (parent.returncode, stdout, stderr)
        assert f"error: rank 1 {cause} while " in stderr, stderr
        left = [pid for pid in ranks if lives(pid)]
        assert not left, f"ranks {left} outlived helm-exec"
        found = [path.name for path in folder.iterdir()]
        assert found == [plan.name], found


def main():
    check = {"oracle": oracle, "torchrun": torchrun, "orphans": orphans, "failures": failures}[sys.argv[1]]
    with tempfile.TemporaryDirectory() as folder:
        check(pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]), pathlib.Path(folder))


if __name__ == "__main__":
    main()
