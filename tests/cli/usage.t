# Arguments that do not exist, are missing or out of range.
$ helm-sim
helm-sim: error: config is required
  fix: see helm-sim --help
[exit 2]
$ helm-sim good.yaml --jsno
helm-sim: error: The following argument was not expected: --jsno
  fix: see helm-sim --help
[exit 2]
$ helm-plan good.yaml --threads 0
helm-plan: error: --threads: Value 0 not in range 1 to 1024
  fix: see helm-plan --help
[exit 2]
$ helm-compare one.json
helm-compare: error: measured is required
  fix: see helm-compare --help
[exit 2]
