# A global batch that micro-batches and data-parallel ranks do not divide.
$ helm-sim batch_not_divisible.yaml
batch_not_divisible.yaml:3:26: error: 'global_batch' 7 is not divisible by 'data' 2 x 'micro_batch' 2 = 4
    3 | workload: {global_batch: 7, sequence_length: 64, dtype: fp32}
      |                          ^
  fix: choose a multiple of 4
[exit 2]
