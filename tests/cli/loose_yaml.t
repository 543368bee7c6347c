# Numbers and booleans that lenient YAML readers guess at.
$ helm-sim loose_yaml.yaml
loose_yaml.yaml:3:26: error: 'global_batch' must be a whole number, found '010'
    3 | workload: {global_batch: 010, sequence_length: 0x40, dtype: fp32}
      |                          ^
  fix: numbers are decimal, without leading zeros
loose_yaml.yaml:3:48: error: 'sequence_length' must be a whole number, found '0x40'
    3 | workload: {global_batch: 010, sequence_length: 0x40, dtype: fp32}
      |                                                ^
  fix: write the number in decimal
loose_yaml.yaml:4:18: error: 'data' must be a whole number, found '2.0'
    4 | strategy: {data: 2.0, sequence_parallel: no}
      |                  ^
  fix: write 2
loose_yaml.yaml:4:42: error: 'sequence_parallel' must be true or false, found 'no'
    4 | strategy: {data: 2.0, sequence_parallel: no}
      |                                          ^
  allowed: true, false
  fix: write false
loose_yaml.yaml:5:24: error: 'time_limit_s' must be a number, found '.5'
    5 | search: {time_limit_s: .5}
      |                        ^
  fix: a digit must stand before and after the point
[exit 2]
