# What helm-sim does not decide, and keys that change nothing, are told.
$ helm-sim good.yaml --set strategy.overlap=auto 2>&1 | grep note
note: 'overlap: auto' is for helm-plan to decide; this is the strategy with 'overlap: none'
$ helm-sim good.yaml --set strategy.overlap_tiles=4 2>&1 | grep note
note: 'overlap_tiles' does nothing without an 'overlap' that makes tiles: async_tp, helix, lattice, bucketed
$ helm-sim good.yaml --set strategy.overlap=none --set strategy.overlap_tiles=4
--set strategy.overlap_tiles=4: error: 'overlap_tiles' 4 does nothing with 'overlap: none', which makes no tiles
  fix: remove 'overlap_tiles', or choose another overlap: async_tp, helix, lattice, bucketed
[exit 2]
$ helm-plan good.yaml --set strategy.virtual_pipeline=2 --out $TMP/plan.yaml
--set strategy.virtual_pipeline=2: error: 'virtual_pipeline' 2 needs stages: no number of them above 1 divides the devices that are left (1) and, times 2, divides the model's layers (2)
  fix: remove 'virtual_pipeline', or use another number of devices or layers
[exit 2]
