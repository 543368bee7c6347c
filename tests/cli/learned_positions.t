# A sequence longer than the model's learned positions.
$ helm-sim learned_positions.yaml
learned_positions.yaml:3:46: error: 'sequence_length' 64 is beyond the model's 32 learned positions
    3 | workload: {global_batch: 8, sequence_length: 64, dtype: fp32}
      |                                              ^
  allowed: whole numbers from 1 to 32
[exit 2]
