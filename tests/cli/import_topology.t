# A topology gives a cluster file: NCCL's XML knows the GPU, its links and cards; what a file does not tell is null.
$ helm-profile --import ../../samples/topology/h100_node.xml
note: left out: network cards that are slower than others, or whose rate is not told: 1
# From ../../samples/topology/h100_node.xml. null: not told there; fill it in.
# With several such nodes: inter_node: {nics: 8, gbits_per_s: 400, fabric: null, latency_us: null}
gpu: h100-sxm-80gb
nodes: 1
gpus_per_node: 8
intra_node: {kind: nvswitch, gbytes_per_s: 450}
# With several such nodes:
# inter_node: {nics: 8, gbits_per_s: 400, fabric: null, latency_us: null}
$ helm-profile --import ../../samples/topology/h100_node.xml > $TMP/cluster.yaml 2>/dev/null; helm-sim imported.yaml --set cluster=$TMP/cluster.yaml 2>&1 | grep -c 'step time'
1
$ helm-profile --import ../../samples/topology/cloud.xml
note: the file does not tell which GPU it is
note: left out: elements <fpga>: 1
# From ../../samples/topology/cloud.xml. null: not told there; fill it in.
# With several such nodes: inter_node: {nics: null, gbits_per_s: null, fabric: null, latency_us: null}
gpu: null
nodes: 1
gpus_per_node: 2
intra_node: {kind: pcie, gbytes_per_s: 15.75}
# With several such nodes:
# inter_node: {nics: null, gbits_per_s: null, fabric: null, latency_us: null}
# nvidia-smi topo -m does not know the GPU.
$ helm-profile --import ../../samples/topology/topo_h100.txt
note: nvidia-smi topo -m does not tell which GPU it is; --gpu does
note: left out: network cards that no GPU reaches without the CPU: 2
# From ../../samples/topology/topo_h100.txt. null: not told there; fill it in.
# With several such nodes: inter_node: {nics: 8, gbits_per_s: null, fabric: null, latency_us: null}
gpu: null
nodes: 1
gpus_per_node: 8
intra_node: {kind: nvswitch, gbytes_per_s: null}
# With several such nodes:
# inter_node: {nics: 8, gbits_per_s: null, fabric: null, latency_us: null}
$ helm-profile --gpu h200-sxm-141gb --import ../../samples/topology/topo_h100.txt
note: left out: network cards that no GPU reaches without the CPU: 2
# From ../../samples/topology/topo_h100.txt. null: not told there; fill it in.
# With several such nodes: inter_node: {nics: 8, gbits_per_s: null, fabric: null, latency_us: null}
gpu: h200-sxm-141gb
nodes: 1
gpus_per_node: 8
intra_node: {kind: nvswitch, gbytes_per_s: 450}
# With several such nodes:
# inter_node: {nics: 8, gbits_per_s: null, fabric: null, latency_us: null}
# No GPU of this name; a file that is cut off; a topology among measurements.
$ helm-profile --gpu h201 --import ../../samples/topology/topo_h100.txt 2>&1 | head -1
--gpu:1:1: error: there is no gpu preset 'h201'
$ head -c 900 ../../samples/topology/h100_node.xml > $TMP/cut_off.xml; helm-profile --import $TMP/cut_off.xml
$TMP/cut_off.xml:10:34: error: this is not XML: Error parsing element attribute
   10 |         <gpu dev="0" sm="90" rank=
      |                                  ^
[exit 2]
$ head -4 ../../samples/topology/topo_h100.txt > $TMP/cut_off.txt; echo Legend: >> $TMP/cut_off.txt; helm-profile --import $TMP/cut_off.txt
$TMP/cut_off.txt:5: error: expected the row of GPU3, found 'Legend:'
[exit 2]
$ helm-profile --import ../../samples/topology/topo_pcie.txt --import ../../samples/nccl_tests/all_reduce_8.txt --out $TMP/none.json
../../samples/topology/topo_pcie.txt: error: a topology gives a cluster file, not rows of a table
  fix: import it alone
[exit 2]
