"use strict";
// One document holds every table: operations are shown closed, and found by the filter.
// The document is of what the caller may use, so it is asked for again with the key. The key stays in this page.
(() => {
  const field = document.getElementById("key");

  const show = () =>
    SwaggerUIBundle({
      url: "openapi.json",
      dom_id: "#swagger-ui",
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

  const message = document.getElementById("key-message");
  document.getElementById("key-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const key = field.value.trim();
    const answer = await fetch("openapi.json", { headers: key ? { "X-API-Key": key } : {} });
    message.textContent = answer.ok ? "" : (await answer.json()).message;
    if (answer.ok) show();
  });
  show();
})();
