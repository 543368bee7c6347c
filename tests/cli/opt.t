# Programs that do not parse, passes that do not exist.
$ helm-sim good.yaml --program $TMP/p.txt > /dev/null 2>&1
$ helm-opt $TMP/p.txt --check
$ helm-opt $TMP/p.txt --pass no-such-pass --check
$ helm-opt none.txt
$ helm-opt broken_program.txt
