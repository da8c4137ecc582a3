const place = element.querySelector('.lines'), style = window.explorer.file(STYLE);
const katex = import(window.explorer.file(KATEX)).then(({ default: render }) => render, () => () => {});  // without it, the TeX is shown
if (![...document.querySelectorAll('link')].some(({ href }) => href === style)) {
  document.head.append(Object.assign(document.createElement('link'), { rel: 'stylesheet', href: style }));
}

// KaTeX lays a line out by its signs, whatever the numbers between them: those of a line that it has set before are put
// where others stood. A number is none that TeX would part: x^12, \tfrac12, and 10^{3}, of which the 0 alone is raised.
const NUMBER = /(?<![\d.^_]|frac|sqrt)\d+(?:\.\d+)?(?![\d.]*[\^_])/g, MARK = 7_000_000, MARKED = /(7\d{6})/;
const lines = new Map();  // by their signs
const texts = (node) => {
  const walker = document.createTreeWalker(node, NodeFilter.SHOW_TEXT), found = [];
  while (walker.nextNode()) found.push(walker.currentNode);
  return found;
};
function set(text, render) {
  const line = Object.assign(document.createElement('p'), { textContent: text });
  render(line, { delimiters: [{ left: '$$', right: '$$', display: true }], throwOnError: false });
  return line;
}
// A line with marks for its numbers, and the texts that have some; null where not all are found, each thrice: as it is
// seen, as it is read aloud, and in the TeX.
function marked(text, count, render) {
  let next = MARK;
  const line = set(text.replace(NUMBER, () => next++), render), all = texts(line).map(({ data }) => data.split(MARKED));
  const found = Array(count).fill(0);
  for (const parts of all) parts.forEach((part, j) => j % 2 && (found[part - MARK] += 1));
  return found.every((times) => times === 3) ? { line, all } : null;
}
const filled = (parts, numbers) => parts.map((part, j) => j % 2 ? numbers[part - MARK] : part).join('');

// What is drawn of each line: its text, the signs of it, and its texts on the page.
let drawn = [];
async function draw() {
  const render = await katex, now = (props.value ?? '').split('\n\n');
  drawn = now.map((text, i) => {
    const before = drawn[i], numbers = text.match(NUMBER) ?? [], signs = text.replace(NUMBER, '#');
    if (text === before?.text) return before;
    if (!lines.has(signs)) {
      if (lines.size === 200) lines.clear();
      lines.set(signs, marked(text, numbers.length, render));
    }
    const known = lines.get(signs);
    let nodes = known && before?.signs === signs ? before.nodes : null;
    if (!nodes) {
      const line = known ? known.line.cloneNode(true) : set(text, render);
      if (place.children[i]) become(place.children[i], line);
      else place.append(line);
      nodes = texts(place.children[i]);
    }
    known?.all.forEach((parts, n) => {
      if (parts.length > 1) explorer.say(nodes[n], filled(parts, numbers));
    });
    return { text, signs, nodes };
  });
  while (place.children.length > now.length) place.lastChild.remove();
}
watch('value', draw);
draw();
