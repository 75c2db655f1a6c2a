"use strict";
// One document holds every table: operations are shown closed, and found by the filter.
// The document is of what the caller may use, so it is asked for again with the key. The key stays in this page.
(() => {
  const field = document.getElementById("key");

  const show = () =>
    SwaggerUIBundle({
      url: "openapi.json",
      dom_id: "#swagger-ui",
      deepLinking: true,
      docExpansion: "none",
      filter: true,
      defaultModelsExpandDepth: -1,
      persistAuthorization: false,
      validatorUrl: null,
      requestInterceptor: (request) => {
        const key = field.value.trim();
        if (key && !request.headers.Authorization) request.headers["X-API-Key"] = key;
        return request;
      },
    });

  document.getElementById("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    show();
  });
  show();
})();
