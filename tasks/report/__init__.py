"""One self-contained HTML page over the data, the training and the judgement."""

from tasks.report.stage import REPORT

__all__ = ["REPORT"]
