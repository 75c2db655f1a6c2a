// A feed that goes on from where it was, whatever breaks in between.
//
// It reads Server-Sent Events with fetch rather than with EventSource. EventSource cannot send a key, so each of its
// connections needs a new ticket, while by itself it comes back with the one that is used up; and it does not tell why
// it was refused. With fetch the key and the last id are headers at every try, and a refusal can be read.

// Four times the longest silence of a feed, as it is set by default. After that the connection is taken for lost.
const SILENCE_MS = 60_000;
const MOST_WAIT_SECONDS = 15;
const IS_TEMPORARY = [429, 500, 502, 503, 504];

/** It is of no use to try again. */
class Refused extends Error {}

/** It may go on later. `wait` is in seconds. */
class Interrupted extends Error {
  constructor(message, wait) {
    super(message);
    this.wait = wait;
  }
}

/** Numbers stay as they were written where JavaScript has none that are so long or so exact. */
const parse = (text) =>
  JSON.parse(text, (_, value, context) =>
    typeof value === "number" && context?.source !== undefined && String(value) !== context.source
      ? context.source
      : value,
  );

/** Cuts a stream of text into events (HTML standard, section 9.2). */
class EventParser {
  #rest = "";

  /** The events that are whole with this piece of text. */
  *read(text) {
    const blocks = (this.#rest + text).split("\n\n");
    this.#rest = blocks.pop();
    for (const block of blocks) {
      const event = { id: "", data: "" };
      for (const line of block.split("\n")) {
        const [, name, value] = /^([^:]*):? ?(.*)$/s.exec(line);
        if (Object.hasOwn(event, name)) event[name] += value;
      }
      if (event.data) yield event;
    }
  }
}

export class Feed {
  #url;
  #headers;
  #hears;
  #id = "";
  #tries = 0;
  #abort = new AbortController();
  #isOver = false;

  /**
   * `hears.event(event)` gets each event, `hears.state(name, message, seconds)` what becomes of the connection:
   * connecting, catching-up, live, waiting (for so many seconds) or over.
   */
  constructor(url, headers, hears) {
    this.#url = url;
    this.#headers = headers;
    this.#hears = hears;
    this.#run();
  }

  stop() {
    this.#isOver = true;
    this.#abort.abort();
  }

  async #run() {
    while (!this.#isOver) {
      let wait;
      try {
        await this.#connect();
      } catch (error) {
        if (this.#isOver) return;
        if (error instanceof Refused) {
          this.#isOver = true;
          this.#hears.state("over", error.message);
          return;
        }
        wait = error instanceof Interrupted ? error.wait : undefined;
        if (wait === 0) continue;
        wait ??= Math.min(2 ** this.#tries, MOST_WAIT_SECONDS);
        this.#tries += 1;
        this.#hears.state("waiting", error instanceof Interrupted ? error.message : "", wait);
      }
      // Not all at once, where many were sent away together.
      await new Promise((resolve) => setTimeout(resolve, (wait + Math.random() / 2) * 1000));
    }
  }

  /** Reads until it breaks, which it always does in the end: by an error. */
  async #connect() {
    this.#abort = new AbortController();
    this.#hears.state("connecting");
    const watch = new Watch(() => this.#abort.abort());
    let isWhole = false;
    try {
      const answer = await fetch(this.#url, {
        headers: { ...this.#headers, Accept: "text/event-stream", ...(this.#id && { "Last-Event-ID": this.#id }) },
        cache: "no-store",
        signal: this.#abort.signal,
      });
      await requireFeed(answer);
      this.#hears.state("catching-up");
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      const parser = new EventParser();
      let ending;
      for (;;) {
        const { value, done } = await reader.read();
        isWhole = done;
        if (done) throw ending ?? new Interrupted("");
        watch.restart();
        for (const event of parser.read(value)) ending = this.#take(event);
      }
    } finally {
      watch.stop();
      if (!isWhole) this.#abort.abort();
    }
  }

  /** Hands an event on. Returns how the feed ends, where it is the last one. */
  #take({ id, data }) {
    const event = parse(data);
    if (this.#isOver) return undefined;
    if (id) this.#id = id;
    if (event.type === "up-to-date") {
      this.#tries = 0;
      this.#hears.state("live");
    } else if (event.type === "gap") this.#hears.state("catching-up");
    this.#hears.event(event);
    if (event.type === "must-refetch") this.#beginAnew();
    return event.code && endingOf(event);
  }

  /** What was read is no longer to be gone on from. */
  #beginAnew() {
    this.#id = "";
    throw new Interrupted("", 0);
  }
}

function endingOf({ code, message }) {
  if (code === "reconnect") return new Interrupted(message, 1);
  return code === "failed" || code === "standby" ? new Interrupted(message) : new Refused(message);
}

/** Calls when nothing has happened for long. */
class Watch {
  #call;
  #timer;

  constructor(call) {
    this.#call = call;
    this.restart();
  }

  restart() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#call, SILENCE_MS);
  }

  stop() {
    clearTimeout(this.#timer);
  }
}

async function requireFeed(answer) {
  if (answer.ok && answer.headers.get("content-type")?.startsWith("text/event-stream")) return;
  const message = await problemOf(answer);
  if (!IS_TEMPORARY.includes(answer.status)) throw new Refused(message);
  throw new Interrupted(message, Number(answer.headers.get("retry-after")) || undefined);
}

/** What a problem document says, in one sentence or two. */
export async function problemOf(answer) {
  const found = await answer.json().catch(() => ({}));
  const message = found.message ?? `The server answered ${answer.status} ${answer.statusText}`;
  return [message, found.hint].filter(Boolean).join(" ");
}
