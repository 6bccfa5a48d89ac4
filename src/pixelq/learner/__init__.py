"""One update: batch -> loss -> gradients -> parameters -> target network; plain, compiled, or as a CUDA graph."""
