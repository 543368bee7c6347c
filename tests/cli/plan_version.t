# A plan of a version that is not known.
$ helm-plan good.yaml --out $TMP/plan.yaml > /dev/null 2>&1
$ sed -i 's|^format: helm-plan/1|format: helm-plan/9|' $TMP/plan.yaml; helm-sim $TMP/plan.yaml
$TMP/plan.yaml:3:9: error: the format is not known
    3 | format: helm-plan/9
      |         ^
  allowed: helm-plan/1
[exit 2]
