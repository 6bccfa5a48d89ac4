"""Where a training loop spends its time: its parts timed or traced from outside, rates, timed segments."""
