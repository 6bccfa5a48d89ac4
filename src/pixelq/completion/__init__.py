"""What a shell completes after `pixelq`: the words, read from the help texts, and a script for each shell."""
