# A model that no strategy fits into memory: the closest plan and what is missing. Priced without a search, it is no error.
$ helm-plan nothing_fits.yaml --out $TMP/plan.yaml
nothing was measured on cpu 'Small CPU' with 2 ranks of 1 thread: every time is a data-sheet bound that no real kernel reaches; measure with helm-profile and give the table with --cost-table
nothing_fits.yaml: error: no feasible plan
  closest: data 1, tensor 2, micro_batch 1
  memory binds: needs at least 9.22 GiB per rank, 8.98 GiB more than the 240.64 MiB it may use
  fix: parameters, gradients and optimizer state alone take at least 9.21 GiB, so smaller batches do not help: use 79 devices or more, or let
    `strategy` and --export allow to shard them over more ranks (zero, fsdp, tensor, pipeline)
[exit 3]
$ ls $TMP
$ helm-sim nothing_fits.yaml --set strategy.data=2 --json 2> /dev/null | grep -c '"fits": false'
1
