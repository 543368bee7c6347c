# What this version cannot do yet is refused by name.
$ helm-plan not_supported.yaml
not_supported.yaml:3:18: error: not supported by this version: 'kind: serving'
    3 | workload: {kind: serving, global_batch: 8, sequence_length: 64, dtype: fp8, routing: {imbalance: 1.0}}
      |                  ^
  allowed: training
not_supported.yaml:3:72: error: not supported by this version: 'dtype: fp8'
    3 | workload: {kind: serving, global_batch: 8, sequence_length: 64, dtype: fp8, routing: {imbalance: 1.0}}
      |                                                                        ^
  allowed: fp32, bf16
not_supported.yaml:3:86: error: not supported by this version: 'routing' (mixture-of-experts models)
    3 | workload: {kind: serving, global_batch: 8, sequence_length: 64, dtype: fp8, routing: {imbalance: 1.0}}
      |                                                                                      ^
  fix: remove 'routing'
not_supported.yaml:5:13: error: not supported by this version: 'pipeline: 2' (pipeline parallelism)
    5 |   pipeline: 2
      |             ^
  allowed: 1
not_supported.yaml:6:12: error: not supported by this version: 'context: 2' (context parallelism)
    6 |   context: 2
      |            ^
  allowed: 1
not_supported.yaml:7:11: error: not supported by this version: 'expert: 4' (expert parallelism)
    7 |   expert: 4
      |           ^
  allowed: 1
not_supported.yaml:8:9: error: not supported by this version: 'zero: 1' (sharded optimizer state, gradients or parameters)
    8 |   zero: 1
      |         ^
  allowed: 0
not_supported.yaml:9:14: error: not supported by this version: 'recompute: full'
    9 |   recompute: full
      |              ^
  allowed: none
not_supported.yaml:10:13: error: not supported by this version: 'schedule: 1f1b'
   10 |   schedule: 1f1b
      |             ^
  allowed: none
not_supported.yaml:11:12: error: not supported by this version: 'overlap: helix'
   11 |   overlap: helix
      |            ^
  allowed: none, serial
not_supported.yaml:12:9: error: not supported by this version: 'fsdp' (fully sharded data parallelism)
   12 |   fsdp: {shard: 2}
      |         ^
  fix: remove 'fsdp'
not_supported.yaml:13:11: error: not supported by this version: 'stages' (uneven pipelines)
   13 |   stages: [{layers: [0, 2]}]
      |           ^
  fix: remove 'stages'
not_supported.yaml:14:23: error: not supported by this version: 'framework: megatron-core'
   14 | software: {framework: megatron-core, compile: true}
      |                       ^
  allowed: helm
not_supported.yaml:14:47: error: not supported by this version: 'compile: true'
   14 | software: {framework: megatron-core, compile: true}
      |                                               ^
  allowed: false
not_supported.yaml:15:21: error: not supported by this version: 'objective: cost'
   15 | search: {objective: cost}
      |                     ^
  allowed: step_time
[exit 2]
$ helm-plan mixed_cluster.yaml
mixed_cluster.yaml:2:11: error: not supported by this version: a cluster of several kinds of nodes ('groups')
    2 | cluster: {groups: [{name: a}, {name: b}], between: {gbits_per_s: 200, latency_us: 10}}
      |           ^
  fix: describe one kind of node
[exit 2]
$ helm-plan no_framework.yaml
no_framework.yaml:1:1: error: not supported by this version: 'framework: megatron-core', the default where the cluster is not local
    1 | model: llama3-8b
      | ^
  fix: add `software: {framework: helm}`
[exit 2]
