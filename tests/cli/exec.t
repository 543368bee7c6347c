# Plans that helm-exec cannot run here: another world size than torchrun's, no such file, no such data.
$ helm-exec none.yaml
none.yaml: error: cannot open: No such file or directory
[exit 2]
$ helm-plan good.yaml --out $TMP/plan.yaml > /dev/null 2>&1
$ helm-exec $TMP/plan.yaml --data $TMP/none --steps 1
$TMP/none: error: no such file or folder
[exit 2]
$ RANK=0 WORLD_SIZE=3 MASTER_ADDR=127.0.0.1 MASTER_PORT=1 helm-exec $TMP/plan.yaml --steps 1
$TMP/plan.yaml: error: the plan is for 2 ranks (data 2, tensor 1, zero 1, micro_batch 2), but torchrun started 3
fix: start 2, for example torchrun --nproc-per-node 2 on one machine
[exit 2]
$ helm-plan groups.yaml --set strategy.data=16 --set strategy.micro_batch=1 --set strategy.zero=1 --out $TMP/groups.yaml > /dev/null 2>&1; helm-exec $TMP/groups.yaml --steps 1
$TMP/groups.yaml: error: not supported by this version: to run a plan for a cluster of several kinds of nodes; helm-sim prices it
fix: make a plan for one kind of node
[exit 2]
$ helm-exec good.yaml
good.yaml:3:1: error: this is a run configuration, not a plan
    3 | model: {family: llama, layers: 2, hidden: 64, ffn: 96, heads: 4, kv_heads: 2, vocab: 256, max_positions: 512}
      | ^
  fix: helm-plan makes a plan of it, helm-sim prices it as it is
[exit 2]
$ helm-exec $TMP/plan.yaml --cuda-graph --steps 8
$TMP/plan.yaml: error: --cuda-graph is for plans that run on a GPU, and this one runs on a CPU
fix: leave it out
[exit 2]
$ helm-exec $TMP/plan.yaml --memory-snapshot $TMP/snapshot.pickle --steps 8
$TMP/plan.yaml: error: --memory-snapshot is for plans that run on a GPU, and this one runs on a CPU
fix: leave it out
[exit 2]
$ helm-exec $TMP/plan.yaml --resume $TMP --steps 2
$TMP: error: there is no complete checkpoint in this folder (a folder step-00000001 with a file model.safetensors.index.json)
fix: leave out --resume to begin with the first step
[exit 2]
$ helm-exec $TMP/plan.yaml --steps 2 --resume ""
helm-exec: error: --resume: it is empty: give a folder, or leave the option out
  fix: see helm-exec --help
[exit 2]
$ helm-exec $TMP/plan.yaml --steps 2 --checkpoint /dev/null/there
/dev/null/there: error: cannot make this folder: Not a directory
[exit 2]
$ helm-exec $TMP/plan.yaml --checkpoint-every 2 > /dev/null 2>&1
[exit 2]
