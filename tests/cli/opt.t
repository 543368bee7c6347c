# Programs that do not parse, passes that do not exist.
$ helm-sim good.yaml --program $TMP/p.txt > /dev/null 2>&1
$ helm-opt $TMP/p.txt --check
$ helm-opt $TMP/p.txt --pass no-such-pass --check
error: --pass no-such-pass: there is no such pass
  allowed: serial
[exit 2]
$ helm-opt none.txt
none.txt: error: cannot open: No such file or directory
[exit 2]
$ helm-opt broken_program.txt
broken_program.txt:1:1: error: expected 'helm-program/1', the only version that this HELM reads, found 'storage'
    1 | storage x y
      | ^
[exit 2]
