# LoRA: which layers, how much is trained, and what does not go with it.
$ helm-plan good.yaml --set 'model.lora={rank: 4, targets: [q_proj, v_proj]}' --out $TMP/plan.yaml | grep '^model'
nothing was measured on cpu 'Small CPU' with 2 ranks of 1 thread: every time is a data-sheet bound that no real kernel reaches; measure with helm-profile and give the table with --cost-table
model          inline, 2 layers, 0.1 M parameters, of which 0.002 M are trained (1.86 %); 8 sequences of 64 tokens a step, f32
$ helm-plan $TMP/plan.yaml --export deepspeed
error: deepspeed cannot express model.lora: its file has no adapters beside frozen weights
[exit 2]
$ helm-sim good.yaml --set 'model.lora={rank: 4, targets: [c_attn]}'
--set model.lora={rank: 4, targets: [c_attn]}: error: 'c_attn' is no linear layer in the layers of this llama model
  allowed: q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj
[exit 2]
$ helm-sim good.yaml --set 'model.lora={alpha: 4}'
--set model.lora={alpha: 4}: error: 'lora' needs the key 'rank'
  fix: add `rank: ...`
[exit 2]
$ helm-sim good.yaml --set 'model.lora={rank: 4}' --set 'model.moe={experts: 4, top_k: 2, ffn: 32}' --set workload.dtype=fp8
--set model.lora={rank: 4}: error: not supported by this version: 'lora' in a model with experts
  fix: remove 'lora'
--set workload.dtype=fp8: error: not supported by this version: 'dtype: fp8' with 'lora'
  allowed: fp32, bf16, fp16
[exit 2]
$ helm-sim good.yaml --set 'model.lora={rank: 4}' --set 'model.mla={kv_lora: 16, qk_nope: 16, qk_rope: 8, v: 16}' --set model.kv_heads=4
--set model.lora={rank: 4}: error: not supported by this version: 'lora' beside latent attention ('mla')
  fix: remove 'lora'
[exit 2]
