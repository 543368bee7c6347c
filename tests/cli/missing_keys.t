# Required keys that are missing, in several sections.
$ helm-sim missing_keys.yaml
missing_keys.yaml:1:1: error: the run configuration needs the key 'cluster'
    1 | model: {family: llama, layers: 2, hidden: 64, heads: 4, vocab: 256}
      | ^
  fix: add `cluster: ...`
missing_keys.yaml:1:8: error: the model needs the key 'ffn'
    1 | model: {family: llama, layers: 2, hidden: 64, heads: 4, vocab: 256}
      |        ^
  fix: add `ffn: ...`
missing_keys.yaml:2:11: error: the workload needs the key 'global_batch'
    2 | workload: {dtype: fp32}
      |           ^
  fix: add `global_batch: ...`
missing_keys.yaml:2:11: error: the workload needs the key 'sequence_length'
    2 | workload: {dtype: fp32}
      |           ^
  fix: add `sequence_length: ...`
[exit 2]
