"""How a step is computed, never what: nothing in here knows what diffusion is.

devices    which device, which precision, what dropout draws from
stepper    one step of training: loss, backward, clip, move
gpu        data that stay on a GPU, compiling, CUDA graphs
parallel   several processes that train or sample as one
"""
