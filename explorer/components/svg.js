// A new element of SVG at the end of `parent`.
function make(parent, tag, attributes) {
  const node = parent.appendChild(document.createElementNS('http://www.w3.org/2000/svg', tag));
  Object.entries(attributes).forEach(([key, value]) => node.setAttribute(key, value));
  return node;
}
