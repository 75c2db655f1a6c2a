"""Declarative tables. Importing this package declares them all."""

from service.models import flights, system
from service.models.base import SystemBase, TableBase

__all__ = ["SystemBase", "TableBase", "flights", "system"]
