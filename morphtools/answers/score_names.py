"""How scores are called in text and figures; files keep the short names."""

_NAMES = {
    "auc": "AUC",
    "balanced_accuracy": "balanced accuracy",
    "baseline_loss": "baseline loss",
    "brier": "Brier score",
    "calibration_error": "calibration error",
    "coverage_50": "50% coverage",
    "coverage_68": "68% coverage",
    "coverage_90": "90% coverage",
    "cross_entropy": "cross-entropy",
    "crps": "CRPS",
    "eta": "η",
    "f1": "F1",
    "hq_accuracy": "high-quality accuracy",
    "hq_auc": "high-quality AUC",
    "hq_precision": "high-quality precision",
    "hq_recall": "high-quality recall",
    "hq_share": "high-quality fraction",
    "ks_p": "KS p-value",
    "log_likelihood": "log likelihood",
    "log_loss": "log loss",
    "macro_f1": "macro F1",
    "outlier_fraction": "outlier fraction",
    "r2": "R²",
    "rmse": "RMSE",
    "sigma_mad": "σ_MAD",
    "top_2": "top-2 accuracy",
    "top_3": "top-3 accuracy",
}


def score_name(name: str) -> str:
    """A score for people: `auc` is “AUC”, and `log_loss of bar` is “log loss of bar”; other names stay as they are."""
    score, space, rest = name.partition(" ")
    return _NAMES.get(score, score) + space + rest
