"""The Gradio pages; the only room that imports gradio."""

import os

# Gradio reads these when it is imported: nothing about a user leaves the machine.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
