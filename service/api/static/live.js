// The page: what is followed, and the changes as they arrive.
import { Feed, problemOf } from "./live-feed.js";

const MOST_LINES = 200;
const MOST_KNOWN = 20_000;
const MOST_LETTERS = 120;
const SECONDS = 60;
const STATES = {
  idle: "Not connected.",
  connecting: "Connecting …",
  "catching-up": "Catching up …",
  live: "Connected.",
  waiting: "Reconnecting",
  over: "Not connected.",
};

const at = (id) => document.getElementById(id);
const make = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};

/** The rows as they were last heard of, the newest of them. */
class KnownRows {
  #rows = new Map();

  /** Keep a row; its key as the feed writes it. */
  keep(table, key, row) {
    const name = JSON.stringify([table, key]);
    this.#rows.delete(name);
    this.#rows.set(name, row);
    if (this.#rows.size > MOST_KNOWN) this.#rows.delete(this.#rows.keys().next().value);
  }

  /** The row, which is forgotten. */
  take(table, key) {
    const name = JSON.stringify([table, key]);
    const row = this.#rows.get(name);
    this.#rows.delete(name);
    return row;
  }

  clear() {
    this.#rows.clear();
  }
}

/** Changes per second over the last minute. */
class Chart {
  #counts = new Array(SECONDS).fill(0);
  #second = Math.floor(performance.now() / 1000);
  #bars = [];

  constructor(svg, caption) {
    this.caption = caption;
    for (let place = 0; place < SECONDS; place += 1) {
      const bar = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      const width = 240 / SECONDS;
      for (const [name, value] of Object.entries({ x: place * width, width: width - 1, y: 40, height: 0 }))
        bar.setAttribute(name, value);
      svg.append(bar);
      this.#bars.push(bar);
    }
  }

  add() {
    this.#move();
    this.#counts[SECONDS - 1] += 1;
  }

  clear() {
    this.#counts.fill(0);
    this.draw();
  }

  draw() {
    this.#move();
    const most = Math.max(...this.#counts);
    this.#counts.forEach((count, place) => {
      const height = most && (count / most) * 38;
      this.#bars[place].setAttribute("height", height);
      this.#bars[place].setAttribute("y", 40 - height);
    });
    const sum = this.#counts.reduce((one, other) => one + other);
    this.caption.textContent = sum
      ? `${counted(sum, "change")} in the last minute, ${most.toLocaleString()} a second at most`
      : "No changes in the last minute";
  }

  #move() {
    const now = Math.floor(performance.now() / 1000);
    const gone = Math.min(now - this.#second, SECONDS);
    this.#counts = [...this.#counts.slice(gone), ...new Array(gone).fill(0)];
    this.#second = now;
  }
}

/** The newest changes. They are drawn once a frame, however many come. */
class Lines {
  #list;
  #new = [];
  #held = 0;
  #isPaused = false;

  constructor(list) {
    this.#list = list;
  }

  add(line) {
    if (this.#new.length === 0 && !this.#isPaused) requestAnimationFrame(() => this.#draw());
    this.#new.push(line);
    if (this.#new.length > MOST_LINES) this.#new.shift();
    if (this.#isPaused) this.#tell(this.#held + 1);
  }

  pause(isPaused) {
    this.#isPaused = isPaused;
    this.#tell(0);
    if (!isPaused) this.#draw();
  }

  clear() {
    this.#new = [];
    this.#tell(0);
    this.#list.replaceChildren();
    at("none").hidden = false;
  }

  #draw() {
    if (this.#isPaused) return;
    const made = this.#new.splice(0).reverse().map((line) => line());
    if (made.length) at("none").hidden = true;
    this.#list.prepend(...made);
    while (this.#list.children.length > MOST_LINES) this.#list.lastChild.remove();
  }

  #tell(held) {
    this.#held = held;
    const place = at("waiting");
    place.hidden = !this.#isPaused;
    place.textContent = `Paused: ${counted(held, "change")} since.`;
  }
}

const counted = (number, noun) => `${number.toLocaleString()} ${noun}${number === 1 ? "" : "s"}`;

const text = (value) => {
  const whole = value !== null && typeof value === "object" ? JSON.stringify(value) : String(value);
  return whole.length > MOST_LETTERS ? `${whole.slice(0, MOST_LETTERS)}…` : whole;
};

const member = (name, ...values) => make("span", { className: "member" }, make("b", {}, name), " ", ...values);

const members = (row) => Object.entries(row).map(([name, value]) => member(name, text(value)));

const differences = (before, now) =>
  Object.entries(now)
    .filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(before[name]))
    .map(([name, value]) => member(name, make("del", {}, text(before[name])), " → ", make("ins", {}, text(value))));

/** What there is to say of a change. `before` is the row as it was, where that is known. */
const details = ({ type, moved, row, old_key: oldKey }, before) => {
  if (type === "delete") return [...(moved ? ["no longer meets the filter "] : []), ...members(before ?? {})];
  if (type === "insert") return [...(moved ? ["meets the filter now "] : []), ...members(row)];
  if (before === undefined) return members(row);
  const found = differences(before, row);
  if (found.length) return found;
  return [oldKey ? "another key" : "nothing of what is shown here"];
};

const WORDS = { insert: "insert", update: "update", delete: "delete", in: "moves in", out: "moves out" };

const clock = (when) => when.toLocaleTimeString("en-GB");

const keyText = (key) => Object.values(key ?? {}).map(text).join(", ");

const lineOf = (event, before) => {
  const when = new Date(event.at);
  const time = `${clock(when)}.${String(when.getMilliseconds()).padStart(3, "0")}`;
  const key = event.old_key ? `${keyText(event.old_key)} → ${keyText(event.key)}` : keyText(event.key);
  return make(
    "li",
    { className: event.moved ? `${event.type} moved` : event.type },
    make("time", { dateTime: event.at, title: event.at }, time),
    make("span", { className: "table" }, event.table),
    make("span", { className: "kind" }, WORDS[event.moved ?? event.type]),
    make("span", { className: "key" }, key),
    make("span", { className: "details" }, ...details(event, before)),
  );
};

/** The tables that may be read, which of them are chosen, and what of each. */
class Choice {
  #tables = new Map();
  #parts = new Map();

  constructor() {
    at("find").addEventListener("input", () => this.#find());
    at("tables").addEventListener("change", ({ target }) => this.#choose(target.value, target.checked));
  }

  async load() {
    const place = at("tables");
    try {
      const answer = await fetch("api/v1/-/tables", { headers: credential() });
      if (!answer.ok) throw new Error(await problemOf(answer));
      const found = await answer.json();
      this.#tables = new Map(found.filter((table) => table.actions.includes("read")).map((table) => [table.name, table]));
    } catch (error) {
      this.#tables = new Map();
      place.replaceChildren(make("p", { className: "trouble" }, error.message));
      return;
    }
    for (const name of this.#parts.keys()) if (!this.#tables.has(name)) this.#choose(name, false);
    place.replaceChildren(...[...this.#tables.values()].map((table) => this.#box(table)));
    if (this.#tables.size === 0)
      place.append(make("p", {}, credential()["X-API-Key"] ? "It may read no table." : "Nothing may be read without a key."));
    at("find-field").hidden = this.#tables.size < 13;
    this.#find();
  }

  get isEmpty() {
    return this.#parts.size === 0;
  }

  /** The columns of a table's key. */
  keyOf(table) {
    return this.#tables.get(table)?.key ?? [];
  }

  /** Where the feed of what is chosen is. */
  url(hasRows) {
    const names = [...this.#parts.keys()];
    const isOne = names.length === 1;
    const query = names.flatMap((name) => this.#query(name, isOne ? "" : `${name}.`));
    if (!isOne) query.unshift(["tables", names.join(",")]);
    if (hasRows) query.push(["snapshot", "true"]);
    // The long form takes every name, also one that is reserved.
    const path = isOne ? `-/tables/${encodeURIComponent(names[0])}/-/changes` : "-/changes";
    const written = query.map((pair) => pair.map(encodeURIComponent).join("=")).join("&");
    return `api/v1/${path}${written && `?${written}`}`;
  }

  #query(name, prefix) {
    const { filter, columns } = this.#parts.get(name);
    const found = filter.value
      .trim()
      .replace(/^\?/, "")
      .split("&")
      .filter(Boolean)
      .map((term) => /^([^=]*)=?(.*)$/s.exec(term).slice(1))
      .map(([column, condition]) => [prefix + decoded(column), decoded(condition)]);
    if (columns.value.trim()) found.push([`${prefix}select`, columns.value.trim()]);
    return found;
  }

  #box({ name, comment }) {
    const box = make("input", { type: "checkbox", value: name, checked: this.#parts.has(name) });
    return make("label", { title: comment ?? "", className: "check" }, box, " ", name);
  }

  #find() {
    const wanted = at("find").value.toLowerCase();
    for (const label of at("tables").querySelectorAll("label"))
      label.hidden = !label.textContent.toLowerCase().includes(wanted);
  }

  #choose(name, isChosen) {
    if (!isChosen) {
      this.#parts.get(name)?.place.remove();
      this.#parts.delete(name);
      return;
    }
    const field = (placeholder) => make("input", { placeholder, spellcheck: false, autocomplete: "off" });
    const filter = field("all rows, or column=eq.value");
    const columns = field("all columns, or one,another");
    const place = make(
      "fieldset",
      {},
      make("legend", {}, name),
      make("label", {}, "Filter ", filter),
      make("label", {}, "Columns ", columns),
    );
    at("parts").append(place);
    this.#parts.set(name, { place, filter, columns });
  }
}

/** What may have been copied from a URL. A plus is a plus, as in a time zone. */
const decoded = (term) => {
  try {
    return decodeURIComponent(term);
  } catch {
    return term;
  }
};

const credential = () => (at("key").value.trim() ? { "X-API-Key": at("key").value.trim() } : {});

class Page {
  #feed = null;
  #choice = new Choice();
  #known = new KnownRows();
  #lines = new Lines(at("changes"));
  #chart = new Chart(at("chart"), at("chart-text"));
  #counts = { insert: 0, update: 0, delete: 0, rows: 0 };
  #again = 0;

  constructor() {
    at("key").value = sessionStorage.getItem("key") ?? "";
    at("choice").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#connect();
    });
    at("use-key").addEventListener("click", () => this.#useKey());
    at("key").addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      this.#useKey();
    });
    at("disconnect").addEventListener("click", () => this.#disconnect());
    at("pause").addEventListener("click", ({ currentTarget }) => this.#pause(currentTarget));
    at("clear").addEventListener("click", () => this.#clear());
    setInterval(() => this.#tick(), 1000);
    this.#choice.load();
  }

  /** The key is kept until this tab is closed, and nowhere else. */
  #useKey() {
    sessionStorage.setItem("key", at("key").value.trim());
    this.#choice.load();
  }

  #connect() {
    if (this.#choice.isEmpty) {
      this.#disconnect("Choose a table first.");
      return;
    }
    this.#feed?.stop();
    this.#known.clear();
    this.#notice("");
    sessionStorage.setItem("key", at("key").value.trim());
    at("connect").textContent = "Reconnect";
    at("disconnect").disabled = false;
    this.#feed = new Feed(this.#choice.url(at("rows-first").checked), credential(), {
      event: (event) => this.#take(event),
      state: (name, reason, seconds) => this.#state(name, reason, seconds),
    });
  }

  #disconnect(reason = "") {
    this.#feed?.stop();
    this.#state("idle", reason);
  }

  #take(event) {
    switch (event.type) {
      case "insert":
      case "update":
      case "delete":
        this.#change(event);
        break;
      case "rows":
        this.#rows(event);
        break;
      case "gap":
        this.#notice("You were behind: what was not read in time is read from the log.");
        break;
      case "must-refetch":
        this.#known.clear();
        this.#notice(event.message ?? "Some changes are gone: the rows must be read again. The feed goes on from now.");
    }
  }

  #change(event) {
    this.#counts[event.type] += 1;
    this.#chart.add();
    const before = this.#known.take(event.table, event.old_key ?? event.key);
    if (event.type !== "delete") this.#known.keep(event.table, event.key, event.row);
    this.#lines.add(() => lineOf(event, before));
  }

  #rows({ table, rows }) {
    this.#counts.rows += rows.length;
    const names = this.#choice.keyOf(table);
    for (const row of rows) {
      const key = names.length ? Object.fromEntries(names.map((name) => [name, row[name]])) : row;
      this.#known.keep(table, key, row);
    }
  }

  #state(name, reason = "", seconds = 0) {
    at("standing").dataset.state = name;
    at("state").textContent = STATES[name];
    at("reason").textContent = reason;
    this.#again = name === "waiting" ? performance.now() + seconds * 1000 : 0;
    if (name === "idle" || name === "over") {
      at("connect").textContent = "Connect";
      at("disconnect").disabled = true;
    }
    this.#countDown();
  }

  /** It stays, with its time, since it is of what has been read. */
  #notice(message) {
    const place = at("notice");
    place.hidden = message === "";
    place.textContent = message && `${clock(new Date())}: ${message}`;
  }

  #countDown() {
    const left = Math.max(Math.ceil((this.#again - performance.now()) / 1000), 0);
    at("countdown").textContent = this.#again ? (left ? `in ${left} s.` : "now.") : "";
  }

  #tick() {
    this.#countDown();
    this.#chart.draw();
    for (const [name, count] of Object.entries(this.#counts)) at(`count-${name}`).textContent = count.toLocaleString();
  }

  #pause(button) {
    const isPaused = button.getAttribute("aria-pressed") === "false";
    button.setAttribute("aria-pressed", isPaused);
    button.textContent = isPaused ? "Go on" : "Pause";
    this.#lines.pause(isPaused);
  }

  #clear() {
    this.#notice("");
    this.#lines.clear();
    this.#chart.clear();
    for (const name of Object.keys(this.#counts)) this.#counts[name] = 0;
    this.#tick();
  }
}

new Page();
