# Questions about plans, without a search.
$ helm-plan good.yaml --out $TMP/plan.yaml > $TMP/out 2>&1
$ helm-plan why-not $TMP/plan.yaml tensor=2 | sed -E 's/[0-9.]+ (us|ms|s)\b/TIME/g; s/ +TIME/ TIME/g; s/[0-9.]+ %/N %/g; s/ +[-+]N/ +N/g'
nothing was measured on cpu 'Small CPU' with 2 ranks of 1 thread: every time is a data-sheet bound that no real kernel reaches; measure with helm-profile and give the table with --cost-table
plan           data 2, tensor 1, zero 1, micro_batch 2
asked          data 1, tensor 2, micro_batch 2
why not +N %: TIME more exposed communication

                                   plan          asked   relative
step time TIME TIME +N %
tokens/s per device               46958          32081 +N %
peak memory                    2.21 MiB       1.38 MiB +N %
  of                           1.88 GiB       1.88 GiB
compute TIME TIME +N %
exposed communication TIME TIME +N %
bubble TIME TIME          =
optimizer TIME TIME +N %
launching TIME TIME +N %
$ helm-plan why-not $TMP/plan.yaml tensor=3
plan           data 2, tensor 1, zero 1, micro_batch 2
asked          data 2, tensor 3, zero 1, micro_batch 2
why not        it is not possible: it uses 6 devices, the cluster has 2
$ helm-plan why-not $TMP/plan.yaml pipeline=2,micro_batch=5
plan           data 2, tensor 1, zero 1, micro_batch 2
asked          data 1, tensor 1, pipeline 2, micro_batch 5, schedule 1f1b
why not        it is not possible: workload.global_batch 8 is not divisible by strategy.micro_batch 5 x strategy.data 1 = 5; choose a multiple of 5
$ helm-plan why-not $TMP/plan.yaml tenosr=2
--set strategy.tenosr=2: error: unknown key 'tenosr' in the strategy
  did you mean 'tensor'?
  allowed: data, tensor, sequence_parallel, context, pipeline, virtual_pipeline, expert, expert_tensor, zero, micro_batch, micro_batches, recompute, schedule, overlap, overlap_tiles, stages, head_stage, groups, fsdp
[exit 2]
$ helm-plan what-if $TMP/plan.yaml --set workload.global_batch=16 | head -3
nothing was measured on cpu 'Small CPU' with 2 ranks of 1 thread: every time is a data-sheet bound that no real kernel reaches; measure with helm-profile and give the table with --cost-table
workload.global_batch                8 -> 16

                                   plan        what if   relative
$ helm-plan what-if $TMP/plan.yaml --set strategy.data=1
error: the strategy uses 1 device, the cluster has 2
  fix: set degrees of strategy too
[exit 2]
$ helm-plan diff $TMP/plan.yaml $TMP/plan.yaml | head -1
nothing was measured on cpu 'Small CPU' with 2 ranks of 1 thread: every time is a data-sheet bound that no real kernel reaches; measure with helm-profile and give the table with --cost-table
the same decisions
$ helm-plan why-not $TMP/plan.yaml tensor=3 --json | python3 -c 'import json, sys; d = json.load(sys.stdin); print(list(d), d["possible"], d["why_not"], d["second"]["strategy"]["tensor"])'
['schema_version', 'possible', 'first', 'second', 'why_not'] False it is not possible: it uses 6 devices, the cluster has 2 3
$ helm-plan why-not $TMP/plan.yaml tensor=2 --json 2> $TMP/out | python3 -c 'import json, sys; d = json.load(sys.stdin); print(list(d), d["possible"], d["decisions"][0])'
['schema_version', 'possible', 'decisions', 'first', 'second', 'tie', 'why_not'] True {'key': 'strategy.data', 'first': '2', 'second': '1'}
$ helm-plan what-if $TMP/plan.yaml --set workload.global_batch=16 --json 2> $TMP/out | python3 -c 'import json, sys; d = json.load(sys.stdin); print(d["schema_version"], list(d), d["decisions"], d["tie"], d["first"]["prediction"]["fits"])'
1 ['schema_version', 'decisions', 'first', 'second', 'tie'] [{'key': 'workload.global_batch', 'first': '8', 'second': '16'}] False True
$ helm-plan diff $TMP/plan.yaml
helm-plan diff: error: other is required
  fix: see helm-plan diff --help
[exit 2]
$ helm-plan why-not $TMP/plan.yaml data=2 2> $TMP/out | grep 'why not'
why not        it is the plan
$ helm-plan why-not $TMP/plan.yaml tp=2
--set strategy.tp=2: error: unknown key 'tp' in the strategy
  did you mean 'tensor'?
  allowed: data, tensor, sequence_parallel, context, pipeline, virtual_pipeline, expert, expert_tensor, zero, micro_batch, micro_batches, recompute, schedule, overlap, overlap_tiles, stages, head_stage, groups, fsdp
[exit 2]
$ helm-plan what-if $TMP/plan.yaml --set software.framework=torchtitan --set model.layers=4 2> $TMP/out | grep -E '^(model|software.framework)'
model.layers                         2 -> 4
software.framework                   helm -> torchtitan
$ helm-plan what-if $TMP/plan.yaml --set cluster=h100-sxm-x64 --set cluster.gpus=4 --set workload.dtype=bf16 2> $TMP/out | grep -E '^(cluster.(gpu.name|gpus|name|nodes)|strategy)'
cluster.gpu.name                     - -> h100-sxm-80gb
cluster.gpus                         - -> 4
cluster.gpus_per_node                - -> 8
cluster.name                         local-2 -> h100-sxm-x64 with gpus 4
cluster.nodes                        - -> 8
strategy.data                        2 -> 4
$ helm-plan what-if $TMP/plan.yaml --set cluster.gpu=h1000
--set cluster.gpu=h1000: error: 'gpu' and 'cpu' exclude each other
  fix: remove one of the two
--set cluster.gpu=h1000: error: there is no gpu preset 'h1000'
  allowed: a100-pcie-40gb, a100-pcie-80gb, a100-sxm-40gb, a100-sxm-80gb, a40, a800-sxm-80gb, b200-sxm-180gb, b300-sxm-288gb, gb200-186gb, gb300-288gb, h100-pcie-80gb, h100-sxm-80gb, h100-sxm-96gb-500w, h200-sxm-141gb, h800-sxm-80gb, l40s, mi300x
  fix: give a preset's name, a file (with its ending), or an inline mapping
$TMP/plan.yaml:27:3: error: 'local' is 2 GPUs, so the cluster needs the key 'intra_node'
   27 |   name: local-2
      |   ^
  fix: add `intra_node: {kind: nvswitch, gbytes_per_s: ...}` (bandwidth per GPU and direction)
[exit 2]
$ helm-plan why-not $TMP/plan.yaml 'pipeline=2,data=1,zero=0,stages=[{layers: [0, 1]}, {layers: [1, 2]}]' 2> $TMP/out | grep asked
asked          data 1, tensor 1, pipeline 2, micro_batch 2, schedule 1f1b, stages of 1 1
                                   plan          asked   relative
$ helm-plan what-if $TMP/plan.yaml --set 'software={framework: torchtitan}' 2> $TMP/out | grep -c '^software.fsdp'
2
$ helm-plan good.yaml --set software.framework=megatron-core --set cluster=h100-sxm-x64 --set cluster.gpus=4 --set workload.dtype=bf16 --set strategy=null --out $TMP/mcore.yaml > $TMP/out 2>&1
$ helm-plan why-not $TMP/mcore.yaml pipeline=2,data=2,schedule=zb-h1 2> $TMP/out | grep -o 'but megatron cannot.*'
but megatron cannot express strategy.schedule zb-h1: its pipelines run 1f1b or interleaved-1f1b
