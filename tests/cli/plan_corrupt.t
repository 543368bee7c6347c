# Plans with an unknown key, without a key, cut off, with a cluster that is none.
$ helm-plan good.yaml --out $TMP/plan.yaml > /dev/null 2>&1
$ sed '/^format:/a program_hsah: 1' $TMP/plan.yaml > $TMP/a.yaml; helm-sim $TMP/a.yaml
$ sed '/^program_hash:/d' $TMP/plan.yaml > $TMP/a.yaml; helm-sim $TMP/a.yaml
$ sed '/^cluster:/,/^workload:/{/^  local:/d}' $TMP/plan.yaml > $TMP/a.yaml; helm-sim $TMP/a.yaml
$ sed '/^workload:/,$d' $TMP/plan.yaml > $TMP/a.yaml; helm-sim $TMP/a.yaml
