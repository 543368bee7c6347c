# What a command is to write is looked at before the work, so that no result is lost and no input overwritten.
$ cp good.yaml small_cpu.yaml $TMP; cd $TMP; helm-plan good.yaml --out good.yaml; cmp good.yaml $OLDPWD/good.yaml && echo unchanged
good.yaml: error: this is an input of the command; it would be overwritten
  fix: name another file to write
unchanged
$ helm-plan good.yaml --out $TMP
$TMP: error: this is a folder; name a file to write
[exit 2]
$ helm-plan good.yaml --out /nonexistent/plan.yaml
/nonexistent/plan.yaml: error: there is no folder /nonexistent
  fix: make it
[exit 2]
$ helm-sim good.yaml --trace /nonexistent/trace.json
/nonexistent/trace.json: error: there is no folder /nonexistent
  fix: make it
[exit 2]
$ helm-plan --set strategy.data=2 good.yaml --out /dev/null > /dev/null 2>&1
$ helm-plan good.yaml --time-limit -1
helm-plan: error: --time-limit: Value -1 not in range 0.000000 to 1000000000.000000
  fix: see helm-plan --help
[exit 2]
