"""Settings: from the environment alone, refused where they are unsafe, documented where people look."""

import pytest

from service.core.errors import ConfigurationError
from tests.service_under_test import settings_from

PRODUCTION = {"ENVIRONMENT": "production", "DATABASE_URL": "postgresql://app@db/app", "JWT_SECRET": "k" * 40}


def test_production_starts_with_what_it_needs() -> None:
    assert settings_from(PRODUCTION).is_production


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"DATABASE_URL": ""}, "DATABASE_URL"),
        ({"JWT_SECRET": ""}, "JWT_SECRET"),
        ({"JWT_SECRET": "short"}, "JWT_SECRET"),
        ({"JWT_SECRET": "change-me"}, "JWT_SECRET"),
        ({"JWT_SECRET": "please-change-me-to-something-long-and-random"}, "JWT_SECRET"),
    ],
)
def test_production_refuses_to_start_and_says_why(changes: dict[str, str], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        settings_from(PRODUCTION | changes)


@pytest.mark.parametrize("host", [{"POSIT_PRODUCT": "CONNECT"}, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}])
def test_hosts_that_are_never_a_developers_machine_are_production(host: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="DATABASE_URL"):
        settings_from(host)


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"PORT": "http"}, "PORT"),
        ({"DATABASE_URL": "mysql://x:secret@y/z"}, "DATABASE_URL"),
        ({"ALLOWED_ORIGINS": "https://a.example.org,*"}, "ALLOWED_ORIGINS"),
        ({"ALLOWED_ORIGINS": "shiny.example.org"}, "ALLOWED_ORIGINS"),
        ({"ANONYMOUS_ROLE": "everyone"}, "ANONYMOUS_ROLE"),
        ({"LOG_LEVEL": "LOUD"}, "LOG_LEVEL"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_and_not_shown(environment: dict[str, str], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named) as refused:
        settings_from(environment)
    assert "secret" not in refused.value.message


def test_origins_are_parted_by_commas() -> None:
    origins = settings_from(
        {"ALLOWED_ORIGINS": "https://a.example.org, http://localhost:3838"}
    ).security.allowed_origins
    assert origins == ("https://a.example.org", "http://localhost:3838")


def test_secrets_do_not_show() -> None:
    settings = settings_from(PRODUCTION | {"ADMIN_PASSWORD": "hunter2hunter2"})
    assert "kkkk" not in repr(settings)
    assert "hunter2" not in repr(settings)
