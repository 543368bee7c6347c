"""Holds the CSV files of HELM's schedules against PyTorch: its own parser, validator and lowering to sends and receives take every one, and
where it makes a schedule of the same name, the order of actions is the same.

    check_schedules.py helm_dump_schedules
"""
import pathlib
import subprocess
import sys
import tempfile

from torch.distributed.pipelining import schedules as torch_schedules

COMPUTATION = (torch_schedules.FORWARD, torch_schedules.FULL_BACKWARD, torch_schedules.BACKWARD_INPUT, torch_schedules.BACKWARD_WEIGHT)


def runtime(ranks, stages, micro_batches):
    """PyTorch's schedule without models: what _load_csv needs of it."""
    schedule = torch_schedules._PipelineScheduleRuntime.__new__(torch_schedules._PipelineScheduleRuntime)
    schedule._stages = []
    schedule.pp_group_size = ranks
    schedule._num_stages = stages
    schedule._n_microbatches = micro_batches
    schedule.pipeline_order = {}
    return schedule


def load(path, ranks, virtual_stages, micro_batches):
    schedule = runtime(ranks, ranks * virtual_stages, micro_batches)
    schedule._load_csv(str(path))
    return schedule


def torch_rows(name, ranks, virtual_stages, micro_batches):
    """The order that PyTorch itself makes, or nothing where it has no schedule of this name."""
    if name == "interleaved-1f1b":
        make = torch_schedules.ScheduleInterleaved1F1B
        schedule = make.__new__(make)
        schedule.pp_group_size, schedule.n_local_stages, schedule._n_microbatches = ranks, virtual_stages, micro_batches
        schedule.number_of_rounds = max(1, micro_batches // ranks)
        schedule.microbatches_per_round = micro_batches // schedule.number_of_rounds
        rows = [schedule._calculate_single_rank_operations(rank) for rank in range(ranks)]
    elif name == "dualpipev":
        schedule = torch_schedules.ScheduleDualPipeV.__new__(torch_schedules.ScheduleDualPipeV)
        schedule.pp_group_size, schedule._n_microbatches = ranks, micro_batches
        rows = [schedule._calculate_single_rank_operations(rank) for rank in range(ranks)]
    elif name == "gpipe":
        schedule = torch_schedules.ScheduleGPipe.__new__(torch_schedules.ScheduleGPipe)
        schedule._num_stages, schedule._n_microbatches = ranks, micro_batches
        rows = list(schedule._get_pipeline_order().values())
    else:
        return None
    parts = [[part for action in row if action is not None for part in action.sub_actions or (action,)] for row in rows]
    return [[str(part) for part in row if part.computation_type in COMPUTATION] for row in parts]


def refuses(path, text, ranks, micro_batches):
    path.write_text(text)
    try:
        load(path, ranks, 1, micro_batches)
    except (AssertionError, RuntimeError, ValueError):
        return True
    return False


def check(path):
    name, ranks, virtual_stages, micro_batches = path.stem.rsplit("-", 3)
    sizes = int(ranks), int(virtual_stages), int(micro_batches)
    schedule = load(path, *sizes)
    computed = [[str(a) for a in row if a.computation_type in COMPUTATION] for row in schedule.pipeline_order_with_comms.values()]
    written = [line.split(",") for line in path.read_text().splitlines()]
    if computed != written:
        return f"{path.name}: PyTorch reads another order"
    moving = COMPUTATION + (torch_schedules.SEND_F, torch_schedules.RECV_F, torch_schedules.SEND_B, torch_schedules.RECV_B)
    order = {rank: [a for a in row if a.computation_type in moving] for rank, row in schedule.pipeline_order_with_comms.items()}
    stage_to_rank = schedule.stage_index_to_group_rank
    torch_schedules._simulate_comms_compute(order, lambda stage: stage_to_rank[stage], len(stage_to_rank))
    own = torch_rows(name, *sizes)
    if own is not None and own != written:
        differs = next(rank for rank in range(len(own)) if own[rank] != written[rank])
        return f"{path.name}: rank {differs}: PyTorch runs {own[differs]}, HELM {written[differs]}"
    return None


def main():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        count = int(subprocess.run([sys.argv[1], folder], check=True, capture_output=True, text=True).stdout)
        paths = sorted(folder.glob("*.csv"))
        assert len(paths) == count and count > 90, (count, len(paths))
        problems = [problem for problem in map(check, paths) if problem]
        # The check itself can fail: PyTorch refuses what is not right.
        broken = folder / "broken"
        assert not refuses(broken, "0F0,0B0\n1F0,1B0\n", 2, 1)
        assert refuses(broken, "0F0,0B0\n1F0\n", 2, 1)
        assert refuses(broken, "0F0,0B0,0F1,0B1\n1F0,1F1,1B0,1B1\n", 2, 2)
    print("\n".join(problems) or f"{count} schedules: PyTorch takes them all")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
