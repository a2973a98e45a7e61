"""The report of a fine-tuned classifier: one HTML file that a laboratory can keep."""

from napari_hemacells.core.train.classifier.report.build import (
    REPORT,
    with_report_steps,
    write_report_steps,
)

__all__ = ["REPORT", "with_report_steps", "write_report_steps"]
