// JSON as text: where it goes wrong, in words, and laid out anew. Its numbers stay as they are written.
const TOKEN = /\s*(?:([{}[\],:])|("(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*")|(-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)|(true|false|null))/y;

function place(text, at) {
  const before = text.slice(0, at);
  return `line ${before.split("\n").length}, character ${at - before.lastIndexOf("\n")}`;
}

function* tokens(text) {
  const end = text.trimEnd().length;
  let at = 0;
  while (at < end) {
    TOKEN.lastIndex = at;
    const found = TOKEN.exec(text);
    const start = found === null ? text.length - text.slice(at).trimStart().length : at + found[0].length - found[0].trimStart().length;
    if (found === null) throw new Fault(`This is nothing that JSON has: ${text.slice(start, start + 12)}`, start);
    at = TOKEN.lastIndex;
    yield { text: found[0].trim(), start };
  }
}

class Fault extends Error {
  constructor(message, at) { super(message); this.at = at; }
}

// Lays the tokens out, and checks their order on the way.
function laidOut(text) {
  const all = [...tokens(text)];
  let next = 0;
  const peek = () => all[next] ?? { text: "", start: text.length };
  const take = (wanted, words) => {
    const token = peek();
    if (token.text !== wanted) throw new Fault(`${words} is missing`, token.start);
    next += 1;
  };
  const list = (close, inside, one) => {
    next += 1;
    if (peek().text === close) { next += 1; return ""; }
    const parts = [];
    for (;;) {
      parts.push(inside + one(inside));
      if (peek().text !== ",") break;
      next += 1;
    }
    take(close, `A comma, or ${close},`);
    return `\n${parts.join(",\n")}\n${inside.slice(2)}`;
  };
  const value = (inside) => {
    const token = peek();
    if (token.text === "{") return `{${list("}", `${inside}  `, member)}}`;
    if (token.text === "[") return `[${list("]", `${inside}  `, value)}]`;
    if (token.text === "" || ",:]}".includes(token.text)) throw new Fault("A value is missing", token.start);
    next += 1;
    return token.text;
  };
  const member = (inside) => {
    const name = peek();
    if (!name.text.startsWith('"')) throw new Fault("A name in double quotes is missing", name.start);
    next += 1;
    take(":", "A colon");
    return `${name.text}: ${value(inside)}`;
  };
  const made = value("");
  if (next < all.length) throw new Fault("There is something behind its end", peek().start);
  return made;
}

export function checkJson(text) {
  try {
    laidOut(text);
    return "";
  } catch (error) {
    if (error instanceof Fault) return `${error.message} (${place(text, error.at)}).`;
    if (error instanceof RangeError) return "";  // too deep for us, not for PostgreSQL
    throw error;
  }
}

export const formatted = laidOut;
