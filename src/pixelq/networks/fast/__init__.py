"""What makes the plain torso quick, and nothing else: held to the modules under autograd, which are the reference."""
