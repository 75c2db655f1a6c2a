// Lists: ticking rows, the order of columns, and sorting by several with the shift key.
const bulk = document.getElementById("bulk-form");
if (bulk !== null) {
  const page = document.getElementById("tick-page");
  const all = document.getElementById("tick-all");
  const told = document.getElementById("ticked");
  const boxes = [...document.querySelectorAll('#rows td.tick input[type="checkbox"]')];

  const tell = () => {
    const ticked = boxes.filter((box) => box.checked).length;
    told.textContent = all.checked ? "" : ticked === 0 ? "No row is selected." : ticked === 1 ? "1 row is selected." : `${ticked} rows are selected.`;
    if (page !== null) {
      page.checked = ticked > 0 && ticked === boxes.length;
      page.indeterminate = ticked > 0 && ticked < boxes.length;
    }
    const isIdle = ticked === 0 && !all.checked;
    bulk.classList.toggle("idle", isIdle);
    for (const button of bulk.querySelectorAll("button")) button.disabled = isIdle;
    for (const box of boxes) box.closest("tr").classList.toggle("ticked", box.checked || all.checked);
  };
  page?.addEventListener("change", () => {
    for (const box of boxes) box.checked = page.checked;
    tell();
  });
  all.addEventListener("change", tell);
  let last = null;
  for (const box of boxes) {
    box.addEventListener("click", (event) => {
      if (event.shiftKey && last !== null) {
        const [from, to] = [boxes.indexOf(last), boxes.indexOf(box)].sort((one, other) => one - other);
        for (const one of boxes.slice(from, to + 1)) one.checked = box.checked;
      }
      last = box;
      tell();
    });
  }
  tell();
  addEventListener("pageshow", tell); // a browser that goes back ticks boxes again by itself
}

// Columns move up and down in the list that chooses them.
for (const item of document.querySelectorAll(".columns-list li")) {
  const name = item.textContent.trim();
  for (const [sign, words, move] of [
    ["↑", "up", () => item.previousElementSibling?.before(item)],
    ["↓", "down", () => item.nextElementSibling?.after(item)],
  ]) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "quiet small";
    button.textContent = sign;
    button.setAttribute("aria-label", `Move ${name} ${words}`);
    button.addEventListener("click", () => { move(); button.focus(); });
    item.append(button);
  }
}

// Shift and click: this column as well, behind those that rows are sorted by already.
for (const link of document.querySelectorAll("#rows th a[data-term]")) {
  link.title = "Shift and click sorts by this column as well";
  link.addEventListener("click", (event) => {
    if (!event.shiftKey) return;
    event.preventDefault();
    const target = new URL(link.href);
    const order = new URLSearchParams(location.search).get("order") ?? "";
    const others = order.split(/,(?=(?:[^"]*"[^"]*")*[^"]*$)/)
      .filter((term) => term !== "" && term !== link.dataset.name && !term.startsWith(`${link.dataset.name}.`));
    target.searchParams.set("order", [...others, link.dataset.term].join(","));
    location.assign(target);
  });
}
