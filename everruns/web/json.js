// JSON as the service sent it. JSON.parse and back would change numbers that JavaScript cannot hold.

const TOKEN = /"(?:[^"\\]+|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g;
const opens = (token) => token === "{" || token === "[";
const closes = (token) => token === "}" || token === "]";

/** The text of each element of `data` in an answer `{"data":[…],…}`. */
export function elements(answer) {
  const found = [];
  let depth = 0;
  let begin = 0;
  for (const { 0: token, index } of answer.matchAll(TOKEN)) {
    if (opens(token)) {
      depth += 1;
      if (depth === 2) begin = index + 1;
    } else if (depth === 2 && (token === "," || token === "]")) {
      found.push(answer.slice(begin, index));
      begin = index + 1;
      if (token === "]") break;
    } else if (closes(token)) depth -= 1;
  }
  return found;
}

/** The same JSON, a line for each member; every token as it was. */
export function indented(text) {
  let told = "";
  let previous = "";
  let depth = 0;
  for (const [token] of text.matchAll(TOKEN)) {
    if (closes(token)) depth -= 1;
    told += gap(previous, token, depth) + token;
    if (opens(token)) depth += 1;
    previous = token;
  }
  return told;
}

function gap(previous, token, depth) {
  if (previous === ":") return " ";
  if (opens(previous) && closes(token)) return "";
  return previous === "," || opens(previous) || closes(token) ? `\n${"  ".repeat(depth)}` : "";
}
