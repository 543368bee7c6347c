# Programs that do not parse, passes that do not exist.
$ helm-sim good.yaml --program $TMP/p.txt > /dev/null 2>&1
$ helm-opt $TMP/p.txt --check
$ helm-opt $TMP/p.txt --pass no-such-pass --check
error: --pass no-such-pass: there is no such pass
  allowed: serial, tile, bucket, early_starts, round_robin, lattice, strands, gradient_buckets, forward_only
[exit 2]
# Tiles of the batch in turn; a refusal names the reason.
$ helm-opt $TMP/p.txt --pass tile=2 --pass round_robin --hash
<hash>
$ helm-opt $TMP/p.txt --pass tile=3 --hash
error: tile: input 'labels.0' has 2 sequences, which 3 tiles do not divide
  fix: a micro_batch that is a multiple of 3, or fewer tiles
[exit 2]
$ helm-opt $TMP/p.txt --pass lattice --hash
error: --pass lattice: it needs to know how long each op takes
  fix: give the run configuration of the program: helm-opt --config FILE
[exit 2]
$ helm-opt none.txt
none.txt: error: cannot open: No such file or directory
[exit 2]
$ helm-opt broken_program.txt
broken_program.txt:1:1: error: expected 'helm-program/1', the only version that this HELM reads, found 'storage'
    1 | storage x y
      | ^
[exit 2]
