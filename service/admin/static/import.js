// The page that imports a file: its beginning is sent for a preview, all of it for each run.
const form = document.getElementById("import-form");
const BEGINNING = 256 * 1024;
const token = () => document.querySelector('meta[name="csrf"]').content;

function made(tag, text = "", attributes = {}) {
  const element = document.createElement(tag);
  element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

function begin() {
  const part = (name) => document.getElementById(`import-${name}`);
  const fault = part("fault"), steps = part("steps"), result = part("result"), progress = part("progress");
  let file = null, shape = null;

  const fail = (message) => { fault.textContent = message; fault.hidden = message === ""; };
  const mode = () => form.querySelector('input[name="mode"]:checked').value;

  part("file").addEventListener("change", async (event) => {
    fail("");
    result.replaceChildren();
    steps.hidden = true;
    file = event.target.files[0] ?? null;
    if (file === null) return;
    if (file.size > Number(form.dataset.most)) { fail("The file is too large."); return; }
    const answer = await fetch(`${form.dataset.preview}?whole=${file.size <= BEGINNING ? 1 : 0}`, {
      method: "POST", body: file.slice(0, BEGINNING),
      headers: { "x-csrf-token": token(), accept: "application/json", "content-type": "application/octet-stream" },
    });
    const told = await answer.json();
    if (!answer.ok) { fail([told.message, told.hint].filter(Boolean).join(" ")); return; }
    shape = told;
    show();
    steps.hidden = false;
    part("background").checked = file.size > Number(form.dataset.large);
  });

  function show() {
    const names = { ",": "commas", ";": "semicolons", "\t": "tabulators", "|": "bars" };
    part("shape").textContent = `Fields are parted by ${names[shape.delimiter]}, the charset is ${shape.charset}.`;
    const heads = made("tr"), choices = made("tr");
    shape.columns.forEach((column, number) => {
      heads.append(made("th", column.name, { scope: "col" }));
      const choice = part("choice").content.firstElementChild.cloneNode(true);
      choice.setAttribute("aria-label", `${column.name} is for`);
      choice.dataset.column = number;
      choice.value = column.matched ?? "";
      const cell = made("td");
      cell.append(choice);
      if (column.is_fixed) cell.append(made("p", "made by PostgreSQL", { class: "faint" }));
      choices.append(cell);
    });
    const table = part("preview");
    table.tHead.replaceChildren(heads, choices);
    table.tBodies[0].replaceChildren(...shape.rows.map((row) => {
      const line = made("tr");
      line.append(...row.map((text) => made("td", text.slice(0, 120))));
      return line;
    }));
  }

  form.addEventListener("change", () => { part("sure").hidden = mode() !== "replace"; });
  part("try").addEventListener("click", () => run(true));
  part("run").addEventListener("click", () => run(false));

  function run(isDry) {
    fail("");
    if (!isDry && mode() === "replace" && !part("sure").querySelector("input").checked) {
      fail("Say that all rows may go, below.");
      return;
    }
    const isJob = !isDry && part("background").checked;
    const columns = [...part("preview").querySelectorAll("select")].map((choice) => choice.value);
    const query = new URLSearchParams({
      mode: mode(), columns: JSON.stringify(columns), charset: shape.charset, delimiter: shape.delimiter,
      skip: shape.skip, empty: part("empty").value, most: part("most").value, dry: isDry ? 1 : 0, job: isJob ? 1 : 0,
    });
    if (["skip", "upsert"].includes(mode())) query.set("conflict", part("key").value);
    const request = new XMLHttpRequest();  // fetch does not tell how much it has sent
    request.open("POST", `${form.dataset.run}?${query}`);
    request.setRequestHeader("x-csrf-token", token());
    request.setRequestHeader("accept", "application/json");
    request.setRequestHeader("content-type", "text/csv");
    request.upload.addEventListener("progress", (event) => {
      if (event.loaded < event.total) progress.value = event.loaded / event.total;
      else progress.removeAttribute("value");  // it is written now
    });
    request.addEventListener("load", () => {
      let told = {};
      try { told = JSON.parse(request.responseText); } catch { told = { message: "The answer cannot be read." }; }
      if (told.job) follow(told.job.id); else finish(told, isDry);
    });
    request.addEventListener("error", () => finish({ message: "The connection broke off. Whether it was imported is not known: look at the table." }, isDry));
    busy(true);
    result.replaceChildren(made("p", isDry ? "Trying…" : "Importing…"));
    request.send(file);
  }

  function busy(isBusy) {
    progress.hidden = !isBusy;
    progress.value = 0;
    for (const name of ["try", "run", "file"]) part(name).disabled = isBusy;
  }

  async function follow(id) {
    result.replaceChildren(made("p", "A worker imports it. You may leave this page."));
    for (;;) {
      await new Promise((resolve) => { setTimeout(resolve, 700); });
      let told;
      try {
        const answer = await fetch(`${form.dataset.job}?id=${id}`, { headers: { accept: "application/json" } });
        told = await answer.json();
        if (!answer.ok) { finish(told, false); return; }
      } catch { continue; }  // the service restarts: the worker goes on
      if (told.is_done) { finish(told, false); return; }
      progress.value = told.progress;
    }
  }

  function finish(told, isDry) {
    busy(false);
    const parts = [];
    const rejected = told.summary?.rejected ?? told.rejected ?? [];
    if (told.summary) {
      const counts = ["written", "inserted", "updated", "skipped", "deleted"].filter((name) => told.summary[name] > 0)
        .map((name) => `${told.summary[name]} ${name}`);
      if (rejected.length) counts.push(`${rejected.length} refused`);
      const what = counts.join(", ") || "no rows";
      parts.push(made("p", isDry ? `If it were imported so: ${what}. Nothing was kept.` : `Imported: ${what}.`, { class: rejected.length ? "warn" : "good" }));
    } else {
      parts.push(made("p", [told.message, told.hint, isDry ? "" : "Nothing was imported."].filter(Boolean).join(" "), { class: "fault", role: "alert" }));
    }
    if (rejected.length) parts.push(listed(rejected));
    result.replaceChildren(...parts);
    result.focus();
  }

  function listed(rejected) {
    const frame = made("div", "", { class: "table-frame", tabindex: "0", role: "region", "aria-label": "Rows that were refused" });
    const table = made("table", "", { class: "rows" }), head = made("thead"), body = made("tbody"), names = made("tr");
    names.append(...["Line", "Column", "Why", "Value"].map((name) => made("th", name, { scope: "col" })));
    head.append(names);
    for (const one of rejected) {
      const row = made("tr");
      row.append(...[one.row, one.column ?? "", one.reason, one.value ?? ""].map((text) => made("td", String(text))));
      body.append(row);
    }
    table.append(head, body);
    frame.append(table);
    return frame;
  }
}

if (form !== null) begin();
