"use strict";
// Operations are shown closed, and found by the filter.
// The document is of what the caller may use, so it is asked for again with the key. The key stays in this page.
(() => {
  const field = document.getElementById("key");
  const message = document.getElementById("key-message");
  const list = document.getElementById("tables");
  const place = document.getElementById("swagger-ui");

  const headers = () => (field.value.trim() ? { "X-API-Key": field.value.trim() } : {});

  const draw = (url) =>
    SwaggerUIBundle({
      url,
      dom_id: "#swagger-ui",
      docExpansion: location.search ? "list" : "none",
      filter: true,
      defaultModelsExpandDepth: -1,
      persistAuthorization: false,
      validatorUrl: null,
      requestInterceptor: (request) => {
        if (!request.headers.Authorization) Object.assign(request.headers, headers());
        return request;
      },
    });

  const show = async () => {
    message.textContent = "";
    try {
      const url = await documentUrl("docs", headers());
      place.hidden = url === null;
      if (url) draw(url);
    } catch (error) {
      message.textContent = error.message;
    }
  };

  const go = (event) => {
    const anchor = event.target.closest("a");
    if (!anchor || event.ctrlKey || event.metaKey || event.shiftKey) return;
    // Within the page, so that the key is kept.
    event.preventDefault();
    history.pushState(null, "", anchor.href);
    show();
  };

  document.getElementById("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    show();
  });
  list.addEventListener("click", go);
  document.getElementById("all-tables").addEventListener("click", go);
  window.addEventListener("popstate", show);
  show();
})();
