// Cells are moved between by arrows and edited in their place; the form comes from the server, and works without this.
const table = document.getElementById("rows");
if (table !== null && table.dataset.cellPath !== undefined) {
  const cells = [...table.querySelectorAll("td[data-editable]")];
  table.setAttribute("role", "grid");
  document.getElementById("edit-hint")?.removeAttribute("hidden");
  let editing = null; // the cell, and what it showed

  const button = document.createElement("button");
  button.type = "button";
  button.className = "quiet small cell-button";
  button.textContent = "✎";
  button.tabIndex = -1;
  button.addEventListener("click", () => open(button.closest("td")));

  const reach = (cell) => {
    for (const one of cells) one.tabIndex = one === cell ? 0 : -1;
  };
  for (const cell of cells) {
    cell.addEventListener("focus", () => { reach(cell); offer(cell); });
    cell.addEventListener("mouseenter", () => offer(cell));
    cell.addEventListener("dblclick", (event) => { if (!event.target.closest("a, form")) open(cell); });
    cell.addEventListener("keydown", (event) => {
      if (event.target !== cell) return;
      if (event.key === "Enter" || event.key === "F2") { event.preventDefault(); open(cell); return; }
      const next = neighbour(cell, event.key);
      if (next === null) return;
      event.preventDefault();
      event.stopPropagation();
      next.focus();
    });
  }
  if (cells.length > 0) reach(cells[0]);

  function offer(cell) {
    if (editing !== null || cell.contains(button)) return;
    button.setAttribute("aria-label", `Edit ${cell.dataset.column} of ${cell.closest("tr").dataset.key}`);
    cell.append(button);
  }

  function neighbour(cell, key) {
    const row = cell.closest("tr");
    const inRow = [...row.querySelectorAll("td[data-editable]")];
    const place = inRow.indexOf(cell);
    switch (key) {
      case "ArrowLeft": return inRow[place - 1] ?? null;
      case "ArrowRight": return inRow[place + 1] ?? null;
      case "ArrowUp": return row.previousElementSibling?.querySelectorAll("td[data-editable]")[place] ?? null;
      case "ArrowDown": return row.nextElementSibling?.querySelectorAll("td[data-editable]")[place] ?? null;
    }
    return null;
  }

  async function open(cell) {
    if (editing !== null) return;
    button.remove();
    editing = { cell, shown: [...cell.childNodes], isSending: false };
    const row = cell.closest("tr");
    const query = new URLSearchParams({ column: cell.dataset.column, version: row.dataset.version });
    await take(fetch(`${table.dataset.cellPath}/${row.dataset.slug}?${query}`, { headers: { accept: "application/json, text/html" } }));
  }

  // What the server answers: the row as it is now, the form again with what is wrong, or why there is none.
  async function take(request) {
    const { cell } = editing;
    let answer;
    try {
      answer = await request;
      if ((answer.headers.get("content-type") ?? "").startsWith("application/json")) {
        const body = await answer.json();
        if (answer.ok) saved(body); else refuse(body.message ?? "This could not be done.", body.hint);
        return;
      }
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const form = page.getElementById("cell-form");
      if (form === null) { refuse("The server gave no form. Load the page again."); return; }
      show(cell, document.importNode(form, true));
    } catch {
      refuse("The server cannot be reached. What you typed is still here; try again.");
    }
  }

  function show(cell, form) {
    cell.replaceChildren(form);
    cell.classList.add("editing");
    document.dispatchEvent(new CustomEvent("rowhouse:form", { detail: form }));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (editing.isSending) return;
      editing.isSending = true;
      const body = new FormData(form, event.submitter);
      // As a form without files is sent: a text stays a text.
      const isPlain = [...body.values()].every((value) => typeof value === "string");
      take(fetch(form.action, {
        method: "POST", body: isPlain ? new URLSearchParams(body) : body, headers: { accept: "application/json, text/html" },
      })).finally(() => { if (editing !== null) editing.isSending = false; });
    });
    form.addEventListener("keydown", (event) => {
      if (event.key === "Escape") { event.preventDefault(); close(); }
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey || isOneLine(event))) { event.preventDefault(); form.requestSubmit(form.querySelector("button.main")); }
    });
    form.querySelector("[data-cancel]")?.addEventListener("click", (event) => { event.preventDefault(); close(); });
    const field = form.querySelector('.control :is(input:not([type="hidden"]), select, textarea)');
    field?.focus();
    field?.select?.();
  }

  // Enter saves a text of one line, as it saves every other input; Shift and Enter begin another line.
  function isOneLine({ target, shiftKey, isComposing }) {
    return target.matches('.field[data-kind="text"] textarea') && !target.value.includes("\n") && !shiftKey && !isComposing;
  }

  function refuse(message, hint) {
    const { cell } = editing;
    const form = cell.querySelector("form");
    const told = document.createElement("p");
    told.className = "fault";
    told.setAttribute("role", "alert");
    told.textContent = hint ? `${message} ${hint}` : message;
    if (form === null) {
      close();
      cell.append(told);
      return;
    }
    form.querySelector(":scope > p.fault[role=alert]")?.remove();
    form.prepend(told);
  }

  function close() {
    const { cell, shown } = editing;
    editing = null;
    cell.classList.remove("editing");
    cell.replaceChildren(...shown);
    cell.focus();
  }

  function saved(body) {
    const { cell } = editing;
    const row = cell.closest("tr");
    close();
    cell.querySelector("p.fault")?.remove();
    row.dataset.version = body.version;
    const box = row.querySelector("td.tick input");
    if (box !== null) box.value = body.version;
    for (const one of row.querySelectorAll("td[data-column]")) {
      const drawn = body.cells[one.dataset.column];
      if (drawn === undefined || one.querySelector(":scope > a") !== null && one.dataset.editable === undefined) continue;
      const before = one.textContent;
      one.innerHTML = drawn;
      if (one.textContent.trim() !== before.trim()) one.classList.add("changed");
    }
    const told = document.getElementById("edit-hint");
    if (told !== null) { told.setAttribute("role", "status"); told.textContent = body.note; }
  }
}
