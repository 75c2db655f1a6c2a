"""Flights by Django REST framework: a model, a serializer, a view set, as its tutorial writes it."""

import os

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.urls import include, path
from sqlalchemy.engine import make_url

from loadtests.bench.apps import POOL_SIZE

_URL = make_url(os.environ["DATABASE_URL"])

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="no session is signed here",  # noqa: S106
    USE_TZ=True,
    TIME_ZONE="UTC",
    INSTALLED_APPS=["rest_framework"],
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": [],
        "DEFAULT_PERMISSION_CLASSES": [],
        "UNAUTHENTICATED_USER": None,
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    },
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": _URL.database,
            "USER": _URL.username,
            "HOST": _URL.query.get("host", _URL.host),
            "OPTIONS": {"pool": {"min_size": POOL_SIZE, "max_size": POOL_SIZE}},
        }
    },
)
django.setup()

# Models can be declared only now.
from django.db import models  # noqa: E402
from rest_framework import routers, serializers, viewsets  # noqa: E402


class Flight(models.Model):  # type: ignore[misc]
    year = models.SmallIntegerField()
    month = models.SmallIntegerField()
    day = models.SmallIntegerField()
    dep_time = models.SmallIntegerField(null=True)
    sched_dep_time = models.SmallIntegerField()
    dep_delay = models.SmallIntegerField(null=True)
    arr_time = models.SmallIntegerField(null=True)
    sched_arr_time = models.SmallIntegerField()
    arr_delay = models.SmallIntegerField(null=True)
    carrier = models.TextField()
    flight = models.SmallIntegerField()
    tailnum = models.TextField(null=True)
    origin = models.TextField()
    dest = models.TextField()
    air_time = models.SmallIntegerField(null=True)
    distance = models.SmallIntegerField()
    hour = models.SmallIntegerField()
    minute = models.SmallIntegerField()
    time_hour = models.DateTimeField()

    class Meta:
        app_label = "bench"
        db_table = "flights"
        managed = False


class FlightSerializer(serializers.ModelSerializer[Flight]):  # type: ignore[misc]
    class Meta:
        model = Flight
        fields = "__all__"


class FlightViewSet(viewsets.ModelViewSet[Flight]):  # type: ignore[misc]
    queryset = Flight.objects.all()
    serializer_class = FlightSerializer


_ROUTER = routers.SimpleRouter(trailing_slash=False)
_ROUTER.register("flights", FlightViewSet)
urlpatterns = [path("", include(_ROUTER.urls))]
app = get_wsgi_application()
