# Degrees whose product is not the number of devices; too few; one that divides nothing.
$ helm-sim world_size.yaml
world_size.yaml:4:29: error: the strategy uses 4 devices (data 2 x tensor 2 = 4), the cluster 'local-2' has 2
    4 | strategy: {data: 2, tensor: 2}
      |                             ^
  fix: choose degrees whose product is 2, or use another number of devices
[exit 2]
$ helm-sim good.yaml --set strategy.data=1
good.yaml: error: the strategy (data 1, tensor 1, micro_batch 2) uses 1 of the cluster's 2 devices
  fix: give degrees whose product is 2 (data x tensor x context x pipeline), or another number of devices
[exit 2]
$ helm-plan good.yaml --set strategy.data=3 --set strategy.tensor=null --set workload.global_batch=6
--set strategy.data=3: error: 'data' 3 does not divide the 2 devices of the cluster 'local-2'
  fix: choose a degree that divides 2
[exit 2]
