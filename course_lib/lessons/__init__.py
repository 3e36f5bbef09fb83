"""What one notebook needs and the library does not: the only rooms that know a notebook.

naive        01: streams of examples, in sequence and at random t, and the loop that trains on them
corruption   01 and 06: pixel flips and the cold degradations, and the two loops that undo them
hourglass    01: a small network whose parts can be left out
vae          04: the variational autoencoder that the bound starts from
reverse      04: q(x_s | x_t) where it is exact, and the bound's two derivations
"""
