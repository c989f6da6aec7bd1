"""The floor of the intake: our very server, answering 200 right after the signature check."""

import sys
from unittest.mock import patch

from bot.intake import Intake
from crm.channels import OpenChannel
from server import app, cli


class SignatureOnly(Intake):
    """Everything of the intake up to the signature check; nothing is read or stored."""

    async def keep(self, channel: OpenChannel, raw: bytes) -> tuple[int, str]:
        """Forget what came."""
        return 200, ""


def main() -> None:
    """`okaeri` with this intake: same process set-up, same uvicorn, same application."""
    with patch.object(app, "Intake", SignatureOnly):
        sys.argv[0] = "okaeri"
        cli.main()


if __name__ == "__main__":
    main()
