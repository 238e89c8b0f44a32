// What the line language takes for one space (Unicode's White_Space).
const SPACES = /[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/g;

// Whether a name can be asked for here: other languages know names that this one cannot say.
const sayable = (name) => name === name.replace(SPACES, " ").replace(/^ | $/g, "");

// Text that anybody may have chosen: what cannot be seen, or turns text around, is shown as its number.
const numbered = (char) => "\\u{" + char.codePointAt(0).toString(16) + "}";
const harmless = (text) => text.replace(/[\0-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g, numbered);

// A name, so that two of them never look the same: spaces that a line would not keep are shown as numbers too.
function visible(name) {
  if (name === "") return "(empty name)";
  return harmless(name.replace(/^ | $|(?<= ) |[\xa0\u1680\u2000-\u200a\u202f\u205f\u3000]/g, numbered));
}

const lockLink = (name) => "#lock/" + encodeURIComponent(name);
const clientLink = (address) => "#client/" + encodeURIComponent(address);
const carrier = (session) => session.transport ?? "no connection";
const label = (session) => session.name === null ? session.address : visible(session.name);

// Names that are no UTF-8 come as backslash escapes; this is what they stand for.
function unescaped(line) {
  const parts = line.split(/\\x([89a-f][0-9a-f])/);
  const bytes = parts.flatMap((part, index) => index % 2 ? [parseInt(part, 16)] : [...new TextEncoder().encode(part)]);
  return new Uint8Array(bytes);
}
