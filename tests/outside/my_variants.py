"""The same variants from a module of one's own, without packaging: `pixelq --import my_variants train ...`."""

from pixelq_outside import (
    averaged_targets_loop,
    categorical_head,
    categorical_loss,
    epsilon_ladder,
    gated_memory,
    lion_optimizer,
    noisy_linear,
    proportional_sampler,
    residual_torso,
)

from pixelq import register

register("head", "my_categorical", categorical_head)
register("loss", "my_categorical", loss=categorical_loss.loss, Options=categorical_loss.Options)
register("linear", "my_noisy", noisy_linear)
register("memory", "my_gated", gated_memory)
register("optimizer", "my_lion", lion_optimizer)
register("sampler", "my_proportional", proportional_sampler)
register("torso", "my_residual", residual_torso)
register("epsilon_schedule", "my_ladder", epsilon_ladder)
register("loop", "my_averaged", averaged_targets_loop)
