# What this version cannot do yet is refused by name.
$ helm-plan not_supported.yaml
not_supported.yaml:3:18: error: not supported by this version: 'kind: serving'
    3 | workload: {kind: serving, global_batch: 8, sequence_length: 64, dtype: fp8, routing: {imbalance: 1.0}}
      |                  ^
  allowed: training, prefill
not_supported.yaml:11:12: error: not supported by this version: 'overlap' by kind of parallelism
   11 |   overlap: {tensor: lattice}
      |            ^
  allowed: none, serial, async_tp, helix, lattice, bucketed, strands, gradient_buckets, auto
not_supported.yaml:15:21: error: 'objective: cost' needs 'price_per_gpu_hour': what a GPU costs
   15 | search: {objective: cost}
      |                     ^
  fix: add 'price_per_gpu_hour'
[exit 2]
