# An SQLite export of Nsight Systems is a measured timeline.
$ helm-sim imported.yaml --trace $TMP/predicted.json >/dev/null 2>&1
$ helm-compare $TMP/predicted.json ../../samples/nsight/report.sqlite --json 2>/dev/null | grep -A3 '"measured": {' | head -4
  "measured": {
    "title": "measured",
    "plan": "Nsight Systems",
    "device": "NVIDIA H100 80GB HBM3",
$ helm-compare ../../samples/nsight/report.sqlite ../../samples/kineto/rank0_trace.json | head -11
note: ../../samples/nsight/report.sqlite: 2 kernels have no operator: each stands for itself
note: ../../samples/nsight/report.sqlite: left out: NVTX events that are no ranges of one thread: 1
note: ../../samples/nsight/report.sqlite: left out: NVTX ranges without an end: 1
note: ../../samples/nsight/report.sqlite: left out: kernels of other processes, which have fewer: 1
note: ../../samples/nsight/report.sqlite: left out: rows of CUPTI_ACTIVITY_KIND_SYNCHRONIZATION: 2
note: ../../samples/kineto/rank0_trace.json: 3 kernels have no operator: each stands for itself
note: ../../samples/kineto/rank0_trace.json: 1 kernels began before the one before them had ended: they count from there
note: ../../samples/kineto/rank0_trace.json: left out: copies and fills on streams without kernels: 3
note: ../../samples/kineto/rank0_trace.json: left out: events of the category 'cuda_sync': 3
note: ../../samples/kineto/rank0_trace.json: left out: kernels and copies outside the profiler's steps: 1
measured 1: Nsight Systems; NVIDIA H100 80GB HBM3; 1 rank
measured 2: torch.profiler, rank 0 of 2; NVIDIA H100 80GB HBM3; 1 rank
different programs: ops are paired by operator, label, phase, layer, micro-batch and occurrence
                                measured 1    measured 2    relative
step time                         700.0 us      700.0 us      +0.0 %
peak memory                      0.000 GiB     0.000 GiB    -100.0 %
  compute                          43.5 us       67.0 us     -35.1 %
  optimizer                         6.0 us       11.0 us     -45.5 %
  exposed communication           150.0 us      150.0 us      +0.0 %
  host and idle                   500.5 us      472.0 us      +6.0 %
3 ops paired; 2 only in 'measured 1' (153.0 us); 5 only in 'measured 2' (181.5 us)


# One that is cut off; a database of something else.
$ head -c 5000 ../../samples/nsight/report.sqlite > $TMP/cut_off.sqlite; helm-compare $TMP/predicted.json $TMP/cut_off.sqlite
$TMP/cut_off.sqlite: error: database disk image is malformed
[exit 2]
$ sed 's/StringIds/StringId_/g' ../../samples/nsight/report.sqlite > $TMP/other.sqlite; helm-compare $TMP/predicted.json $TMP/other.sqlite
$TMP/other.sqlite: error: this database is no export of Nsight Systems with CUDA in it
  fix: nsys profile --trace=cuda,nvtx ..., then nsys export --type sqlite
[exit 2]
