# A pipeline that does not divide the layers: the search splits them by what they take. Who prices one strategy has to say how.
$ helm-plan uneven_stages.yaml --out $TMP/plan.yaml --export megatron 2>&1 | grep -e layout -e pipeline-model
  --pipeline-model-parallel-size 4
  --pipeline-model-parallel-layout 'Et*2|t*3|t*3|t*1L'
$ helm-plan uneven_stages.yaml --set software.framework=deepspeed --out $TMP/none.yaml 2>&1 | tail -n +2
uneven_stages.yaml: error: no feasible plan
  none of 1 strategies is possible; for example data 2, tensor 1, pipeline 4, zero 1, micro_batch 2, schedule 1f1b: error: model layers 9 is not divisible by strategy.pipeline x strategy.virtual_pipeline 4; choose degrees whose product divides 9, or say with strategy.stages how many layers each stage holds
  fix: relax what `strategy` fixes, or change the number of devices
$ helm-sim uneven_stages.yaml
uneven_stages.yaml: error: model layers 9 is not divisible by strategy.pipeline x strategy.virtual_pipeline 4; choose degrees whose product divides 9, or say with strategy.stages how many layers each stage holds
[exit 2]
$ helm-sim uneven_stages.yaml --set strategy.virtual_pipeline=2
--set strategy.virtual_pipeline=2: error: 'pipeline' 4 x 'virtual_pipeline' 2 does not divide the model's layers (9)
  fix: choose degrees whose product divides 9, or say with 'stages' how many layers each stage holds
[exit 2]
$ helm-sim uneven_stages.yaml --set 'strategy.stages=[{layers: [0, 2]}, {layers: [2, 5]}, {layers: [5, 7]}, {layers: [7, 9]}]' 2> /dev/null | head -1
strategy       data 2, tensor 1, pipeline 4, zero 1, micro_batch 2, schedule 1f1b, stages of 2 3 2 2
