from fastapi import FastAPI

from service.state import ServiceState


def describe_api(app: FastAPI, state: ServiceState) -> None:
    pass
