"""An upload does not outlive the app."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_what_was_uploaded_goes_with_the_process():
    script = (
        "import os\n"
        "from thyro_demo.ui.uploads import private_folder\n"
        "folder = private_folder()\n"
        "assert os.environ['GRADIO_TEMP_DIR'] == str(folder)\n"
        "(folder / 'upload.png').write_text('an upload')\n"
        "print(folder)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, check=True)
    folder = Path(done.stdout.decode().strip())
    assert folder.name.startswith("thyro-demo-")
    assert not folder.exists()
