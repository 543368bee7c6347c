# A cost table that was measured on another device.
$ helm-sim good.yaml --cost-table table_other_device.json
nothing was measured on cpu 'Small CPU' with 2 ranks of 1 thread: every time is a data-sheet bound that no real kernel reaches; measure with helm-profile and give the table with --cost-table
table_other_device.json:1:1: error: the table was measured on cpu 'Another CPU' with 2 ranks of 1 thread, the cluster is cpu 'Small CPU' with 2 ranks of 1 thread; a table holds for its own device only: measure this one with helm-profile
[exit 2]
