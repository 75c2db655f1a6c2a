"use strict";
// A document of many tables is slow to show: then the page lists them, and shows one at a time.
(() => {
  const MOST_SHOWN = 50;
  const chosen = () => new URLSearchParams(location.search).getAll("table");
  const query = (names) => new URLSearchParams(names.map((name) => ["table", name])).toString();

  const link = (name, page) => {
    const item = document.createElement("li");
    const anchor = document.createElement("a");
    anchor.href = `${page}?${query([name])}`;
    anchor.textContent = name;
    item.append(anchor);
    return item;
  };

  const fill = (list, names, page) => {
    list.querySelector("ul").replaceChildren(...names.map((name) => link(name, page)));
    list.querySelector("output").textContent = `${names.length} tables and functions`;
    list.querySelector("input").oninput = (event) => {
      const wanted = event.target.value.toLowerCase();
      for (const item of list.querySelectorAll("li")) item.hidden = !item.textContent.toLowerCase().includes(wanted);
    };
  };

  // Where the document to show is; null where the list is shown in its place.
  // Throws the message of the answer where the document is refused.
  window.documentUrl = async (page, headers) => {
    const list = document.getElementById("tables");
    const names = chosen();
    document.getElementById("all-tables").hidden = names.length === 0;
    list.hidden = true;
    const answer = await fetch("openapi.json?table=", { headers });
    const found = await answer.json();
    if (!answer.ok) throw new Error(found.message);
    if (names.length) return `openapi.json?${query(names)}`;
    const all = found["x-tables"] ?? [];
    if (all.length <= MOST_SHOWN) return "openapi.json";
    fill(list, all, page);
    list.hidden = false;
    return null;
  };
})();
