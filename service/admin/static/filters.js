// The form that adds a filter offers the operators that fit the column, and no value where none is needed.
const column = document.getElementById("filter-column");
if (column !== null) {
  const operator = document.getElementById("filter-operator");
  const value = document.getElementById("filter-value");
  const all = [...operator.options];

  const fitValue = () => { value.hidden = operator.selectedOptions[0]?.hasAttribute("data-alone") ?? false; };
  const fitOperators = () => {
    const wanted = (column.selectedOptions[0].dataset.operators ?? "").split(" ");
    operator.replaceChildren(...all.filter((one) => wanted.includes(one.value))
      .sort((one, other) => wanted.indexOf(one.value) - wanted.indexOf(other.value)));
    operator.hidden = value.hidden = column.value === "";
    if (column.value !== "") { operator.selectedIndex = 0; fitValue(); }
  };
  column.addEventListener("change", () => { fitOperators(); if (!value.hidden) value.focus(); });
  operator.addEventListener("change", fitValue);
  fitOperators();
}
