// What every page does: the menu, keys, and filters that offer what fits a column.
import "./filters.js";
import "./forms.js";
import "./import.js";
import "./lists.js";
import "./cell.js";
import "./live.js";

const menu = document.getElementById("menu");
const menuButton = document.getElementById("menu-button");
menuButton.addEventListener("click", () => {
  const isOpen = menu.classList.toggle("open");
  menuButton.setAttribute("aria-expanded", String(isOpen));
});

const search = document.getElementById("menu-search");
search.addEventListener("input", () => {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const item of menu.querySelectorAll("li")) {
    const text = item.textContent.toLowerCase();
    item.hidden = !words.every((word) => text.includes(word));
  }
});
search.addEventListener("keydown", (event) => {
  if (event.key !== "Enter") return;
  const first = menu.querySelector("li:not([hidden]) a");
  if (first !== null && search.value !== "") first.click();
});

// Keys: "/" finds a table; Ctrl+S saves; a letter alone does what its button says (data-key).
document.addEventListener("keydown", (event) => {
  const isTyping = event.target.matches("input, textarea, select, [contenteditable]");
  const isSave = (event.ctrlKey || event.metaKey) && event.key === "s";
  if (isSave) {
    const button = document.querySelector('button[data-key="s"]');
    if (button !== null) { event.preventDefault(); button.click(); }
    return;
  }
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") {
    event.preventDefault();
    menu.classList.add("open");
    search.focus();
    return;
  }
  const target = document.querySelector(`a[data-key="${CSS.escape(event.key)}"]`);
  if (target !== null) { event.preventDefault(); target.click(); }
});
