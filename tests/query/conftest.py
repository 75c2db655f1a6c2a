"""The declared tables, without a database."""

import pytest

from service.catalog.catalog import Catalog
from service.catalog.declared import declared_resources
from service.models import TableBase


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return Catalog(declared_resources(TableBase))
