const div = element.querySelector('.live-plot'), LABEL = div.ariaLabel;
const css = (name) => getComputedStyle(div).getPropertyValue(name).trim();

// One copy of plotly.js for the page.
function plotly() {
  window.explorerPlotly ??= new Promise((resolve, reject) => {
    const tag = document.createElement('script');
    tag.src = window.explorer.file(PLOTLY);
    tag.onload = () => resolve(window.Plotly);
    tag.onerror = reject;
    document.head.appendChild(tag);
  });
  return window.explorerPlotly;
}

// Figures carry no ink of their own: text and axes take the page's, light or dark, and its type size. Axes are plotly's to
// change: it writes a zoom into them.
function dressed(layout) {
  const ink = css('--ink'), line = css('--line'), size = parseFloat(css('--plot-size')) || 14;
  const out = { ...layout, font: { ...layout.font, color: ink, family: css('--font'), size } };
  out.margin = Object.fromEntries(Object.entries(layout.margin ?? {}).map(([side, room]) => [side, room * Math.max(1, size / 15)]));
  for (const key of Object.keys(out)) {
    if (!/^[xy]axis\d*$/.test(key)) continue;
    // Of powers of ten plotly writes the 10 larger by a quarter, and so beside the numbers of the other axis.
    const power = out[key].type === 'log' && out[key].exponentformat === 'power';
    out[key] = { gridcolor: line, zerolinecolor: line, linecolor: ink, tickcolor: ink, ...(power && { tickfont: { size: 0.8 * size } }), ...structuredClone(out[key]) };
  }
  out.hoverlabel = { bgcolor: css('--paper'), bordercolor: line, font: { color: ink, size: 14 }, ...out.hoverlabel };
  return out;
}

// A figure's own colours in the shades that can be read on this page: all of them when it is dark, the texts when it is light.
const shaded = (text, shades) => text.replace(/#[0-9a-f]{6}\b/gi, (colour) => shades[colour.toUpperCase()] ?? colour);
function read() {
  if (document.body.classList.contains('dark')) return JSON.parse(shaded(props.value, ON_DARK));
  const figure = JSON.parse(props.value), { annotations } = figure.layout, texts = figure.data.filter(({ textfont }) => textfont);
  if (annotations) figure.layout.annotations = JSON.parse(shaded(JSON.stringify(annotations), TEXT_ON_LIGHT));
  for (const { textfont } of texts) textfont.color = shaded(textfont.color, TEXT_ON_LIGHT);
  return figure;
}

// The zoom stays while a control moves; a figure of another view says so by another `uirevision`, and starts anew.
let rest = '', shown = null;  // what of the figure on the screen cannot be moved; that figure
let computed = null;  // the one plotly has drawn: another, where numbers were moved since
async function draw() {
  if (!props.value) return;
  stale = false;
  await plotly();
  const figure = read(), before = rest;
  div.ariaLabel = figure.layout.meta ?? LABEL;
  rest = staying(figure);
  // Not under a pointer, whose label would stay behind.
  const follows = rest === before && !div.matches(':hover') && moved(figure, shown, computed);
  shown = figure;
  if (!follows) return compute();
}
async function compute() {
  // For the page's <base> plotly would write the whole address into the names of what cuts lines off. At every move that
  // changes, and lines that are hidden and shown again are not seen until the page has been loaded to look for them there.
  const config = { responsive: true, displayModeBar: false, doubleClick: 'reset', showTips: false, _baseUrl: '' };
  computed = shown;
  for (const text of div.querySelectorAll('.textpoint > text')) text.removeAttribute('transform');  // plotly sets none
  const first = !div.on;
  await Plotly.react(div, shown.data, { uirevision: 'keep', ...dressed(shown.layout), autosize: true }, config);
  if (first) div.on('plotly_relayout', resized);
}
const catchUp = () => shown !== computed && compute();
div.addEventListener('pointermove', catchUp, true);
div.addEventListener('pointerdown', catchUp, true);
// Of another width it draws by itself, what it has computed.
function resized() {
  if (near) catchUp();
  else if (shown !== computed) [rest, stale] = ['', true];
}

// Drawing takes longer than the answer that it shows, so what is out of sight is drawn when it comes near.
let near = false, stale = true;
function renew() {
  stale = true;
  if (near) draw();
  else if (props.value) div.ariaLabel = JSON.parse(props.value).layout.meta ?? LABEL;
}
new IntersectionObserver((changes) => {
  near = changes.at(-1).isIntersecting;
  if (near && stale) draw();
}, { rootMargin: '100px' }).observe(div);
window.addEventListener('beforeprint', () => stale && draw());
const anew = () => {
  rest = '';
  renew();
};
window.addEventListener('restyled', anew);
watch('value', renew);
element.closest('.stage > .piece')?.addEventListener('fit', anew);
