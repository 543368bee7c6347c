# Two plans against each other: other splits, pipeline stages or none, other micro-batches. Nothing needs to be said about it.
$ helm-sim good.yaml --trace $TMP/data.json > $TMP/out 2>&1
$ helm-sim good.yaml --set 'strategy={data: 1, tensor: 2, micro_batch: 2}' --trace $TMP/tensor.json > $TMP/out 2>&1
$ helm-sim good.yaml --set 'strategy={pipeline: 2, micro_batch: 1}' --trace $TMP/pipeline.json > $TMP/out 2>&1
$ helm-sim good.yaml --set strategy.micro_batch=4 --trace $TMP/larger.json > $TMP/out 2>&1
$ helm-compare $TMP/data.json $TMP/tensor.json | head -4
predicted 1: data 2, tensor 1, micro_batch 2; Small CPU; 1 rank
predicted 2: data 1, tensor 2, micro_batch 2; Small CPU; 1 rank
different programs: ops are paired by operator, label, phase, layer, micro-batch and occurrence
                               predicted 1   predicted 2    relative
$ helm-compare $TMP/data.json $TMP/larger.json | head -4
predicted 1: data 2, tensor 1, micro_batch 2; Small CPU; 1 rank
predicted 2: data 2, tensor 1, micro_batch 4; Small CPU; 1 rank
different programs: ops are paired by operator, label, phase, layer, micro-batch and occurrence
                               predicted 1   predicted 2    relative
$ helm-compare $TMP/data.json $TMP/pipeline.json
predicted 1: data 2, tensor 1, micro_batch 2; Small CPU; 1 rank
predicted 2: data 1, tensor 1, pipeline 2, micro_batch 1, schedule 1f1b; Small CPU; 2 ranks
different programs: ops are paired by operator, label, phase, layer, micro-batch and occurrence
                               predicted 1   predicted 2    relative
...
stages, predicted 1/predicted 2
stage          ranks       step time         compute   exposed comm.          bubble     peak memory
...
ranks, predicted 1/predicted 2
rank           stage       step time         compute   exposed comm.          bubble     peak memory
...
'predicted 1' has 1 of 2 ranks, the first stands for the others
...
# The archive, read by a program that shares no code with HELM.
$ helm-compare $TMP/pipeline.json $TMP/data.json --perfetto $TMP/both.tar --html $TMP/both.html > $TMP/out
wrote $TMP/both.html
wrote $TMP/both.tar
$ python3 ../../formats/check_perfetto.py $TMP/both.tar $TMP/pipeline.json $TMP/data.json > $TMP/out && echo the traces hold the timelines
the traces hold the timelines
# The same one twice: no difference anywhere.
$ helm-compare $TMP/data.json $TMP/data.json | sed -n '3,4s/[0-9.]* ms/TIME/gp'
step time                          TIME       TIME      +0.0 %
# A plan is no timeline.
$ helm-plan good.yaml --out $TMP/plan.yaml > $TMP/out 2>&1
$ helm-compare $TMP/plan.yaml $TMP/data.json
$TMP/plan.yaml: error: this is a plan, not a timeline
  fix: write its timeline with helm-sim $TMP/plan.yaml --trace FILE and compare that
[exit 2]
# A file for each rank, as HTA wants them.
$ helm-sim good.yaml --set 'strategy={pipeline: 2, micro_batch: 1}' --chrome-trace $TMP/hta/ > $TMP/out 2>&1; ls $TMP/hta
rank0_trace.json
rank1_trace.json
