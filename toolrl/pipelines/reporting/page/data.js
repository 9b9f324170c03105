// The page's own data: blocks of compressed JSON, unpacked when they are first needed. Whatever a model wrote reaches the page as text only.
"use strict";

const byId = (id) => document.getElementById(id);
const unpacked = new Map();
const MOST_UNPACKED = 24;

// An element with properties and children; strings become text, never markup.
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name in element && !name.startsWith("aria")) element[name] = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

// The value of a block; the last few stay unpacked.
async function block(id) {
  if (!unpacked.has(id)) {
    const packed = Uint8Array.from(atob(byId(id).textContent.trim()), (character) => character.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    unpacked.set(id, new Response(stream).json());
    if (unpacked.size > MOST_UNPACKED) unpacked.delete(unpacked.keys().next().value);
  }
  return unpacked.get(id);
}

function trouble(message) {
  const place = byId("trouble");
  place.textContent = message;
  place.hidden = false;
}

// A number as a person reads it, with four digits.
function shown(value) {
  if (value === null || value === undefined) return "–";
  if (Number.isInteger(value)) return String(value);
  return Math.abs(value) < 0.001 ? String(Number(value.toExponential(3))) : String(Number(value.toPrecision(4)));
}
