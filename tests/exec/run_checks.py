#!/usr/bin/env python3
"""helm-exec from outside: against PyTorch's autograd, under the wheel's own torchrun, and killed by hand, it or its ranks.

    run_checks.py oracle|torchrun|orphans|failures|checkpoint HELM_EXEC HELM_WRITE_PLAN
"""
import itertools
import json
import math
import os
import pathlib
import random
import signal
import struct
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


def read_safetensors(path):
    """Tensors of a file by name: dtype, shape, bytes. Written from the format's description alone, to read what HELM writes."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    assert (8 + length) % 8 == 0, f"{path}: the data are not aligned"
    header = json.loads(content[8:8 + length])
    data = content[8 + length:]
    header.pop("__metadata__", None)
    ends = sorted(tuple(entry["data_offsets"]) for entry in header.values())
    assert ends[0][0] == 0 and ends[-1][1] == len(data) and all(a[1] == b[0] for a, b in itertools.pairwise(ends)), f"{path}: holes"
    return {name: (entry["dtype"], entry["shape"], data[slice(*entry["data_offsets"])]) for name, entry in header.items()}


def read_checkpoint(folder):
    """The unsplit tensors of a checkpoint by name, put together from the pieces that its index names."""
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    files = {path.name: read_safetensors(path) for path in folder.glob("*.safetensors")}
    tensors = {}
    for name, entry in index["tensors"].items():
        shape = entry["shape"]
        strides = [math.prod(shape[d + 1:]) for d in range(len(shape))]
        values = [None] * math.prod(shape)
        for piece in entry["pieces"]:
            ranges = list(zip(piece["offset"], (o + n for o, n in zip(piece["offset"], piece["shape"]))))
            whole = piece["shape"] == shape
            stored = name if whole else f"{name}[{','.join(f'{begin}:{end}' for begin, end in ranges)}]"
            dtype, stored_shape, data = files[piece["file"]].pop(stored)
            assert dtype == "F32" and stored_shape == piece["shape"], (stored, dtype, stored_shape)
            places = itertools.product(*(range(begin, end) for begin, end in ranges))
            for place, value in zip(places, struct.unpack(f"<{len(data) // 4}f", data), strict=True):
                at = sum(i * stride for i, stride in zip(place, strides))
                assert values[at] is None, f"{name}: element {place} is in two pieces"
                values[at] = value
        assert None not in values, f"{name}: an element is in no piece"
        tensors[name] = (shape, values)
    assert not any(files.values()), f"tensors that the index does not name: {files}"
    return index, tensors


def checkpoint(helm_exec, writer, folder):
    """Killed with SIGKILL again and again at random moments and resumed, a run ends as one that was left alone, bit for bit; and what its
    last checkpoint holds is what that training ended with."""
    plan = write_plan(writer, folder, "gpt2", 1, 2, True)
    steps, checkpoints, choice = 40, folder / "checkpoints", random.Random(7)
    run([helm_exec, plan, "--steps", steps, "--dump-state", folder / "whole"])
    command = [helm_exec, plan, "--steps", steps, "--checkpoint", checkpoints, "--checkpoint-every", 1, "--checkpoint-keep", 3]
    resume = ["--resume", checkpoints]
    complete = lambda: sorted(path.name for path in checkpoints.glob("step-*"))
    kills = 0
    for _ in range(5):
        before = complete()
        if before and int(before[-1][5:]) > steps - 6:
            break
        training = subprocess.Popen([str(part) for part in command + (resume if before else [])], stdout=subprocess.DEVNULL,
                                    stderr=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(folder)})
        deadline = time.monotonic() + 120
        while complete() == before and training.poll() is None:
            assert time.monotonic() < deadline, "no checkpoint"
            time.sleep(0.02)
        time.sleep(choice.uniform(0, 0.2))
        training.send_signal(signal.SIGKILL)
        stderr = training.communicate()[1]
        assert training.returncode == -signal.SIGKILL, (training.returncode, stderr)
        kills += 1
    assert kills >= 3, "the run was too fast for the kills"
    done = run([*command, *resume, "--json", "--dump-state", folder / "resumed"])
    document = json.loads(done.stdout)
    first = document["first_step"]
    assert first > 0 and document["resumed_from"] == str(checkpoints / f"step-{first:08}"), document
    losses = {name: json.loads((folder / name / "loss.json").read_text()) for name in ("whole", "resumed")}
    assert losses["resumed"] == losses["whole"][first:], losses
    parameters = [(folder / name / "updated.safetensors").read_bytes() for name in ("whole", "resumed")]
    assert parameters[0] == parameters[1], "the parameters differ"
    assert complete() == [f"step-{step:08}" for step in range(steps - 2, steps + 1)], complete()
    assert not [path for path in checkpoints.iterdir() if path.name.startswith(".")], list(checkpoints.iterdir())

    index, tensors = read_checkpoint(checkpoints / f"step-{steps:08}")
    assert index["step"] == steps and "weight_map" not in index, index["step"]
    ended = read_safetensors(folder / "resumed" / "updated.safetensors")
    for name, (_, shape, data) in ended.items():
        assert tensors[name] == (shape, list(struct.unpack(f"<{len(data) // 4}f", data))), name
        for moment in ("moment_first", "moment_second"):
            assert tensors[f"optimizer.{moment}.{name}"][0] == shape, name
    assert len(tensors) == 3 * len(ended), sorted(tensors)
    print(f"killed {kills} times, the last time in step {first} of {steps}")


def main():
    check = {"checkpoint": checkpoint, "oracle": oracle, "torchrun": torchrun, "orphans": orphans, "failures": failures}[sys.argv[1]]
    with tempfile.TemporaryDirectory() as folder:
        check(pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]), pathlib.Path(folder))


if __name__ == "__main__":
    main()
