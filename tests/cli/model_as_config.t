# A model's config.json where a run configuration belongs, and a model by its name on the Hub.
$ helm-plan config.json
config.json:1:19: error: this is a model's config.json, not a run configuration
    1 | {"architectures": ["LlamaForCausalLM"], "hidden_size": 4096, "model_type": "llama"}
      |                   ^
  fix: name it in a run configuration, as `model: config.json` beside `cluster` and `workload`
[exit 2]
$ helm-plan hub.yaml
hub.yaml:1:8: error: model file 'meta-llama/Llama-3.1-8B' does not exist
    1 | model: meta-llama/Llama-3.1-8B
      |        ^
  looked for: meta-llama/Llama-3.1-8B
  fix: nothing is downloaded: save the model's config.json and give its path, or give a preset's name
hub.yaml:3:11: error: the workload needs the key 'dtype'
    3 | workload: {global_batch: 8, sequence_length: 2048}
      |           ^
  allowed: fp32, bf16, fp16, fp8, mxfp8, nvfp4
  fix: add `dtype: ...`
[exit 2]
