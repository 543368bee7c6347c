# A GPU that does not exist, close to one that does.
$ helm-sim unknown_gpu.yaml
unknown_gpu.yaml:2:10: error: 'gpus_per_node' is 8, so the cluster needs the key 'intra_node'
    2 | cluster: {gpu: h100-smx-80gb, gpus_per_node: 8}
      |          ^
  fix: add `intra_node: {kind: nvswitch, gbytes_per_s: ...}` (bandwidth per GPU and direction)
unknown_gpu.yaml:2:16: error: there is no gpu preset 'h100-smx-80gb'
    2 | cluster: {gpu: h100-smx-80gb, gpus_per_node: 8}
      |                ^
  did you mean 'h100-sxm-80gb'?
  allowed: a100-pcie-40gb, a100-pcie-80gb, a100-sxm-40gb, a100-sxm-80gb, a40, a800-sxm-80gb, b200-sxm-180gb, b300-sxm-288gb, gb200-186gb, gb300-288gb, h100-pcie-80gb, h100-sxm-80gb, h100-sxm-96gb-500w, h200-sxm-141gb, h800-sxm-80gb, l40s, mi300x
  fix: give a preset's name, a file (with its ending), or an inline mapping
[exit 2]
