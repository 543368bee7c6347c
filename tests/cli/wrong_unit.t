# Numbers with units, or in another unit than the key says.
$ helm-plan wrong_unit.yaml
wrong_unit.yaml:6:46: error: 'gbytes_per_s' must be a number, found '450GB'
    6 |   intra_node: {kind: nvswitch, gbytes_per_s: 450GB}
      |                                              ^
  fix: write the number alone, without 'GB'; the unit is in the name of the key
wrong_unit.yaml:7:38: error: 'gbits_per_s' is 4e11, which is out of range
    7 |   inter_node: {nics: 8, gbits_per_s: 4e11, fabric: infiniband, latency_us: 5us}
      |                                      ^
  allowed: numbers above 0 to 100000
wrong_unit.yaml:7:76: error: 'latency_us' must be a number, found '5us'
    7 |   inter_node: {nics: 8, gbits_per_s: 4e11, fabric: infiniband, latency_us: 5us}
      |                                                                            ^
  fix: write the number alone, without 'us'; the unit is in the name of the key
wrong_unit.yaml:9:47: error: 'sequence_length' must be a whole number, found '8k'
    9 | workload: {global_batch: 16, sequence_length: 8k, dtype: bf16}
      |                                               ^
  fix: write the number in full, without 'k'
wrong_unit.yaml:10:24: error: 'step_time' must be a number, found '15%'
   10 | tolerance: {step_time: 15%}
      |                        ^
  fix: write the fraction 0.15
[exit 2]
