# Overrides: unknown keys, values of the wrong type, no value, a key inside a preset.
$ helm-sim good.yaml --set strategy.tenosr=2
--set strategy.tenosr=2: error: unknown key 'tenosr' in the strategy
  did you mean 'tensor'?
  allowed: data, tensor, sequence_parallel, context, pipeline, virtual_pipeline, expert, expert_tensor, zero, micro_batch, micro_batches, recompute, schedule, overlap, overlap_tiles, stages, head_stage, groups, fsdp
[exit 2]
$ helm-sim good.yaml --set strategy.tensor=two --set strategy.data=2.5
--set strategy.data=2.5: error: 'data' must be a whole number, found '2.5'
--set strategy.tensor=two: error: 'tensor' must be a whole number, found 'two'
[exit 2]
$ helm-sim good.yaml --set strategy.tensor
--set strategy.tensor: error: this is not key=value
  fix: write a key of the configuration, for example --set strategy.tensor=2
[exit 2]
$ helm-sim good.yaml --set cluster.local=4
good.yaml: error: the strategy (data 2, tensor 1, micro_batch 2) uses 2 of the cluster's 4 devices
  fix: give degrees whose product is 4 (data x tensor x context x pipeline), or another number of devices
[exit 2]
$ helm-sim good.yaml --set 'strategy={data: 2'
--set strategy={data: 2:1:1: error: this '{' is not closed
    1 | {data: 2
      | ^
  fix: add the closing }
[exit 2]
