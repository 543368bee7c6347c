#!/usr/bin/env python3
"""Commands that are interrupted (Ctrl-C, SIGTERM): exit code 130, nothing left running, no half-written file, and what can go on goes on.

    interrupt_checks.py profile|exec|plan|candidate|written_out BIN_FOLDER
"""
import json
import os
import pathlib
import resource
import signal
import subprocess
import sys
import tempfile
import time

SOURCE = pathlib.Path(__file__).resolve().parents[2]
INTERRUPTED = 130
INFEASIBLE = 3
DEADLINE_S = 120
ENDS_WITHIN_S = 20  # of the signal; a loaded machine is slow
REACTS_WITHIN_S = 2  # helm-plan, of computing time: within a strategy, and a second for writing the best one out

MODEL = "{family: llama, layers: 2, hidden: 96, ffn: 160, heads: 8, kv_heads: 4, vocab: 256, max_positions: 512}"
# Tiny for a rank, and with enough distinct ops that measuring takes seconds.
CONFIG = f"""model: {MODEL}
cluster: {{local: 2}}
software: {{framework: helm}}
workload: {{global_batch: 8, sequence_length: 64, dtype: fp32, optimizer: adamw}}
"""
# A space of some hundred strategies, whose search takes many seconds; no single one takes more than about one.
LARGE = """model: {family: llama, layers: 32, hidden: 4096, ffn: 11008, heads: 32, kv_heads: 32, vocab: 32000, max_positions: 4096}
cluster: {gpu: a100-sxm-80gb, nodes: 32, gpus_per_node: 8, intra_node: {kind: nvswitch, gbytes_per_s: 300},
          inter_node: {nics: 8, gbits_per_s: 200, fabric: infiniband, latency_us: 5}}
software: {framework: helm}
workload: {global_batch: 512, sequence_length: 2048, dtype: bf16, optimizer: adamw}
"""
# One strategy of the same, so large that writing its step out takes seconds, in which it is interrupted. Composed of templates it is priced at
# once; with sharded gradients and gpipe neither templates nor a steady state apply, so that pricing it takes seconds too.
COMPOSED = LARGE.replace("layers: 32", "layers: 64").replace("global_batch: 512", "global_batch: 256") + """strategy:
  {data: 4, tensor: 8, pipeline: 8, sequence_parallel: true, micro_batch: 1, zero: 1, recompute: full, schedule: 1f1b}
"""
LONG = COMPOSED.replace("global_batch: 256", "global_batch: 384").replace("zero: 1", "zero: 2").replace("1f1b", "gpipe")


def start(command, folder):
    """The command in a process group of its own, as a shell starts it, so that the signal reaches its children too."""
    return subprocess.Popen([str(part) for part in command], cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            start_new_session=True, env={**os.environ, "TMPDIR": str(folder)})


def wait_for(condition, process):
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert process.poll() is None, ("ended too early", process.communicate())
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.02)


def interrupt(process, number=signal.SIGINT):
    """Ctrl-C; what the command wrote. Nothing of its group is left."""
    os.killpg(process.pid, number)
    try:
        stdout, stderr = process.communicate(timeout=ENDS_WITHIN_S)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == INTERRUPTED, (process.returncode, stdout, stderr)
    assert "interrupted" in stderr, stderr
    return stdout, stderr


def seconds_of(process):
    """Seconds that it has computed so far."""
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # utime and stime, proc(5)


def computed():
    """Seconds of computing, of all children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def interrupt_soon(process, number):
    """The same, with a bound on what it still computes: on a loaded machine the time until it ends says nothing."""
    before = computed()
    at_signal = seconds_of(process)
    stdout, stderr = interrupt(process, number)
    reaction = computed() - before - at_signal
    assert reaction < REACTS_WITHIN_S, f"computed for {reaction} s after the signal"
    return stdout, stderr


def children(process):
    return [int(pid) for pid in pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def lives(pid):
    status = pathlib.Path(f"/proc/{pid}/status")
    try:
        return "State:\tZ" not in status.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def check_nothing_left(pids):
    time.sleep(0.2)
    left = [pid for pid in pids if lives(pid)]
    assert not left, f"{left} outlived the command"


def check_files(folder, expected):
    """Files only that were wanted: no temporary ones."""
    found = {path.name for path in folder.iterdir()}
    assert found == expected, (found, expected)


def rows_of(path):  # by signature
    table = json.loads(path.read_text())
    return {**table["ops"], **table["collectives"]}


def profile(binaries, folder):
    """Interrupted in the middle, helm-profile keeps its rows; the same command goes on and measures none of them again."""
    (folder / "run.yaml").write_text(CONFIG)
    command = [binaries / "helm-profile", "run.yaml", "--out", "table.json"]
    for fixed in ("data=2", "tensor=1", "micro_batch=1"):
        command += ["--set", "strategy." + fixed]
    before = {}
    for seconds in (3, 6, 12, 24):  # into the measurements; a loaded machine needs longer to get there
        process = start(command, folder)
        wait_for(lambda: children(process), process)
        ranks = children(process)
        time.sleep(seconds)
        _, stderr = interrupt(process)
        check_nothing_left(ranks)
        check_files(folder, {"run.yaml", "table.json"})
        assert "the same command goes on where it stopped" in stderr, stderr
        before = rows_of(folder / "table.json")
        if before:
            break
    assert before, "nothing was kept"

    done = subprocess.run([str(part) for part in command], cwd=folder, capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == 0, done
    after = rows_of(folder / "table.json")
    assert len(after) > len(before), "it was interrupted after its last row"
    assert all(after[key] == row for key, row in before.items()), "a row was measured again"
    assert f"{len(after) - len(before)} of them new" in done.stdout, done.stdout


def execute(binaries, folder):
    """helm-exec stops its ranks and writes none of the files that it was asked for."""
    (folder / "run.yaml").write_text(CONFIG)
    subprocess.run([str(binaries / "helm-plan"), "run.yaml", "--set", "strategy.data=2", "--out", "plan.yaml"], cwd=folder, check=True,
                   capture_output=True)
    for number in (signal.SIGINT, signal.SIGTERM):
        process = start([binaries / "helm-exec", "plan.yaml", "--steps", 1000000, "--trace", "trace.json", "--dump-state", "dump"], folder)
        wait_for(lambda: len(children(process)) == 2, process)
        ranks = children(process)
        time.sleep(2)  # into the training
        stdout, _ = interrupt(process, number)
        assert stdout == "", stdout
        check_nothing_left(ranks)
        check_files(folder, {"run.yaml", "plan.yaml"})


def plan(binaries, folder):
    """helm-plan writes the best plan so far."""
    (folder / "run.yaml").write_text(LARGE)
    for seconds in (2, 4, 8, 16):  # into the search; a loaded machine needs longer for its first plan that fits
        process = start([binaries / "helm-plan", "run.yaml", "--out", "plan.yaml"], folder)
        time.sleep(seconds)
        stderr = interrupt_soon(process, signal.SIGINT)[1]
        if "plan.yaml holds the best plan so far" in stderr:
            break
        check_files(folder, {"run.yaml"})
    check_files(folder, {"run.yaml", "plan.yaml"})
    subprocess.run([str(binaries / "helm-sim"), "plan.yaml"], cwd=folder, check=True, capture_output=True)


def candidate(binaries, folder):
    """helm-plan stops within the one strategy that it is at, in whatever it does there; it writes nothing, since it has found nothing."""
    (folder / "run.yaml").write_text(LONG)
    command = [binaries / "helm-plan", "run.yaml", "--out", "plan.yaml"]
    for number, seconds in ((signal.SIGINT, 0.3), (signal.SIGTERM, 1), (signal.SIGINT, 1.7), (signal.SIGINT, 2.4)):
        process = start(command, folder)
        wait_for(lambda: seconds_of(process) >= seconds, process)
        stdout, stderr = interrupt_soon(process, number)
        assert stdout == "" and "interrupted before a plan was found that fits; nothing was written" in stderr, (stdout, stderr)
        check_files(folder, {"run.yaml"})

    before = computed()
    done = subprocess.run([str(part) for part in [*command, "--time-limit", "0.5"]], cwd=folder, capture_output=True, text=True)
    assert done.returncode == INFEASIBLE and "no plan was found within the time limit of 0.5 s" in done.stderr, done
    assert computed() - before < 0.5 + REACTS_WITHIN_S
    check_files(folder, {"run.yaml"})


def written_out(binaries, folder):
    """Found, and stopped while it is written out, helm-plan writes the plan without what it has not yet."""
    (folder / "run.yaml").write_text(COMPOSED)
    command = [binaries / "helm-plan", "run.yaml", "--out", "plan.yaml", "--trace", "trace.json"]
    process = start(command, folder)
    wait_for(lambda: seconds_of(process) >= 3, process)
    stderr = interrupt_soon(process, signal.SIGINT)[1]
    assert "plan.yaml is without the hash of its program, and no timeline was written: its step was not written out, there was no time left" in stderr, stderr
    check_files(folder, {"run.yaml", "plan.yaml"})
    (folder / "plan.yaml").unlink()

    before = computed()
    done = subprocess.run([str(part) for part in [*command, "--time-limit", "2"]], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0 and "no timeline was written" in done.stderr, done
    assert computed() - before < 2 + REACTS_WITHIN_S
    check_files(folder, {"run.yaml", "plan.yaml"})


def main():
    check = {"profile": profile, "exec": execute, "plan": plan, "candidate": candidate, "written_out": written_out}[sys.argv[1]]
    os.environ["HELM_CONFIG_DIR"] = str(SOURCE / "configs")
    with tempfile.TemporaryDirectory() as folder:
        check(pathlib.Path(sys.argv[2]), pathlib.Path(folder))


if __name__ == "__main__":
    main()
