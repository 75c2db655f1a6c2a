"use strict";
(async () => {
  const url = await documentUrl("redoc", {});
  if (!url) return;
  Redoc.init(
    url,
    {
      hideHostname: true,
      // The descriptions say in words what the patterns say.
      hideSchemaPattern: true,
      nativeScrollbars: true,
      requiredPropsFirst: true,
    },
    document.getElementById("redoc"),
  );
})();
