"""What a run tells while it trains: progress line, CSV files, TensorBoard, Weights & Biases."""
