"""From a recipe to a trained policy: the loops, and everything around them that must survive a dead machine."""
