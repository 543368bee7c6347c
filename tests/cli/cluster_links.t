# A cluster of several GPUs and nodes without its links.
$ helm-plan good.yaml --set 'cluster={gpu: h100-sxm-80gb, nodes: 2, gpus_per_node: 8, gpus: 17}'
--set cluster={gpu: h100-sxm-80gb, nodes: 2, gpus_per_node: 8, gpus: 17}: error: 'gpus' is 17, above the 16 of 2 nodes of 8
  allowed: whole numbers from 1 to 16
--set cluster={gpu: h100-sxm-80gb, nodes: 2, gpus_per_node: 8, gpus: 17}: error: 'gpus_per_node' is 8, so the cluster needs the key 'intra_node'
  fix: add `intra_node: {kind: nvswitch, gbytes_per_s: ...}` (bandwidth per GPU and direction)
--set cluster={gpu: h100-sxm-80gb, nodes: 2, gpus_per_node: 8, gpus: 17}: error: 'nodes' is 2, so the cluster needs the key 'inter_node'
  fix: add `inter_node: {nics: ..., gbits_per_s: ..., fabric: infiniband, latency_us: ...}` (bandwidth per NIC)
[exit 2]
