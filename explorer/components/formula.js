const place = element.querySelector('.lines'), style = window.explorer.file(STYLE);
const set = import(window.explorer.file(KATEX)).then(({ default: render }) => render, () => () => {});  // without it, the TeX is shown
if (![...document.querySelectorAll('link')].some(({ href }) => href === style)) {
  document.head.append(Object.assign(document.createElement('link'), { rel: 'stylesheet', href: style }));
}

// Makes what is there like another tree, node by node: mostly it is the digits that differ, and only they are laid out anew.
function become(node, other) {
  if (node.nodeName !== other.nodeName) return node.replaceWith(other);
  if (node.nodeType === Node.TEXT_NODE) {
    if (node.data !== other.data) node.data = other.data;
    return;
  }
  for (const { name, value } of other.attributes) if (node.getAttribute(name) !== value) node.setAttribute(name, value);
  for (const { name } of [...node.attributes]) if (!other.hasAttribute(name)) node.removeAttribute(name);
  const now = [...node.childNodes], then = [...other.childNodes];
  then.forEach((one, i) => now[i] ? now[i].isEqualNode(one) || become(now[i], one) : node.append(one));
  for (const one of now.slice(then.length)) one.remove();
}

let drawn = [];
async function draw() {
  const render = await set, lines = (props.value ?? '').split('\n\n');
  lines.forEach((text, i) => {
    if (text === drawn[i]) return;
    const line = Object.assign(document.createElement('p'), { textContent: text });
    render(line, { delimiters: [{ left: '$$', right: '$$', display: true }], throwOnError: false });
    if (place.children[i]) become(place.children[i], line);
    else place.append(line);
  });
  while (place.children.length > lines.length) place.lastChild.remove();
  drawn = lines;
}
watch('value', draw);
draw();
