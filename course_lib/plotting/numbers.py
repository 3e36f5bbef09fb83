"""Numbers as a reader sees them."""

import numpy as np


def format_number(value: float) -> str:
    """Three significant digits, whole numbers in full, and the sign of infinity: '0.25', '1000', '1.2e−05', '−∞'."""
    if np.isnan(value):
        return "undefined"
    if np.isinf(value):
        return "∞" if value > 0 else "−∞"
    whole = abs(value) < 1e7 and (value == round(value) or abs(value) >= 100)
    value = value + 0.0  # -0.0 becomes 0.0
    return (f"{value:.0f}" if whole else f"{value:.3g}").replace("-", "−")
