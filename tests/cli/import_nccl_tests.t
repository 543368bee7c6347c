# Results of nccl-tests become rows of a cost table: text of several versions, JSON, several files; what is left out is said.
$ helm-profile --import ../../samples/nccl_tests/all_reduce_8.txt --out $TMP/h100.json
note: the files call the device 'NVIDIA H100 80GB HBM3'; the table calls it 'h100-sxm-80gb'
$TMP/h100.json: 3 rows, 3 of them new; cuda 'h100-sxm-80gb'
$ helm-profile --import ../../samples/nccl_tests/all_gather_8.json --import ../../samples/nccl_tests/two_nodes.log --out $TMP/h100.json
note: left out: lines that are not of nccl-tests: 1 (the first at ../../samples/nccl_tests/two_nodes.log:1)
note: left out: results of element type 'double', which no tensor of a program has: 1 (the first at ../../samples/nccl_tests/two_nodes.log:60)
note: left out: results that nccl-tests found to be wrong: 1 (the first at ../../samples/nccl_tests/two_nodes.log:28)
note: the files call the device 'NVIDIA H100 80GB HBM3'; the table calls it 'h100-sxm-80gb'
$TMP/h100.json: 6 rows, 3 of them new; cuda 'h100-sxm-80gb'
$ grep bytes= $TMP/h100.json
    "all_gather bf16 ranks=8 per_node=8 bytes=1048576": {
    "all_gather bf16 ranks=8 per_node=8 bytes=33554432": {
    "all_reduce f32 ranks=8 per_node=8 bytes=1024": {
    "all_reduce f32 ranks=8 per_node=8 bytes=1048576": {
    "all_reduce f32 ranks=8 per_node=8 bytes=1073741824": {
    "reduce_scatter bf16 ranks=16 per_node=8 bytes=1048576": {
# The configuration's cluster says what the table's device is called; then the planner finds the rows.
$ helm-profile imported.yaml --import ../../samples/nccl_tests/all_reduce_8.txt --out $TMP/preset.json
note: the files call the device 'NVIDIA H100 80GB HBM3'; the table calls it 'h100-sxm-80gb'
$TMP/preset.json: 3 rows, 3 of them new; cuda 'h100-sxm-80gb'
$ grep '"name"' $TMP/preset.json
    "name": "h100-sxm-80gb",
$ helm-sim imported.yaml --cost-table $TMP/preset.json --json 2>&1 | grep -c '"interpolated": 0\.[1-9]'
1
# Files that cannot be taken: of another device, without the test's name, of no known format, not there.
$ helm-profile --import ../../samples/nccl_tests/before_2025.txt --out $TMP/a100.json
../../samples/nccl_tests/before_2025.txt: error: this output of nccl-tests does not name its test, as those of before June 2025 do not
  fix: say which it was with --collective
[exit 2]
$ helm-profile --import ../../samples/nccl_tests/before_2025.txt --collective all_reduce --out $TMP/h100.json
note: the files call the device 'NVIDIA A100-SXM4-80GB'; the table calls it 'a100-sxm-80gb'
$TMP/h100.json: error: this table is of another device: cuda 'h100-sxm-80gb'
  these files are of: cuda 'a100-sxm-80gb'
  fix: choose another --out
[exit 2]
$ helm-profile --import ../../samples/nccl_tests/before_2025.txt --collective all_reduce --import ../../samples/nccl_tests/all_reduce_8.txt --out $TMP/two.json
error: these files were measured on two devices, 'NVIDIA A100-SXM4-80GB' and 'NVIDIA H100 80GB HBM3'; import them into two tables
[exit 2]
$ helm-profile --import good.yaml --out $TMP/none.json
good.yaml: error: this is no file that helm-profile --import knows
  known: the output of nccl-tests, the JSON of nccl-tests (-J), records of the NCCL Inspector, a trace of torch.profiler (.json, .json.gz), an SQLite export of Nsight Systems, a topology of NCCL (XML), the output of nvidia-smi topo -m
[exit 2]
$ helm-profile --import none.txt --out $TMP/none.json
none.txt: error: cannot open: No such file or directory
[exit 2]
$ helm-profile --import ../../samples/nccl_tests/before_2025.txt --collective gather --out $TMP/none.json
helm-profile: error: --collective: gather not in {all_reduce,all_gather,reduce_scatter,all_to_all,broadcast,send}
  fix: see helm-profile --help
[exit 2]
$ helm-profile good.yaml --import ../../samples/nccl_tests/all_reduce_8.txt --out $TMP/none.json
error: the configuration's cluster is a CPU, and what can be imported was measured on GPUs
[exit 2]
$ ls $TMP
h100.json
preset.json
