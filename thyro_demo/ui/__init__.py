"""The Gradio pages; the only room that imports gradio."""

import importlib
import os

from thyro_demo.ui.direct import direct
from thyro_demo.ui.uploads import private_folder

# Gradio reads these when it is imported: nothing about a user leaves the computer.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
# Gradio's queue sums up all that it ever did, anew at the end of each job, for a page of statistics
# that is closed here.
os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = str(2**31)
# Its folder, too; the usual one may belong to another user of the computer.
private_folder()
with direct():
    importlib.import_module("gradio")
