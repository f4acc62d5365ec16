// JSON text, split and indented without parsing: JSON.parse changes numbers that JavaScript cannot represent.

const TOKEN = /"(?:[^"\\]+|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g;
const isOpening = (token) => token === "{" || token === "[";
const isClosing = (token) => token === "}" || token === "]";

/** Return the text of each element of the array `name` in the text of an object. */
export function splitArray(text, name) {
  const elements = [];
  let depth = 0;
  let start = 0;
  let key = "";
  for (const { 0: token, index } of text.matchAll(TOKEN)) {
    if (isOpening(token)) {
      depth += 1;
      if (depth === 2) start = index + 1;
    } else if (depth === 1 && token.startsWith('"')) key = token;
    else if (depth === 2 && key === `"${name}"` && (token === "," || token === "]")) {
      elements.push(text.slice(start, index));
      start = index + 1;
      if (token === "]") return elements;
    } else if (isClosing(token)) depth -= 1;
  }
  return elements;
}

/** Return the same JSON with one member a line. */
export function indent(text) {
  let result = "";
  let previous = "";
  let depth = 0;
  for (const [token] of text.matchAll(TOKEN)) {
    if (isClosing(token)) depth -= 1;
    result += whitespace(previous, token, depth) + token;
    if (isOpening(token)) depth += 1;
    previous = token;
  }
  return result;
}

function whitespace(previous, token, depth) {
  if (previous === ":") return " ";
  if (isOpening(previous) && isClosing(token)) return "";
  return previous === "," || isOpening(previous) || isClosing(token) ? `\n${"  ".repeat(depth)}` : "";
}
