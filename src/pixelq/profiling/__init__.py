"""Where a training loop's time goes: its parts timed or traced from outside, rates, timed segments."""
