# A tensor degree that divides neither heads nor ffn.
$ helm-sim heads_not_divisible.yaml
heads_not_divisible.yaml:4:20: error: 'tensor' 2 does not divide the model's attention heads (5)
    4 | strategy: {tensor: 2}
      |                    ^
  fix: choose a degree that divides 5
heads_not_divisible.yaml:4:20: error: 'tensor' 2 does not divide the model's key-value heads (5)
    4 | strategy: {tensor: 2}
      |                    ^
  fix: choose a degree that divides 5
heads_not_divisible.yaml:4:20: error: 'tensor' 2 does not divide the model's ffn size (97)
    4 | strategy: {tensor: 2}
      |                    ^
  fix: choose a degree that divides 97
[exit 2]
