# A cost table of a version that is not known.
$ helm-sim good.yaml --cost-table table_version.json
table_version.json:1:1: error: not a cost table of a known version: format is "helm-cost-table/9"
    1 | {"format": "helm-cost-table/9",
      | ^
  allowed: "helm-cost-table/1", "helm-cost-table/2"
  fix: write the table again with helm-profile
[exit 2]
