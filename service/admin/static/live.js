// Says so when others change what the page shows: one feed, while the page is seen, with a ticket for each connection.
const MOST = 1000;
const MOST_TRIES = 20;
const FIRST_WAIT = 1000;
const LONGEST_WAIT = 60000;
const ANSWER_WAIT = 1000;
const csrf = document.querySelector('meta[name="csrf"]').content;

class Live {
  #bar; #source = null; #place = ""; #tries = 0; #timer = 0; #isOpening = false;
  #changed = new Set();
  #rows = new Map();

  constructor(bar) {
    this.#bar = bar;
    for (const row of document.querySelectorAll("tr[data-key]")) this.#rows.set(row.dataset.key, row);
    document.addEventListener("visibilitychange", () => (document.hidden ? this.#rest() : this.#open()));
    addEventListener("pagehide", () => this.#rest());
    this.#open();
  }

  async #open() {
    clearTimeout(this.#timer);
    if (document.hidden || this.#source !== null || this.#isOpening) return;
    this.#isOpening = true;
    try {
      const headers = { "x-csrf-token": csrf, accept: "application/json" };
      const answer = await fetch(this.#bar.dataset.feed, { method: "POST", headers });
      if (answer.status === 429 || answer.status >= 500) throw new Error(answer.status);
      if (!answer.ok) return;  // logged out, or no longer allowed
      const { feed, key } = await answer.json();
      if (feed === null || document.hidden) return;
      this.#follow(feed, key);
    } catch {
      this.#later();
    } finally {
      this.#isOpening = false;
    }
  }

  #follow(feed, key) {
    const source = new EventSource(this.#place ? `${feed}&cursor=${encodeURIComponent(this.#place)}` : feed);
    this.#source = source;
    for (const kind of ["insert", "update", "delete"]) {
      source.addEventListener(kind, (event) => this.#note(kind, event, key));
    }
    for (const kind of ["up-to-date", "heartbeat"]) {
      source.addEventListener(kind, (event) => { this.#place = event.lastEventId || this.#place; this.#tries = 0; });
    }
    source.addEventListener("must-refetch", () => { this.#place = ""; this.#say("Rows here were changed."); });
    // It would come back by itself with the same ticket, which is good once.
    const reopen = () => { if (this.#source === source) { this.#rest(); this.#later(); } };
    source.addEventListener("end", reopen);
    source.addEventListener("error", reopen);
  }

  #rest() {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
  }

  #later() {
    if (this.#tries >= MOST_TRIES) return;
    const wait = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** this.#tries);
    this.#tries += 1;
    this.#timer = setTimeout(() => this.#open(), wait);
  }

  #note(kind, event, key) {
    this.#place = event.lastEventId || this.#place;
    const change = JSON.parse(event.data);
    const held = change.row ?? change.key;
    const name = keyText(key.map((column) => String(held[column])));
    if (this.#bar.dataset.last) {
      this.#tellWho(kind);
      return;
    }
    const row = this.#rows.get(name);
    // What was saved in a cell here is shown already. The answer to it may come after the event.
    const tell = () => { if (row?.dataset.version !== change._etag?.slice(1, -1)) this.#tellOf(kind, name, row); };
    if (kind === "update" && row !== undefined) setTimeout(tell, ANSWER_WAIT); else this.#tellOf(kind, name, row);
  }

  #tellOf(kind, name, row) {
    if (this.#changed.size < MOST) this.#changed.add(name);
    if (row !== undefined) row.classList.add(kind === "delete" ? "gone" : "changed");
    const count = this.#changed.size;
    const rows = count === 1 ? "1 row was" : `${count >= MOST ? "More than " : ""}${count} rows were`;
    this.#say(`${rows} changed here.`);
  }

  async #tellWho(kind) {
    const done = kind === "delete" ? "deleted" : "changed";
    let who = "Somebody";
    try {
      const answer = await fetch(this.#bar.dataset.last, { headers: { accept: "application/json" } });
      if (answer.ok) who = (await answer.json()).who ?? who;
    } catch { /* that it was changed is known without it */ }
    this.#say(`${who} ${who === "You" ? "have" : "has"} ${done} this row meanwhile.`);
  }

  #say(text) {
    this.#bar.querySelector("span").textContent = text;
    this.#bar.hidden = false;
  }
}

// A key as the API's paths write it.
function keyText(values) {
  return values
    .map((value) => {
      const isOdd = ["", ".", ".."].includes(value) || value.startsWith('"') || (values.length > 1 && value.includes(","));
      return isOdd ? `"${value.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"` : value;
    })
    .join(",");
}

const bar = document.getElementById("live");
if (bar !== null) new Live(bar);
