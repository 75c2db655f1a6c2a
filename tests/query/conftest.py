"""The declared tables, without a database."""

import pytest

from service.catalog.catalog import Catalog
from service.catalog.declared import declared_catalog
from service.models import TableBase


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return declared_catalog(TableBase)
