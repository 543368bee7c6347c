# Sequence parallelism without tensor parallelism.
$ helm-sim sequence_parallel.yaml
sequence_parallel.yaml:4:42: error: 'sequence_parallel: true' needs 'tensor' above 1
    4 | strategy: {tensor: 1, sequence_parallel: true}
      |                                          ^
  fix: remove 'sequence_parallel', or choose a larger 'tensor'
[exit 2]
