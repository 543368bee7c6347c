# Presets that do not exist.
$ helm-sim no_such_preset.yaml
no_such_preset.yaml:1:8: error: there is no model preset 'llama3-9b'
    1 | model: llama3-9b
      |        ^
  did you mean 'llama3-8b'?
  allowed: deepseek-v2, deepseek-v2-lite, deepseek-v3, demo-15m, gemma-2b, gemma-7b, gpt-oss-120b, gpt-oss-20b, gpt2, gpt2-large, gpt2-medium, gpt2-xl, gpt3-175b, gpt3-6.7b, llama2-13b, llama2-70b, llama2-7b, llama3-70b, llama3-8b, llama3.1-405b, llama3.2-1b, llama3.2-3b, megatron-22b, mistral-7b, mixtral-8x22b, mixtral-8x7b, qwen2-0.5b, qwen2-7b, qwen2.5-14b, qwen2.5-32b, qwen2.5-72b, qwen3-0.6b, qwen3-14b, qwen3-235b-a22b, qwen3-30b-a3b, qwen3-32b, qwen3-4b, qwen3-8b, smollm2-1.7b, smollm2-135m, tinyllama-1.1b, yi-34b
  fix: give a preset's name, a file (with its ending), or an inline mapping
no_such_preset.yaml:2:10: error: there is no cluster preset 'h100-sxm-x46'
    2 | cluster: h100-sxm-x46
      |          ^
  did you mean 'h100-sxm-x64'?
  allowed: a100-pcie-80gb-x8, a100-sxm-80gb-x8, a3-mega-h100-80gb-x64, a40-x64, a800-sxm-80gb-x64, b200-sxm-x64, b200-sxm-x8, b300-sxm-x64, dgx-a100-80gb-x64, gb200-nvl72, gb300-nvl72, h100-a100-x64, h100-sxm-x64, h100-sxm-x8, h200-sxm-x64, h800-sxm-80gb-x64, jean-zay-a100-80gb-x384, l40s-x8, mi300x-x64, oci-h100-80gb-x64, p4d-a100-40gb-x64, p4de-a100-80gb-x64, p5-h100-80gb-x64, p5en-h200-x64
  fix: give a preset's name, a file (with its ending), or an inline mapping
[exit 2]
