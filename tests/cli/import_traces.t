# Collectives of a run, as its ranks saw them: what the rank saw that came last. The records of NCCL's Inspector tell neither element type nor device.
$ helm-profile imported.yaml --dtype bf16 --import ../../samples/nccl_inspector/rank0.log --import ../../samples/nccl_inspector/rank1.log --import ../../samples/nccl_inspector/rank2.log --import ../../samples/nccl_inspector/rank3.log --out $TMP/inspector.json
note: left out: lines that are no records of the NCCL Inspector: 1 (the first at ../../samples/nccl_inspector/rank0.log:7)
note: left out: messages (an all-to-all is made of them, so they do not stand alone): 1 (the first at ../../samples/nccl_inspector/rank0.log:5)
note: left out: records of Reduce, a collective that no program has: 1 (the first at ../../samples/nccl_inspector/rank0.log:6)
note: left out: records whose time was not taken by the GPU: 1 (the first at ../../samples/nccl_inspector/rank0.log:4)
$TMP/inspector.json: 2 rows, 2 of them new; cuda 'h100-sxm-80gb'
$ grep -E 'bytes=|median|samples' $TMP/inspector.json
    "all_reduce bf16 ranks=2 per_node=2 bytes=1048576": {
      "median_us": 41.0,
      "samples": 4,
    "reduce_scatter bf16 ranks=2 per_node=1 groups=2 bytes=2097152": {
      "median_us": 120.0,
      "samples": 2,
      "../../samples/nccl_inspector/rank0.log": "<hash>",
      "../../samples/nccl_inspector/rank1.log": "<hash>",
      "../../samples/nccl_inspector/rank2.log": "<hash>",
      "../../samples/nccl_inspector/rank3.log": "<hash>"
$ helm-profile --import ../../samples/nccl_inspector/rank1.log --out $TMP/none.json
error: the NCCL Inspector counts bytes and does not tell their element type
  fix: say with --dtype which it was
[exit 2]
$ helm-profile --dtype bf16 --import ../../samples/nccl_inspector/rank1.log --out $TMP/none.json
note: 3 of 3 collectives were recorded by some of their ranks only: their times may include waiting for the others; import the files of all ranks together
error: these files do not name the device
  fix: name it with --gpu, or give a run configuration, whose cluster does
[exit 2]
# Traces of torch.profiler name the device, and not which ranks share a node. Their matrix products become rows too.
$ helm-profile imported.yaml --import ../../samples/kineto/rank0_trace.json --import ../../samples/kineto/rank1_trace.json --out $TMP/kineto.json
note: left out: events of the category 'cuda_sync': 6
note: the files call the device 'NVIDIA H100 80GB HBM3'; the table calls it 'h100-sxm-80gb'
$TMP/kineto.json: 17 rows, 17 of them new; cuda 'h100-sxm-80gb'
$ grep -E '(aten|all_reduce).*{' $TMP/kineto.json
    "aten.addmm(@f32[128], @f32[32,64], @f32[64,128]{1,64})": {
    "aten.addmm(@f32[128], @f32[32,64], f32[64,128]{1,64})": {
    "aten.addmm(@f32[128], f32[32,64], @f32[64,128]{1,64})": {
    "aten.addmm(@f32[128], f32[32,64], f32[64,128]{1,64})": {
    "aten.addmm(f32[128], @f32[32,64], @f32[64,128]{1,64})": {
    "aten.addmm(f32[128], @f32[32,64], f32[64,128]{1,64})": {
    "aten.addmm(f32[128], f32[32,64], @f32[64,128]{1,64})": {
    "aten.addmm(f32[128], f32[32,64], f32[64,128]{1,64})": {
    "aten.mm(@f32[128,32]{1,128}, @f32[32,64])": {
    "aten.mm(@f32[128,32]{1,128}, f32[32,64])": {
    "aten.mm(@f32[32,128], @f32[128,64])": {
    "aten.mm(@f32[32,128], f32[128,64])": {
    "aten.mm(f32[128,32]{1,128}, @f32[32,64])": {
    "aten.mm(f32[128,32]{1,128}, f32[32,64])": {
    "aten.mm(f32[32,128], @f32[128,64])": {
    "aten.mm(f32[32,128], f32[128,64])": {
    "all_reduce f32 ranks=2 per_node=2 bytes=32768": {
$ helm-profile --import ../../samples/kineto/rank0_trace.json --out $TMP/none.json
error: a trace of torch.profiler does not tell which ranks share a node
  fix: give a run configuration too, whose cluster says how many GPUs a node has
[exit 2]
$ echo '{"traceEvents": []}' > $TMP/empty.json; helm-profile imported.yaml --import $TMP/empty.json --out $TMP/none.json
$TMP/empty.json: error: nothing in this file can become a row of a cost table
[exit 2]
# Nsight Systems tells neither shapes nor sizes.
$ helm-profile imported.yaml --import ../../samples/nsight/report.sqlite --out $TMP/none.json
../../samples/nsight/report.sqlite: error: an export of Nsight Systems tells neither shapes nor message sizes, so it gives no rows
  fix: compare it as a timeline with helm-compare
[exit 2]
$ ls $TMP
empty.json
inspector.json
kineto.json
