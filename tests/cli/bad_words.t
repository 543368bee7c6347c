# Words that are not among the choices.
$ helm-sim bad_words.yaml
bad_words.yaml:3:57: error: 'dtype' cannot be 'float32'
    3 | workload: {global_batch: 8, sequence_length: 64, dtype: float32, optimizer: adamm}
      |                                                         ^
  did you mean 'fp32'?
  allowed: fp32, bf16, fp16, fp8, mxfp8, nvfp4
bad_words.yaml:3:77: error: the optimizer cannot be 'adamm'
    3 | workload: {global_batch: 8, sequence_length: 64, dtype: float32, optimizer: adamm}
      |                                                                             ^
  did you mean 'adamw'?
  allowed: adamw, adam
bad_words.yaml:4:21: error: 'overlap' cannot be 'seriel'
    4 | strategy: {overlap: seriel}
      |                     ^
  did you mean 'serial'?
  allowed: none, serial, async_tp, helix, lattice, bucketed, strands, gradient_buckets, auto
[exit 2]
