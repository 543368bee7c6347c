# A pipeline schedule of the user's own, in PyTorch's CSV form: 1F1B of two stages and four micro-batches, in its own words.
$ printf '0F0,0F1,0B0,0F2,0B1,0F3,0B2,0B3\n,1F0,1B0,1F1,1B1,1F2,1B2,1F3,1B3\n' > $TMP/own.csv
$ helm-sim good.yaml --set "strategy={schedule: {csv: $TMP/own.csv}, micro_batch: 2}" --program $TMP/own.txt > $TMP/out 2>&1
$ helm-sim good.yaml --set 'strategy={pipeline: 2, schedule: 1f1b, micro_batch: 2}' --program $TMP/named.txt > $TMP/out 2>&1
$ cmp $TMP/own.txt $TMP/named.txt && echo the same programs
the same programs
# What is wrong is shown in the file; who waits for whom is named.
$ printf '0F0,0B0,0F1,0B1\n1F0,1F1,1B0,1B1\n' > $TMP/circle.csv
$ helm-sim good.yaml --set "strategy={schedule: $TMP/circle.csv}"
$TMP/circle.csv:1:5: error: the ranks wait for each other for ever; 0B0 (row 1) waits for 1B0, which row 2 runs behind 1F1; 1F1 (row 2) waits for 0F1, which row 1 runs behind 0B0
    1 | 0F0,0B0,0F1,0B1
      |     ^
[exit 2]
$ printf '0F0,0B0\n1F0,1X0, 1B0\n' > $TMP/word.csv
$ helm-sim good.yaml --set "strategy={schedule: $TMP/word.csv}"
$TMP/word.csv:2:5: error: '1X0' is no action of a schedule: 'X' is not known; such as 0F3, 0B3, 0I3, 0W3, 0UNSHARD or (0F3;1B0)OVERLAP_F_B
    2 | 1F0,1X0, 1B0
      |     ^
[exit 2]
$ helm-sim good.yaml --set "strategy={schedule: $TMP/missing.csv}"
--set strategy={schedule: $TMP/missing.csv}: error: the schedule '$TMP/missing.csv' does not exist
  looked for: $TMP/missing.csv
  fix: paths are relative to the file that names them
[exit 2]
$ helm-sim good.yaml --set "strategy={schedule: {file: $TMP/own.csv}}"
--set strategy={schedule: {file: $TMP/own.csv}}: error: 'schedule' needs 'csv' or 'rows'
  fix: write {csv: file}
--set strategy={schedule: {file: $TMP/own.csv}}: error: unknown key 'file' in 'schedule'
  allowed: rows, csv
[exit 2]
# It says how many stages and micro-batches there are.
$ helm-sim good.yaml --set "strategy={schedule: $TMP/own.csv, pipeline: 1}"
--set strategy={schedule: $TMP/own.csv, pipeline: 1}: error: 'schedule: csv' does not go with 'pipeline' 1
  fix: remove 'schedule', or choose a larger 'pipeline'
[exit 2]
$ helm-sim good.yaml --set "strategy={schedule: $TMP/own.csv, micro_batch: 1}"
error: strategy.schedule is for 4 micro-batches, the step has 8 (global_batch / (micro_batch x data)); choose them so that there are 4
[exit 2]
# Written and read again.
$ helm-plan good.yaml --set 'strategy={pipeline: 2, schedule: zb-h1, micro_batch: 2}' --out $TMP/plan.yaml > $TMP/out 2>&1
$ helm-plan $TMP/plan.yaml --export schedule-csv | tee $TMP/zb.csv
0F0,0F1,0I0,0W0,0F2,0I1,0W1,0F3,0I2,0W2,0I3,0W3
1F0,1I0,1F1,1I1,1W0,1F2,1I2,1W1,1F3,1I3,1W2,1W3
$ helm-plan good.yaml --set "strategy={schedule: $TMP/zb.csv, micro_batch: 2}" --out $TMP/again.yaml > $TMP/out 2>&1
$ grep -A 2 'schedule:' $TMP/again.yaml
  schedule:
    rows: ["0F0,0F1,0I0,0W0,0F2,0I1,0W1,0F3,0I2,0W2,0I3,0W3", "1F0,1I0,1F1,1I1,1W0,1F2,1I2,1W1,1F3,1I3,1W2,1W3"]
  overlap: none
$ helm-plan diff $TMP/plan.yaml $TMP/again.yaml | grep -v '/s per'
nothing was measured on cpu 'Small CPU' with 2 ranks of 1 thread: every time is a data-sheet bound that no real kernel reaches; measure with helm-profile and give the table with --cost-table
strategy.schedule                    zb-h1 -> -
strategy.schedule.rows               - -> ["0F0,0F1,0I0,0W0,0F2,0I1,0W1,0F3,0I2...

                                  first         second   relative
step time                       6.91 ms        6.91 ms          =
peak memory                    2.01 MiB       2.01 MiB          =
  of                           1.88 GiB       1.88 GiB
compute                         4.63 ms        4.63 ms          =
exposed communication          198.2 us       198.2 us          =
bubble                          1.45 ms        1.45 ms          =
optimizer                      170.2 us       170.2 us          =
launching                      469.6 us       469.6 us          =
