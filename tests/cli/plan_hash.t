# A plan whose program hash is another than the program's: somebody edited the plan, or lowering has changed.
$ helm-plan good.yaml --out $TMP/plan.yaml > /dev/null 2>&1
$ sed -i 's|^program_hash: .*|program_hash: "0123456789abcdef"|' $TMP/plan.yaml; helm-sim $TMP/plan.yaml
nothing was measured on cpu 'Small CPU' with 2 ranks of 1 thread: every time is a data-sheet bound that no real kernel reaches; measure with helm-profile and give the table with --cost-table
error: the plan's program has hash <hash>, the plan was made for <hash>: it was edited, or made by another version of HELM
  fix: make the plan again with helm-plan, or remove 'program_hash' to run it as this version understands it
[exit 2]
