"""How much each field of a sweep decides what its trials score."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from pixelq.series.quiet_optuna import optuna_module

if TYPE_CHECKING:
    import optuna


def importance(study: optuna.Study) -> dict[str, float]:
    """How much each varied field decides whether a trial is among the best, sums to 1; empty with too few trials.

    By PED-ANOVA (Watanabe et al. 2023, arXiv 2304.10255), with the best quarter.
    """
    optuna = optuna_module()
    whole = [t for t in study.get_trials(deepcopy=False) if t.state.name == "COMPLETE"]
    if len(whole) < 4 or len({t.value for t in whole}) < 2:
        return {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=0.25)
            found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    except (ValueError, RuntimeError):  # a field that had one value in all trials
        return {}
    return {name: float(value) for name, value in found.items()}
