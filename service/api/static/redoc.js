"use strict";
Redoc.init(
  "openapi.json",
  {
    hideHostname: true,
    // The descriptions say in words what the patterns say.
    hideSchemaPattern: true,
    nativeScrollbars: true,
    requiredPropsFirst: true,
  },
  document.getElementById("redoc"),
);
