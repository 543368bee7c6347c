#!/usr/bin/env python3
"""helm-exec under launchers: real torchrun and Open MPI, and processes with the variables that Slurm and PMI set.

    launcher_checks.py nodes|mpirun|variables|missing HELM_EXEC HELM_WRITE_PLAN
"""
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile

from run_checks import TORCHRUN, run, write_plan

STEPS = ["--steps", 2, "--json"]


def losses_alone(helm_exec, plan):
    return json.loads(run([helm_exec, plan, *STEPS]).stdout)["losses"]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(command, **variables):
    environment = {**os.environ, **{name: str(value) for name, value in variables.items()}}
    return subprocess.Popen([str(part) for part in command], env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(processes, expect=0):
    """What each wrote on stdout and stderr."""
    outputs = []
    try:
        outputs = [process.communicate(timeout=120) for process in processes]
    finally:
        for process in processes:
            process.kill()
    codes = [process.returncode for process in processes]
    assert all(code == expect for code in codes), (codes, outputs)
    return outputs


def check_losses(outputs, expected):
    """One process, rank 0's, printed the result."""
    documents = [stdout[stdout.index("{"):] for stdout, _ in outputs if "{" in stdout]
    assert len(documents) == 1, outputs
    assert json.loads(documents[0])["losses"] == expected, (documents[0], expected)


def nodes(helm_exec, writer, folder):
    """Two torchrun agents on this machine, each a node of two ranks."""
    plan = write_plan(writer, folder, "llama", 2, 2, True)
    port = free_port()
    agents = [start([TORCHRUN, "--no-python", "--nnodes", 2, "--node-rank", node, "--nproc-per-node", 2, "--master-addr", "127.0.0.1",
                     "--master-port", port, helm_exec, plan, *STEPS]) for node in range(2)]
    check_losses(finish(agents), losses_alone(helm_exec, plan))


def mpirun(helm_exec, writer, folder):
    """Open MPI's own mpirun; HELM links no MPI."""
    plan = write_plan(writer, folder, "llama", 1, 2, True)
    as_root = {"OMPI_ALLOW_RUN_AS_ROOT": 1, "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": 1}
    launcher = ["mpirun", "--oversubscribe", "-n"]
    check_losses(finish([start([*launcher, 2, helm_exec, plan, *STEPS], **as_root)]), losses_alone(helm_exec, plan))
    [(_, stderr)] = finish([start([*launcher, 3, helm_exec, plan, *STEPS], **as_root)], expect=2)
    assert "the plan is for 2 ranks" in stderr and "Open MPI started 3" in stderr, stderr


def slurm(rank, ranks):
    return {"SLURM_PROCID": rank, "SLURM_NTASKS": ranks, "SLURM_LOCALID": rank, "SLURM_JOB_NODELIST": "node[01-04]",
            "SLURM_STEP_NODELIST": "node03", "SLURM_JOB_ID": os.getpid(), "SLURM_STEP_ID": 0}


def pmi(rank, ranks, port):
    return {"PMI_RANK": rank, "PMI_SIZE": ranks, "MPI_LOCALRANKID": rank, "MPI_LOCALNRANKS": ranks, "MASTER_PORT": port}


def variables(helm_exec, writer, folder):
    """Slurm and PMI are no more than their variables."""
    plan = write_plan(writer, folder, "llama", 2, 1, False)
    expected = losses_alone(helm_exec, plan)
    command = [helm_exec, plan, *STEPS]
    check_losses(finish([start(command, **slurm(rank, 2)) for rank in (1, 0)]), expected)
    port = free_port()
    check_losses(finish([start(command, **pmi(rank, 2, port)) for rank in (1, 0)]), expected)
    [(_, stderr)] = finish([start(command, **{**slurm(0, 2), "SLURM_LOCALID": ""})], expect=2)
    assert "environment variable SLURM_LOCALID is not set" in stderr, stderr


def missing(helm_exec, writer, folder):
    """Who never arrives is named, within the time-out, and nothing is left listening."""
    plan = write_plan(writer, folder, "llama", 4, 1, False)
    command = [helm_exec, plan, *STEPS, "--timeout", 2]
    for _, stderr in finish([start(command, **slurm(rank, 4)) for rank in (0, 2)], expect=5):
        assert "of 4 ranks these never arrived at 127.0.0.1:" in stderr and "within 2 s (--timeout): 1, 3\n" in stderr, stderr
    [(_, stderr)] = finish([start(command, **slurm(1, 4))], expect=5)
    assert "rank 1 cannot reach 127.0.0.1:" in stderr and "where rank 0 of 4 is to be" in stderr, stderr


def main():
    check = {"nodes": nodes, "mpirun": mpirun, "variables": variables, "missing": missing}[sys.argv[1]]
    with tempfile.TemporaryDirectory() as folder:
        check(pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]), pathlib.Path(folder))


if __name__ == "__main__":
    main()
