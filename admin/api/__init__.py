"""The admin API: JSON over HTTP for tills, shop systems, agencies and the console."""

from admin.api.app import create_api

__all__ = ["create_api"]
