"""From a name to a configuration: the recipes that ship with pixelq (TOML), reading, choosing by game, validating."""
