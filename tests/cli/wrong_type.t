# Words and lists where numbers and mappings belong: all at once.
$ helm-plan wrong_type.yaml
wrong_type.yaml:3:26: error: 'global_batch' must be a whole number, found 'many'
    3 | workload: {global_batch: many, sequence_length: [64], dtype: fp32}
      |                          ^
wrong_type.yaml:3:49: error: 'sequence_length' must be a whole number, found a list
    3 | workload: {global_batch: many, sequence_length: [64], dtype: fp32}
      |                                                 ^
wrong_type.yaml:4:11: error: the strategy must be a mapping (`key: value` lines), found '2'
    4 | strategy: 2
      |           ^
[exit 2]
