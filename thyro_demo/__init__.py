"""ThyroDemo: a teaching lab for computer-aided diagnosis on thyroid ultrasound.

Images become tables of grouped records (`data`), records become trained bundles
(`models`), bundles become comparable, explained predictions (`engine`, `explain`),
and every number in the page, the reports and the notebooks comes from the same
functions (`evaluate`). Teaching and research only, never a diagnosis.
"""

import os

# The networks are TensorFlow's, whatever backend other projects of the user ask Keras for.
os.environ["KERAS_BACKEND"] = "tensorflow"

__version__ = "0.1.0"
