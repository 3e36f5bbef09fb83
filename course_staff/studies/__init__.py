"""What was measured, and can be measured again.

command         what `bench` takes; `bench`: our networks beside a usual one, `diffusers_unet`, on a processor
recipe          what each part of the training recipe is worth, at equal seconds of one core
gpu_check       what a GPU gets
small_machine   every notebook on one core with 2 GB of memory
recording       how a notebook's recorded experiments are written; `nb01`, `nb05` and `nb06`: these experiments
"""
