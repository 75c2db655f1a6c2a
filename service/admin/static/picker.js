// Pickers of the rows that foreign keys refer to: a combobox (WAI-ARIA Authoring Practices) on the input of the key.
const WAIT = 200;
let lists = 0;

async function asked(input, parameters) {
  const path = `${input.dataset.lookup}&${new URLSearchParams(parameters)}`;
  const answer = await fetch(path, { headers: { accept: "application/json" } });
  if (!answer.ok) return { items: [], note: "The rows cannot be looked up." };
  return answer.json();
}

const inputOf = (column) => document.querySelector(`.field[data-column="${CSS.escape(column)}"] [name="now.${CSS.escape(column)}"]`);

function attach(input) {
  input.hidden = false;
  const list = document.createElement("ul");
  list.id = `options-${lists += 1}`;
  list.className = "options";
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", "Rows to choose from");
  list.hidden = true;
  input.after(list);
  const isKey = input.dataset.of !== undefined;
  const chosen = input.closest(".together")?.querySelector(".chosen");
  for (const [name, value] of [["role", "combobox"], ["aria-expanded", "false"], ["aria-controls", list.id], ["aria-autocomplete", "list"]]) {
    input.setAttribute(name, value);
  }
  let items = [], at = -1, timer = 0, last = 0;

  const close = () => { list.hidden = true; at = -1; input.setAttribute("aria-expanded", "false"); input.removeAttribute("aria-activedescendant"); };
  const mark = (place) => {
    at = place;
    [...list.querySelectorAll('[role="option"]')].forEach((one, number) => one.setAttribute("aria-selected", String(number === at)));
    const one = list.querySelectorAll('[role="option"]')[at];
    if (one) { input.setAttribute("aria-activedescendant", one.id); one.scrollIntoView({ block: "nearest" }); }
  };
  const tell = (item) => {
    if (!chosen) return;
    chosen.replaceChildren();
    const text = item.label ?? item.key;
    if (item.path === null) { chosen.textContent = text; return; }
    const link = document.createElement("a");
    link.href = item.path;
    link.textContent = text;
    chosen.append(link);
  };
  const pick = (item) => {
    for (const [column, value] of Object.entries(item.values)) {
      const target = inputOf(column);
      if (target === null) continue;
      target.value = value ?? "";
      target.dispatchEvent(new Event("input", { bubbles: true }));
    }
    if (!isKey) input.value = "";
    clearTimeout(timer);
    last += 1;
    tell(item);
    close();
    input.focus();
  };
  const show = (told) => {
    items = told.items;
    list.replaceChildren(...items.map((item, number) => {
      const one = document.createElement("li");
      one.id = `${list.id}-${number}`;
      one.setAttribute("role", "option");
      one.setAttribute("aria-selected", "false");
      const key = document.createElement("b");
      key.textContent = item.key;
      one.append(key);
      if (item.label !== null && item.label !== item.key) one.append(` ${item.label}`);
      one.addEventListener("mousedown", (event) => { event.preventDefault(); pick(item); });
      return one;
    }));
    if (told.note || items.length === 0) {
      const note = document.createElement("li");
      note.className = "faint";
      note.setAttribute("role", "presentation");
      note.textContent = told.note || "No row is found.";
      list.append(note);
    }
    list.hidden = false;
    at = -1;
    input.setAttribute("aria-expanded", "true");
  };
  const search = async () => {
    const number = last += 1;
    const told = await asked(input, { q: input.value });
    if (number === last && document.activeElement === input) show(told);
  };
  input.addEventListener("input", (event) => {
    if (!event.isTrusted) return;  // set by a choice
    chosen?.replaceChildren();
    clearTimeout(timer);
    timer = setTimeout(search, WAIT);
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (list.hidden) { search(); return; }
      if (items.length) mark((at + (event.key === "ArrowDown" ? 1 : -1) + items.length) % items.length);
    } else if (event.key === "Enter" && !list.hidden) {
      event.preventDefault();
      if (at >= 0) pick(items[at]); else close();
    } else if (event.key === "Escape" && !list.hidden) { event.preventDefault(); close(); }
  });
  input.addEventListener("blur", () => { clearTimeout(timer); last += 1; close(); });
  input.addEventListener("click", () => { if (list.hidden) search(); });
  input.closest(".field")?.addEventListener("emptied", () => chosen?.replaceChildren());
  if (isKey && input.value !== "" && chosen && chosen.textContent.trim() === "") {
    asked(input, { [`is.${input.dataset.of}`]: input.value }).then((told) => { if (told.items[0]) tell(told.items[0]); });
  }
}

export function attachPickers(root) {
  for (const input of root.querySelectorAll("input[data-lookup]")) attach(input);
}
