"""Names that each notebook's setup cell defines. Written by `python -m course_lib build`; not edited."""

SETUP_NAMES: dict[str, tuple[str, ...]] = {
    "00": (
        "Cosine",
        "HTML",
        "Table",
        "Tensor",
        "Truncated",
        "b64encode",
        "check",
        "course_lib",
        "ddpm",
        "digits",
        "files",
        "kernel",
        "last",
        "linear_betas",
        "load_model",
        "machine",
        "missing",
        "pairwise",
        "plotting",
        "sample",
        "scrub",
        "sentence",
        "torch",
    ),
}
