# What helm-profile cannot measure here.
$ helm-profile --device tpu --out $TMP/t.json
helm-profile: error: --device: tpu not in {cpu,cuda}
  fix: see helm-profile --help
[exit 2]
