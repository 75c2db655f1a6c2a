// Controls of forms: what scripts add to inputs that work without them.
import { checkJson, formatted } from "./json.js";
import { attachPickers } from "./picker.js";

const inputsOf = (field) => [...field.querySelectorAll("input, select, textarea")]
  .filter((one) => one.type !== "hidden" && one.type !== "checkbox" && !one.name.startsWith("as."));

function prepare(root) {
  // What was refused is where one goes on.
  root.querySelector('.form [aria-invalid="true"]')?.focus();

  // NULL and the control keep in step: what is typed in unticks, ticking empties and remembers.
  for (const box of root.querySelectorAll("[data-null]")) {
    const field = box.closest(".field");
    const others = inputsOf(field);
    const kept = new Map();
    box.addEventListener("change", () => {
      for (const one of others) {
        if (box.checked) { kept.set(one, one.value); one.value = ""; } else if (kept.has(one)) one.value = kept.get(one);
      }
      if (!box.checked) others[0]?.focus();
      field.dispatchEvent(new Event("emptied"));
    });
    for (const one of others) {
      one.addEventListener("input", () => { if (one.value !== "") box.checked = false; });
      one.addEventListener("change", () => { if (one.value !== "" && one.value !== "keep") box.checked = false; });
    }
  }
  for (const box of root.querySelectorAll("[data-empty]")) {
    for (const one of inputsOf(box.closest(".field"))) {
      one.addEventListener("input", () => { box.checked = false; });
      box.addEventListener("change", () => { if (box.checked) one.value = ""; });
    }
  }

  // Texts that grow.
  for (const area of root.querySelectorAll("textarea[data-grows]")) {
    const grow = () => { area.rows = Math.min(30, Math.max(area.rows, area.value.split("\n", 31).length)); };
    area.addEventListener("input", grow);
  }

  // Dates and times as text: for microseconds, infinity and years that the browser's own input does not know.
  for (const button of root.querySelectorAll("[data-as-text]")) {
    button.hidden = false;
    button.addEventListener("click", () => {
      const input = button.parentElement.querySelector("input");
      const value = input.value.replace("T", " ");
      input.type = "text";
      input.value = value;
      input.focus();
      button.remove();
    });
  }

  for (const button of root.querySelectorAll("[data-new-uuid]")) {
    button.hidden = false;
    button.addEventListener("click", () => {
      const input = button.parentElement.querySelector("input");
      input.value = newUuid();
      input.dispatchEvent(new Event("input", { bubbles: true }));
    });
  }

  function newUuid() {
    const bytes = crypto.getRandomValues(new Uint8Array(16));  // randomUUID is there over TLS alone
    bytes[6] = (bytes[6] & 15) | 64;
    bytes[8] = (bytes[8] & 63) | 128;
    const digits = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    return digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
  }

  // JSON: checked when it is left, formatted without a number losing a digit.
  for (const area of root.querySelectorAll("textarea[data-json]")) {
    const button = area.parentElement.querySelector("[data-format]");
    const said = area.parentElement.querySelector("output");
    const check = () => {
      const fault = area.value.trim() === "" ? "" : checkJson(area.value);
      said.textContent = fault;
      said.classList.toggle("fault", fault !== "");
      return fault === "";
    };
    area.addEventListener("change", check);
    area.addEventListener("input", () => { said.textContent = ""; });
    button.hidden = false;
    button.addEventListener("click", () => {
      if (!check() || area.value.trim() === "") return;
      area.value = formatted(area.value);
      area.rows = Math.min(30, area.value.split("\n").length + 1);
      area.dispatchEvent(new Event("input", { bubbles: true }));
    });
  }

  // A file that is chosen is the value.
  for (const input of root.querySelectorAll('.field input[type="file"]')) {
    const choice = input.parentElement.querySelector("select");
    if (choice === null) continue;
    const first = choice.value;
    input.addEventListener("change", () => { if (input.files.length) choice.value = first; });
    choice.addEventListener("change", () => { if (choice.value === "empty") input.value = ""; });
  }

  // Arrays: the same items, one a line or as PostgreSQL writes them.
  for (const choice of root.querySelectorAll("select[data-as]")) {
    const area = choice.closest(".tall").querySelector("textarea");
    choice.addEventListener("change", () => {
      if (choice.value === "literal") {
        const items = area.value.split("\n").filter((line) => line.trim() !== "");
        area.value = items.length || area.value ? `{${items.map(quoted).join(",")}}` : "";
      } else {
        const items = itemsOf(area.value);
        if (items === null) { choice.value = "literal"; return; }  // it has NULL, an empty item or a dimension more
        area.value = items.join("\n");
      }
    });
  }

  const quoted = (item) => (/^[^{}",\\\s]+$/.test(item) && item.toUpperCase() !== "NULL"
    ? item : `"${item.replace(/["\\]/g, "\\$&")}"`);

  function itemsOf(text) {
    if (text.trim() === "" || text.trim() === "{}") return [];
    const found = /^\s*\{(.*)\}\s*$/s.exec(text);
    if (found === null) return null;
    const items = [];
    const one = /\s*(?:"((?:[^"\\]|\\.)*)"|((?:[^"\\{},]|\\.)+))\s*(,|$)/sy;
    let end = false;
    while (!end) {
      const match = one.exec(found[1]);
      if (match === null) return null;
      const item = match[1] ?? match[2].trim();
      if (match[1] === undefined && item.toUpperCase() === "NULL") return null;
      const plain = item.replace(/\\(.)/gs, "$1");
      if (plain.trim() === "" || plain.includes("\n")) return null;
      items.push(plain);
      end = match[3] === "";
    }
    return items;
  }
  attachPickers(root);
}

prepare(document);
// A form that is put into a page later, as that of a cell.
document.addEventListener("rowhouse:form", (event) => prepare(event.detail));
