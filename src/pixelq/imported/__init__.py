"""Networks that other libraries trained, as policies of pixelq.

A file is read (`sb3_file`, `cleanrl_file`), its network recognised by names and shapes (`sb3_network`,
`cleanrl_network`), its options become a configuration (`sb3_options`, `cleanrl_options`), the game says how its
observations are shown (`observations`), and all that becomes a policy on the disk (`policy`).
"""
