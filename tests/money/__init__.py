"""Proofs that money can't go wrong (R1, R2, R5).

`day` runs customers (`stories`) at six sellers (`tills`) through real providers and the product's own tasks, and
`balance` compares what came of it with the gateways' own books. `killing` ends processes by kill -9 between any two
steps of money. Both are small in `make test` and large in `make prove`.
"""
