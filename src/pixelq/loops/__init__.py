"""The training loops, a page each: replay (DQN and its family) and parallel (PQN)."""
