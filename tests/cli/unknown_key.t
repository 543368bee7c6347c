# A key that is not known, close to one that is.
$ helm-sim unknown_key.yaml
unknown_key.yaml:6:3: error: unknown key 'tensro' in the strategy
    6 |   tensro: 1
      |   ^
  did you mean 'tensor'?
  allowed: data, tensor, sequence_parallel, context, pipeline, virtual_pipeline, expert, expert_tensor, zero, micro_batch, micro_batches, recompute, schedule, overlap, overlap_tiles, stages, head_stage, groups, fsdp
[exit 2]
