# What helm-profile cannot measure here.
$ helm-profile --device tpu --out $TMP/t.json
helm-profile: error: --device: tpu not in {cpu,cuda}
  fix: see helm-profile --help
[exit 2]
$ helm-profile --pairs --out $TMP/t.json
error: --pairs needs a configuration, whose plans say what runs at once
  fix: helm-profile config.yaml --pairs
[exit 2]
$ helm-profile good.yaml --pairs-limit 4 --out $TMP/t.json
helm-profile: error: --pairs-limit requires --pairs
  fix: see helm-profile --help
[exit 2]
$ helm-profile good.yaml --pairs --pairs-limit 0 --out $TMP/t.json
helm-profile: error: --pairs-limit: Value 0 not in range 1 to 100000
  fix: see helm-profile --help
[exit 2]
