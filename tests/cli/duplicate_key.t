# A key twice in one mapping.
$ helm-sim duplicate_key.yaml
duplicate_key.yaml:7:3: error: key 'data' is given twice
    7 |   data: 1
      |   ^
  first given in line 5
  fix: remove one of the two
[exit 2]
