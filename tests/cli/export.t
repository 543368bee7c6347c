# A plan as the lines of trainers; what they cannot be told is refused by name.
$ helm-plan export.yaml --out $TMP/plan.yaml > $TMP/out 2>&1
$ helm-plan $TMP/plan.yaml --export megatron
# llama3-8b: data 4, tensor 2, sequence_parallel, pipeline 2, virtual_pipeline 2, zero 1, micro_batch 1, recompute selective, schedule interleaved-1f1b
# For Megatron-LM. Add what a plan does not say: data, tokenizer, schedule of the learning rate, checkpoints.
export CUDA_DEVICE_MAX_CONNECTIONS=1
HELM_ARGUMENTS=(
  --tensor-model-parallel-size 2
  --pipeline-model-parallel-size 2
  --context-parallel-size 1
  --sequence-parallel
  --num-virtual-stages-per-pipeline-rank 2
  --recompute-granularity selective
  --recompute-modules core_attn
  --use-distributed-optimizer
  --overlap-grad-reduce
  --micro-batch-size 1
  --global-batch-size 32
  --seq-length 4096
  --bf16
  --optimizer adam
  --lr 0.0003
  --adam-beta1 0.9
  --adam-beta2 0.95
  --adam-eps 1e-08
  --weight-decay 0.1
  --clip-grad 1.0
  --seed 1234
  --attention-dropout 0.0
  --hidden-dropout 0.0
  --num-layers 32
  --hidden-size 4096
  --ffn-hidden-size 14336
  --num-attention-heads 32
  --kv-channels 128
  --group-query-attention
  --num-query-groups 8
  --max-position-embeddings 8192
  --vocab-size 128256
  --make-vocab-size-divisible-by 128
  --init-method-std 0.02
  --swiglu
  --normalization RMSNorm
  --norm-epsilon 1e-05
  --disable-bias-linear
  --untie-embeddings-and-output-weights
  --position-embedding-type rope
  --rotary-base 500000.0
)
torchrun --nnodes 2 --nproc_per_node 8 --rdzv_backend c10d --rdzv_endpoint "$MASTER_ADDR:29500" pretrain_gpt.py "${HELM_ARGUMENTS[@]}"
$ helm-plan $TMP/plan.yaml --export torchtitan --export-file $TMP/job.toml
error: torchtitan cannot express strategy.zero 1: it shards the optimizer's state only together with the parameters (zero 3)
error: torchtitan cannot express strategy.recompute selective: its selective mode keeps other tensors than HELM's; allowed: none, full
[exit 2]
$ helm-plan $TMP/plan.yaml --export deepspeed
error: deepspeed cannot express strategy.pipeline 2: stages are an argument of PipelineModule in the model's code, no key of its file
error: deepspeed cannot express strategy.sequence_parallel: autotp_size splits the products alone
error: deepspeed cannot express strategy.recompute selective: the model's code calls checkpointing, no key of its file does
[exit 2]
$ helm-plan $TMP/plan.yaml --export nemo
helm-plan: error: --export: nemo not in {megatron,torchtitan,deepspeed,heiretsu,schedule-csv}
  fix: see helm-plan --help
[exit 2]
$ helm-plan export.yaml --export-file $TMP/x
helm-plan: error: --export-file requires --export
  fix: see helm-plan --help
[exit 2]
# Of a configuration: the best plan. A schedule that PyTorch does not know goes beside it.
$ helm-plan export.yaml --set 'strategy={data: 16, zero: 3, tensor: 1, pipeline: 1, micro_batch: 1, recompute: none}' --out $TMP/fsdp.yaml --export deepspeed
nothing was measured on cuda 'h100-sxm-80gb': its products and attention come from published kernel measurements, the rest from its data sheet; measure with helm-profile and give the table with --cost-table
{
  "train_batch_size": 32,
  "train_micro_batch_size_per_gpu": 1,
  "gradient_accumulation_steps": 2,
  "gradient_clipping": 1.0,
  "optimizer": {
    "type": "AdamW",
    "params": {
      "lr": 0.0003,
      "betas": [
        0.9,
        0.95
      ],
      "eps": 1e-08,
      "weight_decay": 0.1
    }
  },
  "zero_optimization": {
    "stage": 3,
    "overlap_comm": true,
    "contiguous_gradients": true,
    "reduce_scatter": true
  },
  "bf16": {
    "enabled": true
  }
}
$ helm-plan export.yaml --set 'strategy={data: 8, zero: 3, tensor: 1, pipeline: 2, stages: [{layers: [0, 16]}, {layers: [16, 32]}], schedule: zb-h1, micro_batch: 1, recompute: full}' --out $TMP/zb.yaml --export torchtitan --export-file $TMP/job.toml > $TMP/out
nothing was measured on cuda 'h100-sxm-80gb': its products and attention come from published kernel measurements, the rest from its data sheet; measure with helm-profile and give the table with --cost-table
wrote $TMP/job.toml
wrote $TMP/schedule.csv
$ grep -v module_fqns $TMP/job.toml; cat $TMP/schedule.csv
# llama3-8b: data 8, tensor 1, pipeline 2, zero 3, micro_batch 1, recompute full, schedule zb-h1, stages of 16 16
# For torchtitan v0.2.2: --job.config_file. Add what a plan does not say: data, tokenizer, steps, checkpoints.

[model]
name = "llama3"
flavor = "8B"

[optimizer]
name = "AdamW"
lr = 0.0003
beta1 = 0.9
beta2 = 0.95
eps = 1e-08
weight_decay = 0.1

[training]
local_batch_size = 4
global_batch_size = 32
seq_len = 4096
max_norm = 1.0
mixed_precision_param = "bfloat16"
mixed_precision_reduce = "float32"
seed = 1234

[parallelism]
data_parallel_replicate_degree = 1
data_parallel_shard_degree = 8
fsdp_reshard_after_forward = "always"
tensor_parallel_degree = 1
context_parallel_degree = 1
pipeline_parallel_degree = 2
pipeline_parallel_schedule = "PipelineScheduleMulti"
pipeline_parallel_schedule_csv = "schedule.csv"
pipeline_parallel_microbatch_size = 1

[activation_checkpoint]
mode = "full"
0F0,0F1,0I0,0W0,0F2,0I1,0W1,0F3,0I2,0W2,0I3,0W3
1F0,1I0,1F1,1I1,1W0,1F2,1I2,1W1,1F3,1I3,1W2,1W3
# Of a search: the best plan that the trainer can be told, unless what is fixed stands in the way. A plan that the framework's own export would refuse is not suggested to it.
$ helm-plan export.yaml --set 'strategy={pipeline: 1}' --export torchtitan --export-file $TMP/best.toml --out $TMP/best.yaml 2> /dev/null | grep -o 'next.*srun'
next           on the cluster: torchrun, mpirun or srun
$ grep -e shard_degree -e reshard $TMP/best.toml
data_parallel_shard_degree = 16
fsdp_reshard_after_forward = "always"
$ helm-plan export.yaml --set 'strategy={pipeline: 1, zero: 1}' --export torchtitan --out $TMP/none.yaml 2> /dev/null
[exit 2]
$ helm-plan export.yaml --set 'strategy={pipeline: 1, zero: 1}' --export torchtitan --out $TMP/none.yaml 2>&1 | grep error
error: torchtitan cannot express strategy.zero 1: it shards the optimizer's state only together with the parameters (zero 3)
$ helm-plan export.yaml --set software.framework=torchtitan --set 'strategy={data: 8, tensor: 2, sequence_parallel: true, pipeline: 1, zero: 1, micro_batch: 1, recompute: selective}' --out $TMP/zero1.yaml 2> /dev/null | grep -c -e --export
0
[exit 1]
