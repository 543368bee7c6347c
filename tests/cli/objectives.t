# How many GPUs: parts of the cluster, by what a GPU does in a second, by money, by a deadline; with failures and checkpoints.
$ helm-plan objectives.yaml --set search.objective=cost --out $TMP/plan.yaml 2> /dev/null | grep -E -o '^failures +one in [0-9.]+ h|cluster.*of its GPUs|GPU hours, cost|^ +[0-9]+ GPUs?|chosen$'
cluster        h100-sxm-80gb-x16, 1 of its GPUs
GPU hours, cost
failures       one in 50000.0 h
       1 GPU
chosen
       2 GPUs
       4 GPUs
       8 GPUs
      16 GPUs
$ grep -c 'gpus: 1$' $TMP/plan.yaml
1
$ helm-plan objectives.yaml --set search.objective=gpus --set search.deadline_days=0.15 --out $TMP/plan.yaml 2> /dev/null | grep -E -o '^run +.* steps|the deadline.*|^ +[0-9]+ GPUs?|chosen$|misses the deadline'
run            20 G tokens: 152588 steps
the deadline of 0.15 days is met, but not at the slow end of the band
       1 GPU
misses the deadline
       2 GPUs
misses the deadline
       4 GPUs
misses the deadline
       5 GPUs
       6 GPUs
       7 GPUs
       8 GPUs
chosen
$ helm-plan objectives.yaml --set search.objective=gpus --set search.deadline_days=0.0015 --out $TMP/none.yaml 2>&1 | grep -v -e measured -e fastest
objectives.yaml: error: no plan trains 2e+10 tokens within the deadline of 0.0015 days
  fix: more devices, a later deadline (search.deadline_days), fewer tokens (search.tokens), or a longer search
$ helm-plan objectives.yaml --set search.objective=gpus --set search.tokens=null --out $TMP/none.yaml
--set search.objective=gpus: error: 'objective: gpus' needs 'tokens': of the whole run
  fix: add 'tokens'
--set search.objective=gpus: error: 'objective: gpus' needs 'deadline_days': the fewest GPUs are wanted that meet it
  fix: add 'deadline_days'
[exit 2]
