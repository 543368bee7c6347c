# A trace of torch.profiler is a measured timeline: its median step, on the GPU's streams, packed or not.
$ helm-compare ../../samples/kineto/rank0_trace.json ../../samples/kineto/rank0_trace.json --json 2>/dev/null | grep -E '"(title|plan|device|step_time_s|matched_by)"'
    "title": "measured 1",
    "plan": "torch.profiler, rank 0 of 2",
    "device": "NVIDIA H100 80GB HBM3",
    "step_time_s": 0.0007,
        "step_time_s": 0.0007,
    "title": "measured 2",
    "plan": "torch.profiler, rank 0 of 2",
    "device": "NVIDIA H100 80GB HBM3",
    "step_time_s": 0.0007,
        "step_time_s": 0.0007,
        "step_time_s": 0.0007,
        "step_time_s": 0.0007,
  "matched_by": "name",
# Beside a prediction ops are paired by operator: the third mm is the third mm.
$ helm-sim imported.yaml --trace $TMP/predicted.json >/dev/null 2>&1
$ gzip -c ../../samples/kineto/rank0_trace.json > $TMP/rank0_trace.json.gz
$ helm-compare $TMP/predicted.json $TMP/rank0_trace.json.gz | head -16
note: $TMP/rank0_trace.json.gz: 3 kernels have no operator: each stands for itself
note: $TMP/rank0_trace.json.gz: 1 kernels began before the one before them had ended: they count from there
note: $TMP/rank0_trace.json.gz: left out: copies and fills on streams without kernels: 3
note: $TMP/rank0_trace.json.gz: left out: events of the category 'cuda_sync': 3
note: $TMP/rank0_trace.json.gz: left out: kernels and copies outside the profiler's steps: 1
predicted: data 8, tensor 1, micro_batch 1; h100-sxm-80gb; 1 rank
measured: torch.profiler, rank 0 of 2; NVIDIA H100 80GB HBM3; 1 rank
different programs: ops are paired by operator, label, phase, layer, micro-batch and occurrence
                                 predicted      measured    relative
step time                          5.32 ms      700.0 us    +660.3 %
peak memory                      0.096 GiB     0.000 GiB +244464.6 %
  compute                         231.9 us       67.0 us    +246.1 %
  optimizer                        68.5 us       11.0 us    +522.6 %
  exposed communication            35.2 us      150.0 us     -76.5 %
  host and idle                    4.99 ms      472.0 us    +956.5 %
predicted rests on: measured 0.0 %, interpolated 33.2 %, analytic 66.8 % of op time
4 ops paired; 267 only in 'predicted' (329.7 us); 4 only in 'measured' (37.5 us)

on the critical path                                          ops   predicted    measured difference
  compute                                                                 0 s     67.0 us   -67.0 us
  optimizer                                                            2.5 us     11.0 us    -8.5 us
# A trace of the CPU alone, one that is cut off, one that is none, a packed one that is cut off.
$ echo '{"traceEvents": [{"ph": "X", "cat": "cpu_op", "name": "aten::mm", "pid": 1, "tid": 1, "ts": 1.5, "dur": 2}]}' > $TMP/cpu.json; helm-compare $TMP/cpu.json $TMP/cpu.json
$TMP/cpu.json: error: there is no GPU kernel in this trace
  fix: profile with activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]
[exit 2]
$ head -c 3000 ../../samples/kineto/rank0_trace.json > $TMP/cut_off.json; helm-compare $TMP/predicted.json $TMP/cut_off.json
$TMP/cut_off.json: error: this is not the JSON of a trace: A string is opened, but never closed.
[exit 2]
$ echo '{"traceEvents": 3}' > $TMP/none.json; helm-compare $TMP/predicted.json $TMP/none.json
$TMP/none.json:1:17: error: this is not the JSON of a trace: The JSON element does not have the requested type.
[exit 2]
$ head -c 900 $TMP/rank0_trace.json.gz > $TMP/cut_off.json.gz; helm-compare $TMP/predicted.json $TMP/cut_off.json.gz
$TMP/cut_off.json.gz: error: the gzip data is cut off
[exit 2]
