# Only measured costs are allowed, and there are none.
$ helm-sim good.yaml --require-measured
nothing was measured on cpu 'Small CPU' with 2 ranks of 1 thread: every time is a data-sheet bound that no real kernel reaches; measure with helm-profile and give the table with --cost-table
...
[exit 6]
