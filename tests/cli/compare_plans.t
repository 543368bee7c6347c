# Two plans against each other: other splits, pipeline stages or none, other micro-batches. Nothing needs to be said about it.
$ helm-sim good.yaml --trace $TMP/data.json > $TMP/out
$ helm-sim good.yaml --set 'strategy={data: 1, tensor: 2, micro_batch: 2}' --trace $TMP/tensor.json > $TMP/out
$ helm-sim good.yaml --set 'strategy={pipeline: 2, micro_batch: 1}' --trace $TMP/pipeline.json > $TMP/out
$ helm-sim good.yaml --set strategy.micro_batch=4 --trace $TMP/larger.json > $TMP/out
$ helm-compare $TMP/data.json $TMP/tensor.json | head -12
$ helm-compare $TMP/data.json $TMP/larger.json | head -12
$ helm-compare $TMP/data.json $TMP/pipeline.json
$ helm-compare $TMP/pipeline.json $TMP/data.json --perfetto $TMP/both.tar --html $TMP/both.html > $TMP/out
$ python3 ../../formats/check_perfetto.py $TMP/both.tar $TMP/pipeline.json $TMP/data.json
# The same one twice: no difference anywhere.
$ helm-compare $TMP/data.json $TMP/data.json | head -8

# A plan is no timeline.
$ helm-plan good.yaml --out $TMP/plan.yaml > $TMP/out
$ helm-compare $TMP/plan.yaml $TMP/data.json
