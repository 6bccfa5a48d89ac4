"""What a run reports while it trains: progress line, CSV files, TensorBoard, Weights & Biases."""
