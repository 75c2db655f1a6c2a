"use strict";
// ReDoc's footer asks the internet for a logo. The policy of this page forbids it; not asking keeps the console clean.
(() => {
  const image = HTMLImageElement.prototype;
  const { setAttribute } = image;
  const { get, set } = Object.getOwnPropertyDescriptor(image, "src");
  const isElsewhere = (url) => /^https?:/.test(url) && new URL(url).origin !== location.origin;

  image.setAttribute = function (name, value) {
    if (name !== "src" || !isElsewhere(value)) setAttribute.call(this, name, value);
  };
  Object.defineProperty(image, "src", {
    get,
    set(url) {
      if (!isElsewhere(url)) set.call(this, url);
    },
  });
})();
