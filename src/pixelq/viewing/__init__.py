"""What a person looks at: curves, comparisons with published scores, and videos of games."""
