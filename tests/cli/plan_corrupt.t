# Plans with an unknown key, without a key, cut off, with a cluster that is none.
$ helm-plan good.yaml --out $TMP/plan.yaml > /dev/null 2>&1
$ sed '/^format:/a program_hsah: 1' $TMP/plan.yaml > $TMP/a.yaml; helm-sim $TMP/a.yaml
$TMP/a.yaml:4:1: error: unknown key 'program_hsah' in the plan
    4 | program_hsah: 1
      | ^
  did you mean 'program_hash'?
  allowed: format, model, cluster, workload, software, strategy, tolerance, memory_fraction, passes, program_hash, prediction, cost_tables, stamp
[exit 2]
$ sed '/^software:/d' $TMP/plan.yaml > $TMP/a.yaml; helm-sim $TMP/a.yaml
$TMP/a.yaml:3:1: error: the plan needs the key 'software'
    3 | format: helm-plan/1
      | ^
  fix: add `software: ...`
$TMP/a.yaml:51:3: error: unknown key 'framework' in the workload
   51 |   framework: helm
      |   ^
  allowed: kind, global_batch, sequence_length, dtype, optimizer, seed, routing
[exit 2]
$ sed '/^cluster:/,/^workload:/{/^  local:/d}' $TMP/plan.yaml > $TMP/a.yaml; helm-sim $TMP/a.yaml
cluster: error: the cluster needs the key 'gpu'
  fix: add `gpu: ...`
cluster: error: the cluster needs the key 'gpus_per_node'
  fix: add `gpus_per_node: ...`
cluster: error: unknown key 'cores' in the cluster
  allowed: gpu, nodes, gpus_per_node, gpus, nvlink_domain, intra_node, inter_node, name, local, groups
cluster: error: unknown key 'cpu' in the cluster
  did you mean 'gpu'?
  allowed: gpu, nodes, gpus_per_node, gpus, nvlink_domain, intra_node, inter_node, name, local, groups
[exit 2]
$ sed '/^workload:/,$d' $TMP/plan.yaml > $TMP/a.yaml; helm-sim $TMP/a.yaml
$TMP/a.yaml:3:1: error: the plan needs the key 'workload'
    3 | format: helm-plan/1
      | ^
  fix: add `workload: ...`
$TMP/a.yaml:3:1: error: the plan needs the key 'software'
    3 | format: helm-plan/1
      | ^
  fix: add `software: ...`
$TMP/a.yaml:3:1: error: the plan needs the key 'strategy'
    3 | format: helm-plan/1
      | ^
  fix: add `strategy: ...`
[exit 2]
