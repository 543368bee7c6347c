# Plans for a GPU are made anywhere; measuring and running want the GPU. Nothing is written. (On a machine with GPUs these say otherwise.)
$ helm-plan ../../../configs/runs/h200/qwen3-8b.yaml --out $TMP/plan.yaml > $TMP/out.txt 2>&1; helm-exec $TMP/plan.yaml --trace $TMP/trace.json
$TMP/plan.yaml: error: the plan needs 1 GPU, this machine has 0 that can be used
fix: run it on a machine with an NVIDIA driver and 1 GPU
[exit 6]
$ helm-profile ../../../configs/runs/h200/qwen3-8b.yaml --out $TMP/table.json
../../../configs/runs/h200/qwen3-8b.yaml: error: the configuration is for the GPU 'h200-sxm-141gb' (NVIDIA H200), which this machine does not have
  found: no usable NVIDIA GPU
  fix: run helm-profile on a machine with that GPU
[exit 6]
$ helm-profile --device cuda --out $TMP/table.json
error: --device cuda: this machine has no usable GPU
  found: no NVIDIA driver, or a driver without a device
  fix: run on a machine with an NVIDIA GPU, or use --device cpu
[exit 6]
$ ls $TMP
out.txt
plan.yaml
