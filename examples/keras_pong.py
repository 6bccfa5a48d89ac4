"""The agent of recipe `lapan-pong` with its network and its update in Keras 3 / TensorFlow; the rest is pixelq's.

    python -m pip install -e '.[keras]'
    python examples/keras_pong.py --steps 300000 --weights pong.weights.h5

Games, replay and schedules do not know which library learns: they use numpy arrays. A library has to provide the three
public methods of `KerasLearner`. Compare with pixelq/networks/network.py, losses/dqn.py and learner/learner.py.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import numpy as np

from pixelq import Config, make_envs, read_recipe
from pixelq.replay import Batch, Replay
from pixelq.runs.scores import Scores
from pixelq.schedules import crossed, epsilon_schedule

os.environ["KERAS_BACKEND"] = "tensorflow"  # Keras reads it once, when it is imported
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
try:
    import keras
    import tensorflow as tf
except ImportError as error:
    print(f"keras_pong: {error}; install the extra: python -m pip install -e '.[keras]'", file=sys.stderr)
    sys.exit(2)


def build_network(num_actions: int, seed: int) -> keras.Model:
    """Q(s, .; theta) of Mnih et al. 2015: uint8 `(B, 84, 84, 4)` to float32 `(B, A)`; 84 -> 20 -> 9 -> 7 pixels."""
    seeds = keras.random.SeedGenerator(seed)

    def uniform(fan_in: int) -> keras.initializers.Initializer:
        return keras.initializers.RandomUniform(-(fan_in**-0.5), fan_in**-0.5, seeds)  # as torch's layers

    x = screens = keras.Input((84, 84, 4), dtype="uint8")
    x = keras.layers.Rescaling(1 / 255)(x)
    channels = 4
    for filters, kernel, stride in ((32, 8, 4), (64, 4, 2), (64, 3, 1)):
        start = uniform(channels * kernel**2)
        x = keras.layers.Conv2D(filters, kernel, stride, activation="relu", kernel_initializer=start, bias_initializer=start)(x)  # fmt: skip # noqa: E501
        channels = filters
    x = keras.layers.Flatten()(x)  # 7 x 7 x 64 = 3,136
    for units, activation in ((512, "relu"), (num_actions, None)):
        start = uniform(x.shape[1])
        x = keras.layers.Dense(units, activation, kernel_initializer=start, bias_initializer=start)(x)
    return keras.Model(screens, x)


class KerasLearner:
    """Owns the network theta, the target network theta-, and the optimizer.

    Args:
        config: step size and Adam's constants; the loss is the mean of (y - Q(s, a; theta))^2.
        num_actions: A.
    """

    def __init__(self, config: Config, num_actions: int) -> None:
        self.network, self._target = (build_network(num_actions, config.seed) for _ in range(2))
        self._optimizer = keras.optimizers.Adam(
            config.learning_rate, config.adam_beta1, config.adam_beta2, epsilon=config.optimizer_eps
        )
        self._optimizer.build(self.network.trainable_variables)
        self._epsilon, self._optimizer.epsilon = config.optimizer_eps, tf.Variable(config.optimizer_eps)
        self._forward = tf.function(self.network)
        self._compiled_update = tf.function(self._update)
        self.copy_to_target()

    def q_values(self, state: np.ndarray) -> np.ndarray:
        """Q(s, .; theta) float32 `(N, A)` for observations uint8 `(N, stack, H, W)`."""
        return self._forward(channels_last(state)).numpy()

    def update(self, batch: Batch) -> float:
        """One gradient step on a minibatch; returns its loss."""
        arrays = (batch.action, batch.return_n, batch.discount_n)
        states = (channels_last(batch.state.numpy()), channels_last(batch.next_state.numpy()))
        return float(self._compiled_update(*states, *(tf.constant(x.numpy()) for x in arrays)))

    def copy_to_target(self) -> None:
        """theta- <- theta."""
        self._target.set_weights(self.network.get_weights())

    def _update(self, state: tf.Tensor, next_state: tf.Tensor, action: tf.Tensor, r: tf.Tensor, gamma: tf.Tensor) -> tf.Tensor:  # fmt: skip # noqa: E501
        y = r + gamma * tf.reduce_max(self._target(next_state), axis=1)  # gamma is 0 where next_state is terminal
        with tf.GradientTape() as tape:
            q = tf.gather(self.network(state), action, axis=1, batch_dims=1)
            loss = tf.reduce_mean(tf.square(y - q))
        # torch adds Adam's epsilon after the bias correction, as Kingma & Ba's algorithm 1 does; Keras before it.
        t = tf.cast(self._optimizer.iterations + 1, tf.float32)
        self._optimizer.epsilon.assign(self._epsilon * tf.sqrt(1 - self._optimizer.beta_2**t))
        self._optimizer.apply(tape.gradient(loss, self.network.trainable_variables))
        return loss


def channels_last(stack: np.ndarray) -> tf.Tensor:
    """pixelq's uint8 `(B, stack, H, W)` as TensorFlow's `(B, H, W, channels)`: the stack is the channels."""
    return tf.constant(np.ascontiguousarray(stack.transpose(0, 2, 3, 1)))


def train(config: Config) -> tuple[KerasLearner, Scores]:
    """Algorithm 1 of Mnih et al. 2015, as in pixelq/loops/replay_loop.py, for one environment."""
    episodes, exploration, sampling = np.random.SeedSequence(config.seed).spawn(3)
    explore, sample = np.random.default_rng(exploration), np.random.default_rng(sampling)
    envs = make_envs(config, num_envs=1, seed=episodes)
    num_actions = int(envs.single_action_space.n)
    replay = Replay(config.replay_capacity, 1, (84, 84), config.frame_stack, config.n_step, config.gamma)
    learner, scores, epsilon = KerasLearner(config, num_actions), Scores(1), epsilon_schedule(config)
    loss = float("nan")
    state, _ = envs.reset()
    for t in range(config.steps):
        greedy = explore.random() >= epsilon(t)[0]
        action = learner.q_values(state).argmax(axis=1) if greedy else explore.integers(0, num_actions, 1)
        next_state, reward, terminated, truncated, info = envs.step(action)
        # info["action"] is the action really taken: in the opening of a game the recipe's wrappers press FIRE instead.
        replay.add(state, info["action"], reward, terminated, terminated | truncated, info["final_obs"])
        state = next_state
        for game in scores.add(reward, terminated | truncated):
            print(f"agent step {t + 1:,}: score {game.score:g}, mean of 100 {scores.mean:.1f}, loss {loss:.4f}")
        if t + 1 >= config.replay_start:
            loss = learner.update(replay.sample(config.batch_size, sample))
            if crossed(t, t + 1, config.target_every):
                learner.copy_to_target()
        if config.stop_score is not None and scores.window_full and scores.mean > config.stop_score:
            break
    envs.close()
    return learner, scores


def main() -> None:
    """Read the command line, train, save the weights."""
    config = read_recipe("lapan-pong")
    parser = argparse.ArgumentParser(description="DQN on Pong in Keras, until the mean of 100 games passes 19.")
    parser.add_argument("--steps", type=int, default=config.steps, help="maximum number of agent steps")
    parser.add_argument("--seed", type=int, default=config.seed)
    parser.add_argument("--weights", type=Path, help="file for the weights, NAME.weights.h5")
    arguments = parser.parse_args()
    values = {**vars(config), "steps": arguments.steps, "seed": arguments.seed}
    learner, scores = train(Config(**values))
    print(f"done, mean of the last 100 games {scores.mean:.1f}")
    if arguments.weights:
        learner.network.save_weights(arguments.weights)


if __name__ == "__main__":
    main()
