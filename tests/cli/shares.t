# Data-parallel ranks on unlike nodes: one that is twice as fast has twice as much of the batch. 24 sequences for each pair of ranks, t for one
# on the faster and 2 t on the slower: equal shares take 12 x 2 t = 24 t, 16 and 8 take 16 t, so equal ones take half as long again, less
# what a step does once (reductions and optimizer).
$ helm-plan shares.yaml --out $TMP/plan.yaml 2> /dev/null | grep -E -o '^plan .*|^groups .*|micro_batch 1: .*'
plan           data 8, tensor 1, zero 1, micro_batch 1, micro_batches 16 16 16 16 8 8 8 8
groups         data-parallel ranks 0-3 on whole, 4-7 on half
micro_batch 1: +48.2 %: 361.32 ms more computation
$ grep -E '^  micro_batches:' $TMP/plan.yaml
  micro_batches: [16, 16, 16, 16, 8, 8, 8, 8]
$ helm-sim $TMP/plan.yaml 2> /dev/null | grep -E '^groups'
groups         data-parallel ranks 0-3 on whole, 4-7 on half
$ helm-plan $TMP/plan.yaml --export megatron 2>&1 | grep micro_batches
error: megatron cannot express strategy.micro_batches: its data-parallel ranks have equally many micro-batches
# The user's own numbers; equal ones are none.
$ helm-sim good.yaml --set 'strategy.micro_batches=[3, 1]' 2> /dev/null | grep -E '^strategy'
strategy       data 2, tensor 1, micro_batch 2, micro_batches 3 1
$ helm-sim good.yaml --set 'strategy.micro_batches=[2, 2]' 2> /dev/null | grep -E '^strategy'
strategy       data 2, tensor 1, micro_batch 2
$ helm-sim good.yaml --set strategy.zero=3 --set 'strategy.micro_batches=[3, 1]'
good.yaml: error: the strategy is not possible for this model
  error: strategy.micro_batches with zero 3, which communicates with every micro-batch, is not supported; allowed: zero 0, 1
[exit 2]
$ helm-sim good.yaml --set strategy.overlap=gradient_buckets --set 'strategy.micro_batches=[3, 1]'
good.yaml: error: the strategy is not possible for this model
  error: strategy.micro_batches with overlap gradient_buckets is not supported; allowed: none
[exit 2]
