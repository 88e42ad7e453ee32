"""What archives hold, made out of one virtual patient: an anomaly for each way in which inputs go wrong.

Each names the row of the table in docs/results/bad-inputs.md that it belongs to, and what is right to do with it. They
stand in files by kind; what is of the body rather than of the file is in ``bodies``.
"""

from anomalies import files, geometry, images, register, values
from anomalies.register import Anomaly, Right

__all__ = ["ANOMALIES", "Anomaly", "Right", "files", "geometry", "images", "values"]

ANOMALIES: list[Anomaly] = sorted(register.ANOMALIES, key=lambda one: one.row)
