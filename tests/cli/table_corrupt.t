# Cost tables that are cut off, with a duplicate key, with fields and rows that mean nothing, not there.
$ helm-sim good.yaml --cost-table table_cut_off.json
table_cut_off.json:1:37: error: this is not JSON: syntax error while parsing object key - invalid string: missing closing quote; last read: '"dev'; expected string literal
    1 | {"format": "helm-cost-table/1", "dev
      |                                     ^
[exit 2]
$ helm-sim good.yaml --cost-table table_duplicate_key.json
table_duplicate_key.json:4:2: error: key 'ops' is given twice
    4 |  "ops": {},
      |  ^
  fix: remove one of the two
[exit 2]
$ helm-sim good.yaml --cost-table table_corrupt.json
table_corrupt.json:2:2: error: missing key 'name'
    2 |  "device": {"kind": "cpu", "nmae": "Small CPU", "threads_per_rank": 0, "ranks_per_machine": 2},
      |  ^
table_corrupt.json:2:2: error: 'threads_per_rank' is 0; it must be a whole number of at least 1
    2 |  "device": {"kind": "cpu", "nmae": "Small CPU", "threads_per_rank": 0, "ranks_per_machine": 2},
      |  ^
table_corrupt.json:2:28: error: unknown key 'nmae'; did you mean 'name'?
    2 |  "device": {"kind": "cpu", "nmae": "Small CPU", "threads_per_rank": 0, "ranks_per_machine": 2},
      |                            ^
  allowed: kind, name, threads_per_rank, ranks_per_machine, network
table_corrupt.json:3:10: error: the key of this row cannot be read: op signature:1:9: error: expected an argument, found the end of the text
    1 | aten.mm(
      |         ^
    3 |  "ops": {"aten.mm(": {"median_us": -1}},
      |          ^
table_corrupt.json:4:2: error: 'collectives' is array; it must be an object
    4 |  "collectives": [],
      |  ^
[exit 2]
$ helm-sim good.yaml --cost-table none.json
none.json: error: cannot open: No such file or directory
[exit 2]
