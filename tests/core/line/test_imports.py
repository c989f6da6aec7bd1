import subprocess
import sys

ASKED = "import sys, core.line.client, core.line.messages; print('linebot' in sys.modules)"


def test_the_sdk_is_imported_only_when_it_is_asked() -> None:
    told = subprocess.run([sys.executable, "-c", ASKED], capture_output=True, text=True, check=True)

    assert told.stdout.strip() == "False"
