# What helm-profile cannot measure here.
$ helm-profile no_framework.yaml --out $TMP/t.json
no_framework.yaml:1:1: error: not supported by this version: 'framework: megatron-core', the default where the cluster is not local
    1 | model: llama3-8b
      | ^
  fix: add `software: {framework: helm}`
[exit 2]
$ helm-profile --device tpu --out $TMP/t.json
helm-profile: error: --device: tpu not in {cpu,cuda}
  fix: see helm-profile --help
[exit 2]
