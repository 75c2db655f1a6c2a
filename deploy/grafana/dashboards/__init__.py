"""All dashboards."""

from deploy.grafana.dashboards.database import DATABASE
from deploy.grafana.dashboards.feed import FEED
from deploy.grafana.dashboards.jobs import JOBS
from deploy.grafana.dashboards.overview import OVERVIEW
from deploy.grafana.dashboards.tables import TABLES

DASHBOARDS = (OVERVIEW, DATABASE, FEED, TABLES, JOBS)
