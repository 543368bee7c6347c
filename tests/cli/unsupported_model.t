# A Hugging Face model of a type that is not supported.
$ helm-sim unsupported_model.yaml
mamba.json:3:17: error: unsupported model_type 'mamba'
    3 |   "model_type": "mamba",
      |                 ^
  supported: llama, mistral, qwen2, qwen3, gemma, gpt2, mixtral, qwen3_moe, deepseek_v2, deepseek_v3, gpt_oss
  fix: describe the model inline (family: gpt, llama or moe) if it is one of these in disguise
[exit 2]
