# Model, cluster and cost table files that do not exist: all at once.
$ helm-sim missing_files.yaml
missing_files.yaml:1:8: error: model file 'models/none.json' does not exist
    1 | model: models/none.json
      |        ^
  looked for: models/none.json
  fix: paths are relative to the file that names them
missing_files.yaml:2:10: error: cluster file 'none.yaml' does not exist
    2 | cluster: none.yaml
      |          ^
  looked for: none.yaml
  fix: paths are relative to the file that names them
missing_files.yaml:3:15: error: cost table 'none.json' does not exist
    3 | cost_tables: [none.json]
      |               ^
  looked for: none.json
  fix: measure it with helm-profile; paths are relative to the file that names them
[exit 2]
