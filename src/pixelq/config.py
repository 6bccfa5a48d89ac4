"""A run's configuration: every hyperparameter, its meaning and unit. `recipes` reads, chooses and validates them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Config:
    """Every choice that decides a run. An agent step is one action; a frame is one emulator frame."""

    # --- the task -----------------------------------------------------------------------------------------------
    game: str = "pong"
    """Game: an ale-py name (pong, MsPacman) or a Gymnasium id (ALE/Pong-v5, CartPole-v1, module:MyGame-v0)."""
    recipe: str = "default"
    """The recipe that the other fields start from: a name (pixelq list recipes) or a TOML file."""
    seed: int = 1
    """Seed of every random stream of the run: network, exploration, replay sampling, episodes."""
    steps: int = 10_000_000
    """Length of the run, in agent steps."""
    episodes: int = 0
    """Stop after this many training games; 0: no such limit; -1: 500 with a GPU, 30 without, settled at the start."""
    stop_score: float | None = None
    """Stop when the mean score of the last 100 games exceeds this, in points; none: run all steps."""
    loop: str = "replay"
    """Training loop: replay (DQN and its family), overlapped (the same, learning while the emulators play: for a GPU
    and many environments), recurrent_replay (with a memory: DRQN, R2D2), parallel (PQN: many environments, no replay),
    recurrent_parallel (PQN with a memory), stream (Stream Q: one environment, every agent step learned from once), or
    one of your own."""
    loop_options: dict[str, Any] = field(default_factory=dict)
    """Options of the loop."""
    num_envs: int = 1
    """Environments stepped together; the ratio of updates to agent steps does not depend on it."""
    env_kwargs: dict[str, Any] = field(default_factory=dict)
    """Keywords of the environment (key=value ...): those that a Gymnasium one takes; mode and difficulty in Atari."""
    wrappers: tuple[str, ...] = ()
    """Wrappers around each environment, the innermost first (module:Wrapper); not around Atari games."""

    # --- preprocessing ------------------------------------------------------------------------------------------
    frame_skip: int = 4
    """Frames per agent step: the action is repeated this often."""
    max_pool: bool = True
    """Take the pixel-wise maximum of the last two frames of an agent step (sprites that flicker)."""
    grayscale: bool = True
    """Observe luminance instead of colour."""
    screen_size: int = 84
    """Height and width of an observed frame, in pixels; 0: as the game gives it (not in Atari)."""
    frame_stack: int = 4
    """Newest frames that make one state."""
    noop_max: int = 30
    """At most this many no-op frames, chosen at random, before an episode starts; 0: none."""
    fire_on_reset: bool = True
    """Press FIRE at the start of an episode in games that wait for it."""
    opening_fire_max: int = 0
    """Hold FIRE for 1 to this many agent steps at the start of an episode; 0: none."""
    fire_on_life_loss: bool = False
    """Press FIRE for one agent step after every lost life, in games that have lives and FIRE."""
    wrapper_openings: bool = False
    """Begin an episode with FIRE and action 2, and a life with a no-op, FIRE and action 2, one agent step each, as
    stable_baselines3's FireResetEnv around EpisodicLifeEnv; in games without FIRE the no-op alone is left."""
    life_loss_ends_target: bool = True
    """A lost life ends the learning target (no bootstrap over it); the game itself goes on."""
    clip_reward: bool = True
    """Learn from the sign of the reward; scores shown are always the game's own."""
    scale_reward: bool = False
    """Divide rewards by the running standard deviation of their discounted sums (arXiv 2410.14606)."""
    normalise_observations: bool = False
    """Give every element of a frame mean 0 and variance 1 by running statistics, which are part of the network."""
    sticky_actions: float = 0.0
    """Probability that the emulator repeats the previous action; a full id (ALE/...-v5: 0.25) overrides the recipe."""
    full_action_set: bool = False
    """All 18 actions instead of the game's minimal set."""
    max_frames_per_episode: int = 108_000
    """Truncate an episode after this many frames (the target bootstraps over a truncation)."""
    backend: Literal["gymnasium", "envpool"] = "gymnasium"
    """Who plays CarRacing-v3: gymnasium, or envpool, its twin in C++ (extra envpool); any other game has the first."""

    # --- network ------------------------------------------------------------------------------------------------
    torso: str = "2015"
    """Layers from a state to features: 2013 (arXiv 1312.5602), 2015 (Nature), minatar (arXiv 1903.03176: small images),
    mlp (vectors), impala (arXiv 1802.01561: residual), plain (sizes of your own), or one of your own."""
    torso_options: dict[str, Any] = field(default_factory=dict)
    """Options of the torso."""
    padding: Literal["valid", "same"] = "valid"
    """Convolutions see the image alone (valid), or zeros around it too, so that 84 pixels with stride 4 become 21."""
    norm: Literal["none", "layer", "element", "weightless", "channel"] = "none"
    """Normalisation after each hidden layer: over all channels and positions with a pair of weights for each channel
    (layer), for each element (element, as CleanRL's PQN) or none (weightless), or over the channels of each position
    (channel, as purejaxql's)."""
    activation: Literal["relu", "leaky_relu", "tanh", "elu", "silu", "gelu"] = "relu"
    """What follows each hidden layer and its norm: max(0, x), or 0.01 x where x is below 0 (leaky_relu), or one of
    torch's others with its defaults."""
    linear: str = "plain"
    """Kind of the hidden and output layers: plain, noisy (arXiv 1706.10295), or one of your own."""
    linear_options: dict[str, Any] = field(default_factory=dict)
    """Options of the linear layers."""
    memory: str = "none"
    """What the network remembers from one agent step to the next: none, lstm (a long short-term memory between hidden
    layers and head), or one of your own."""
    memory_options: dict[str, Any] = field(default_factory=dict)
    """Options of the memory."""
    streams: str = "plain"
    """From features to the head's numbers of each action: plain (one linear layer), dueling (arXiv 1511.06581: a value
    and an advantage stream), or one of your own."""
    streams_options: dict[str, Any] = field(default_factory=dict)
    """Options of the streams."""
    head: str = "linear"
    """From features to what is known of each action: linear (a Q-value each), categorical (C51), quantile (QR-DQN),
    implicit_quantile (IQN), fraction_proposal (FQF), or one of your own."""
    head_options: dict[str, Any] = field(default_factory=dict)
    """Options of the head."""
    initialisation: Literal["torch", "orthogonal", "xavier", "he", "fan_in", "sparse"] = "torch"
    """Initial weights: torch (uniform in 1/sqrt(fan in), as the papers' Torch7), orthogonal, xavier (uniform), he
    (normal), fan_in (uniform of variance 1/(sqrt 3 fan in), as Dopamine's distributional agents) or sparse (torch's,
    nine tenths of each unit's set to zero); biases are zero in all but torch."""
    output_gain: float = 1.0
    """Scale of the output layer's initial weights, orthogonal or he; before a ReLU it is sqrt 2."""
    precision: Literal["float32", "bf16"] = "float32"
    """Arithmetic of the torso; the head, Q-values, targets, loss and master weights are always float32."""

    # --- loss ---------------------------------------------------------------------------------------------------
    loss: str = "dqn"
    """Target: dqn, double, rescaled_double (R2D2), munchausen, c51, hl_gauss, qr, iqn, m_iqn (Munchausen IQN), fqf,
    lambda_returns (PQN), td_error (Stream Q), or one of your own."""
    loss_options: dict[str, Any] = field(default_factory=dict)
    """Options of the loss."""
    reduction: Literal["mean", "sum"] = "mean"
    """How the losses of a minibatch become one number."""
    gamma: float = 0.99
    """Discount per agent step."""
    n_step: int = 1
    """Rewards summed before bootstrapping, in agent steps (loops with a replay)."""

    # --- optimizer ----------------------------------------------------------------------------------------------
    optimizer: str = "adam"
    """How gradients become a step: rmsprop (centred, as in the 2015 paper), adam, adamw, radam, adadelta (the step size
    in the mean of its steps, as DRQN's code), obgd (bounds the step against overshooting: stream loop), one of torch's
    with its defaults (torch.optim:NAdam), or one of your own."""
    optimizer_options: dict[str, Any] = field(default_factory=dict)
    """Options of the optimizer."""
    learning_rate: float = 1e-4
    """Step size at the start."""
    learning_rate_end: float | None = None
    """Step size at the end of a linear decay; none: constant."""
    learning_rate_steps: int = 0
    """Length of the linear decay, in agent steps; 0: the whole run."""
    optimizer_eps: float = 1e-8
    """Added to the denominator (inside the root for rmsprop, as in the 2015 paper's code; inside both of adadelta)."""
    rmsprop_decay: float = 0.95
    """Decay of RMSProp's running averages of the gradient and its square."""
    adam_beta1: float = 0.9
    """Decay of Adam's running mean of the gradient."""
    adam_beta2: float = 0.999
    """Decay of Adam's running mean of the squared gradient."""
    weight_decay: float = 0.0
    """Decoupled weight decay (adamw)."""
    amsgrad: bool = False
    """Use the maximum of past squared-gradient averages (adam, adamw)."""
    gradient_clip: Literal["none", "value", "norm"] = "none"
    """Clip gradients: none, each value, or the global norm."""
    gradient_clip_at: float = 10.0
    """Bound for gradient_clip."""

    # --- replay -------------------------------------------------------------------------------------------------
    replay_capacity: int = 1_000_000
    """Transitions kept, over all environments."""
    replay_start: int = 50_000
    """Agent steps played before the first update."""
    batch_size: int = 32
    """Transitions per update."""
    train_every: int = 4
    """Agent steps per update (loops with a replay)."""
    sampler: str = "uniform"
    """How minibatches are drawn from the replay: uniform, prioritized (arXiv 1511.05952), or one of your own."""
    sampler_options: dict[str, Any] = field(default_factory=dict)
    """Options of the sampler."""

    # --- target network -----------------------------------------------------------------------------------------
    target: Literal["none", "hard", "soft"] = "hard"
    """Target network: none (bootstrap from the network itself), hard copy, or soft average at every update."""
    target_every: int = 10_000
    """Agent steps between hard copies (C)."""
    target_tau: float = 0.005
    """Share of the new weights in a soft average (tau)."""
    averaged_network_tau: float = 0.0
    """Share of the new weights in the average over updates that is tested and saved; 0: the network itself is."""

    # --- exploration --------------------------------------------------------------------------------------------
    epsilon_schedule: str = "linear"
    """Epsilon over agent steps: constant (stays at epsilon_start), linear, exponential, ladder (linear, to another
    value in each environment), or one of your own."""
    epsilon_options: dict[str, Any] = field(default_factory=dict)
    """Options of the schedule."""
    epsilon_start: float = 1.0
    """Probability of a random action at the start."""
    epsilon_begin: int = 0
    """Agent step at which the fall starts."""
    epsilon_end: float = 0.01
    """Probability of a random action in the end; of the ladder, its middle."""
    epsilon_steps: int = 1_000_000
    """Length of the linear fall, or time constant of the exponential one, in agent steps."""

    # --- parallel loop (PQN) ------------------------------------------------------------------------------------
    rollout_length: int = 32
    """Agent steps of each environment between updates (PQN's loops)."""
    epochs: int = 2
    """Passes over each rollout (PQN's loops)."""

    # --- the run ------------------------------------------------------------------------------------------------
    load: str = ""
    """Run folder, policy, export or hf:owner/name to start the weights from; auto: the newest fitting run here, if any;
    empty: fresh."""
    eval_every: int = 250_000
    """Agent steps between evaluations, which choose the best policy; 0: off (then the mean of 100 games chooses)."""
    eval_episodes: int = 10
    """Whole games per evaluation during training."""
    eval_max_steps: int = 27_000
    """Longest test game, in agent steps, after which it is cut; in training also 4 x eval_every / eval_episodes (at
    least 1,000), so that games without an end of their own do not swallow the run; 0: no cap."""
    eval_epsilon: float = 0.01
    """Probability of a random action during evaluation."""
    baseline_episodes: int = 0
    """Games of a random agent played at the end and drawn into the plot; 0: none."""
    checkpoint_every: int = 100_000
    """Agent steps between checkpoints; 0: only at the end or when stopped."""
    keep_policies: int = 0
    """Agent steps between policies that are kept for good in policies/, the first at step 0; 0: only best and final."""
    log_every: int = 5_000
    """Agent steps between rows of progress.csv."""
    device: Literal["auto", "cpu", "cuda", "mps", "vulkan"] = "auto"
    """auto takes CUDA, then Apple MPS, then the CPU."""
    threads: int = 0
    """CPU threads of torch and of the emulators; 0: one per core, and of torch fewer while that is faster.
    With a GPU torch has one, and the emulators all of them."""
    compile: bool = False
    """Compile the update for the CPU (10 s at the start, needs a C++ compiler); a GPU's is one graph without it."""
    deterministic: bool = False
    """Use only deterministic kernels, so that a resumed run repeats an unbroken one to the byte."""
    track: Literal["none", "wandb", "wandb-offline"] = "none"
    """Also report to Weights & Biases (needs the extra pixelq[wandb])."""
