# Where the model as HELM runs it differs from the published one is said beside the numbers.
$ helm-sim good.yaml --set 'model.notes=[no windows, no sinks, no biases, no limit]' 2> $TMP/out | grep differs
model differs  no windows
model differs  no sinks
model differs  no biases
model differs  no limit
$ helm-plan good.yaml --set 'model.notes=[no windows, no sinks, no biases, no limit]' --out $TMP/plan.yaml 2> $TMP/out | grep differs
model differs  no windows
model differs  no sinks
model differs  in 2 ways more: --explain names them
$ helm-sim good.yaml --set 'model.notes=[no windows]' --json 2> $TMP/out | grep -A2 differs
  "model_differs": [
    "no windows"
  ]
