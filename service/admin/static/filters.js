// The form that adds a filter offers the operators that fit the column, and a control that fits its values.
const TYPES = { date: "date", time: "time", timestamp: "datetime-local", timestamptz: "datetime-local" };
const LISTS = ["in", "notin"];

const column = document.getElementById("filter-column");
if (column !== null) {
  const operator = document.getElementById("filter-operator");
  const typed = document.getElementById("filter-value");
  const all = [...operator.options];
  const chosen = document.createElement("select");
  chosen.name = typed.name;
  chosen.setAttribute("aria-label", "Value");
  chosen.hidden = chosen.disabled = true;
  typed.after(chosen);

  const fitValue = () => {
    const of = column.selectedOptions[0].dataset;
    const isAlone = column.value === "" || (operator.selectedOptions[0]?.hasAttribute("data-alone") ?? false);
    const isList = LISTS.includes(operator.value);
    const labels = of.labels === undefined ? null : JSON.parse(of.labels);
    chosen.hidden = chosen.disabled = labels === null || isAlone;
    typed.hidden = typed.disabled = labels !== null || isAlone;
    if (labels !== null) {
      chosen.multiple = isList;
      chosen.size = isList ? Math.min(labels.length, 5) : 1;
      chosen.replaceChildren(...labels.map((label) => new Option(label, label)));
    }
    typed.type = isList ? "text" : TYPES[of.kind] ?? "text";
    typed.step = typed.type === "datetime-local" || typed.type === "time" ? "1" : "";
    typed.inputMode = ["integer", "number"].includes(of.kind) && !isList ? "decimal" : "text";
    typed.placeholder = isList ? "one, two, three" : of.kind === "timestamptz" ? "time in UTC" : "value";
    typed.title = of.kind === "timestamptz" ? "In UTC" : "";
  };
  const fitOperators = () => {
    const wanted = (column.selectedOptions[0].dataset.operators ?? "").split(" ");
    operator.replaceChildren(...all.filter((one) => wanted.includes(one.value))
      .sort((one, other) => wanted.indexOf(one.value) - wanted.indexOf(other.value)));
    operator.hidden = column.value === "";
    if (column.value !== "") operator.selectedIndex = 0;
    fitValue();
  };
  column.addEventListener("change", () => { fitOperators(); (typed.hidden ? chosen : typed).focus(); });
  operator.addEventListener("change", fitValue);
  fitOperators();
}
