// Of a figure mostly numbers have moved, labels with them, and the ends of its axes. They are moved where they stand: to
// draw all of a plot anew takes plotly far longer. What it keeps of them, for hovers and zooms, it computes when the
// pointer comes.

const each = (value) => Array.isArray(value) ? 0 : value;
const alike = (one, other) => one === other || (Array.isArray(one) && one.length === other?.length && one.every((value, k) => value === other[k]));
const axesOf = (layout) => Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key));
const axisOf = (id) => id.replace(/^[xy]/, '$&axis');
// Of a label that is as aligned as it is anchored; its words stay in place whatever their width.
const words = ({ xanchor, align = 'center', text }) => xanchor === align ? text.match(/^<b>([^<&]*)<\/b>$|^([^<&]*)$/) : null;

// Which moves a trace can make; of what belongs to several traces, or comes packed, none.
function kind({ type, mode, x, y, text, fill, error_x, error_y, base, orientation, stackgroup }) {
  if (!Array.isArray(x) || !Array.isArray(y) || fill || error_x || error_y || base || orientation || stackgroup) return null;
  if (text) return type === 'scatter' && mode === 'text' && Array.isArray(text) ? textMoves : null;
  return type === 'bar' ? barMoves : type !== 'scatter' ? null : mode === 'lines' ? lineMoves : mode === 'markers' ? markerMoves : null;
}

// Whether an axis can be moved: it has nothing but ticks, so far apart, at multiples, and numbers without a power of ten;
// or a line at 0 that stays in the middle.
function movable({ type = 'linear', tickmode, dtick, tick0, tickformat, range, showgrid, zeroline }) {
  if (type !== 'linear' || tickmode !== 'linear' || tick0 || tickformat || showgrid || !range || !(dtick > 0)) return false;
  const most = Math.max(...range.map(Math.abs));
  return range[0] < range[1] && (!zeroline || range[0] === -range[1]) && most >= 0.001 && most < 9000;
}

// What of a figure cannot be moved: where it is another, plotly draws.
function staying({ data, layout }) {
  const traces = data.map((trace) => {
    const moves = kind(trace), { x, marker } = trace;
    if (!moves) return trace;
    const left = { ...trace, x: moves === markerMoves ? x.length : 0, y: 0, text: 0, hovertemplate: 0, customdata: 0 };
    if (moves === barMoves && trace.width > 0 && layout.barmode === 'overlay') left.width = 'its own';
    if (moves === barMoves) left.marker = { ...marker, color: each(marker?.color), line: { ...marker?.line, width: each(marker?.line?.width) } };
    return left;
  });
  const annotations = layout.annotations?.map((label) => {
    const { xref, yref } = label;
    return { ...label, ...(!xref && { x: 0 }), ...(!yref && { y: 0 }), ...(words(label) && { text: 0 }) };
  });
  const axes = axesOf(layout).filter((key) => movable(layout[key]) && !layout.shapes).map((key) => [key, { ...layout[key], range: 0, dtick: 0 }]);
  return JSON.stringify([traces, { ...layout, ...Object.fromEntries(axes), annotations }]);
}

// As many of these nodes: some go, or copies of the last one come.
function counted(nodes, count) {
  const out = [...nodes];
  while (out.length > count) out.pop().remove();
  while (out.length < count) {
    const copy = out.at(-1).cloneNode(true);
    out.at(-1).after(copy);
    out.push(copy);
  }
  return out;
}

// Where values stand along an axis whose range is another than the one plotly has: in pixels, to 0.01, as with plotly.
function along({ _id, _length }, [low, high]) {
  const share = (value) => (_id[0] === 'x' ? value - low : high - value) / (high - low);
  return (value) => Number.isFinite(value) ? Math.round(100 * _length * share(value)) / 100 : NaN;
}

// An axis of the figure, and where values and labels stand along it; null where plotly has to say.
function scale(name, layout, computed) {
  const axis = div._fullLayout[name], range = layout[name]?.range, was = computed[name]?.range;
  if (alike(range, was)) return { axis, at: axis.d2p, labelAt: axis.r2p };
  if (axis.type !== 'linear' || !alike(axis.range, was)) return null;  // someone has zoomed
  const at = along(axis, range);
  return { axis, at, labelAt: at };
}

function tickMoves({ axis: { _id, _offset }, at }, { range: [low, high], dtick }) {
  const [marks, numbers] = ['path', 'g'].map((tag) => div.querySelectorAll(`${tag}.${_id}tick`)), values = [];
  for (let i = Math.ceil(low / dtick - 1e-6); i * dtick <= high + 1e-6 * dtick; i++) values.push(+(i * dtick).toPrecision(10));
  if (!marks.length || marks.length !== numbers.length || !values.length) return null;
  return () => {
    for (const nodes of [marks, numbers]) counted(nodes, values.length).forEach((node, i) => {
      const place = _offset + at(values[i]), text = node.querySelector('text');
      (text ?? node).setAttribute('transform', _id[0] === 'x' ? `translate(${place},0)` : `translate(0,${place})`);
      if (text) explorer.say(text, String(values[i]).replace('-', '−'));
      node.__data__ = {};  // by what it was drawn from, plotly would take it for the tick it was
    });
  };
}

// Points from place to place, in pixels: M0,1L2,3, or, where steps are drawn, halfway between two of them.
function route(places, shape) {
  if (shape !== 'hvh') return `M${places.join('L')}`;
  return `M${places[0]}${places.slice(1).map(([x, y], i) => `H${(places[i][0] + x) / 2}V${y}H${x}`).join('')}`;
}

// Each gives what to do, or null where plotly has to draw. As with plotly, gaps part a line, and bars end on pixels.
function lineMoves(group, { x, y, line }, across, up) {
  const parts = [[]];
  x.forEach((_, k) => {
    const place = [across.at(x[k]), up.at(y[k])];
    if (place.every(Number.isFinite)) parts.at(-1).push(place);
    else parts.push([]);
  });
  const routes = parts.filter(({ length }) => length), paths = group.querySelectorAll('.js-line');
  if (!routes.length || !paths.length || routes.some(({ length }) => length < 2) || !['hvh', undefined].includes(line?.shape)) return null;
  return () => counted(paths, routes.length).forEach((path, i) => path.setAttribute('d', route(routes[i], line?.shape)));
}

// What stands beyond the axes is hidden, where the plot's frame does not cut it.
function hide(node, cliponaxis, [left, top], across, up) {
  if (cliponaxis !== false) return;
  const inside = left >= 0 && left <= across.axis._length && top >= 0 && top <= up.axis._length;
  node.setAttribute('display', inside ? 'inline' : 'none');
}

function markerMoves(group, { x, y, cliponaxis }, across, up) {
  const points = group.querySelectorAll('.point'), places = x.map((_, k) => [across.at(x[k]), up.at(y[k])]);
  if (points.length !== x.length || !places.flat().every(Number.isFinite)) return null;
  return () => places.forEach(([left, top], k) => {
    points[k].setAttribute('transform', `translate(${left},${top})`);
    hide(points[k], cliponaxis, places[k], across, up);
  });
}

function textMoves(group, { x, y, text, textposition, cliponaxis }, across, up) {
  const nodes = group.querySelectorAll('.textpoint'), places = x.map((_, k) => [across.at(x[k]), up.at(y[k])]);
  if (!nodes.length || !x.length || Array.isArray(textposition) || !places.flat().every(Number.isFinite)) return null;
  if (text.some((one) => !/^[^<&]+$/.test(one))) return null;
  return () => counted(nodes, x.length).forEach((node, k) => {
    const [left, top] = places[k], written = node.firstChild;
    written.setAttribute('transform', `translate(${left - written.getAttribute('x')},${top - written.getAttribute('y')})`);
    explorer.say(written, text[k]);
    hide(node, cliponaxis, places[k], across, up);
  });
}

function barMoves(group, { x, y, width: given, marker }, across, up, { barwidth, poffset, bardelta }, { marker: before }) {
  const bars = group.querySelectorAll('.point'), { bargap, bargroupgap, barmode } = div._fullLayout;
  const own = given > 0 && barmode === 'overlay', [wide, offset] = own ? [given, -given / 2] : [barwidth, poffset];
  const even = own || x.every((one, k) => !k || Math.abs(one - x[k - 1] - bardelta) < 1e-6 * bardelta);
  if (!bars.length || !x.length || !even || [wide, offset].some(Array.isArray)) return null;
  if (![across, up].every(({ axis }) => axis.type === 'linear') || ['stack', 'relative'].includes(barmode) || !y.every(Number.isFinite)) return null;
  return () => counted(bars, x.length).forEach(({ firstChild: bar }, k) => {
    const edge = marker?.line?.width, width = (Array.isArray(edge) ? edge[k] : edge) ?? 0, copied = k >= bars.length;
    const round = (v) => bargap === 0 && !bargroupgap ? Math.round(v) - (width / 2) % 1 : v;
    const on = (v, to) => width > 0.01 || Math.abs(v - to) >= 2 ? round(v) : v > to ? Math.ceil(v) : Math.floor(v);
    let left = across.at(x[k] + offset), right = across.at(x[k] + offset + wide), low = up.at(0), top = up.at(y[k]);
    left = on(left, right), right = on(right, left);
    if (low === top) low = top = width ? round(low) : low;
    else low = on(low, top), top = on(top, low);
    bar.setAttribute('d', `M${left},${low}V${top}H${right}V${low}Z`);
    if (Array.isArray(marker?.color) && (copied || marker.color[k] !== before.color[k])) bar.style.fill = marker.color[k];
    if (Array.isArray(edge) && (copied || width !== before.line.width[k])) {
      Object.assign(bar.style, { strokeWidth: `${width}px`, stroke: width ? marker.line.color : 'none' });
    }
  });
}

// A label, from where plotly has drawn it.
function labelMoves(i, label, drawn, scales) {
  const group = div.querySelector(`.annotation[data-index="${i}"]`), text = words(label);
  const [dx, dy] = [[label.xref, 'x'], [label.yref, 'y']].map(([ref, name]) => {
    if (/paper|domain/.test(ref)) return 0;
    const { axis, labelAt } = scales[axisOf(ref ?? name)];
    const place = labelAt(label[name]);
    return place >= 0 && place <= axis._length ? place - axis.r2p(drawn[name]) : NaN;
  });
  if (!group?.firstChild || !Number.isFinite(dx + dy)) return null;
  return () => {
    group.setAttribute('transform', `translate(${dx},${dy})`);
    if (text) explorer.say(group.querySelector('tspan') ?? group.querySelector('text'), text[1] ?? text[2]);
  };
}

// Moves all of a figure whose `staying` is that of the one that is shown, or nothing. computed: the one plotly has drawn.
function moved({ data, layout }, shown, computed) {
  const names = axesOf(layout), scales = Object.fromEntries(names.map((name) => [name, scale(name, layout, computed.layout)]));
  const turned = names.filter((name) => !alike(layout[name].range, shown.layout[name].range) || layout[name].dtick !== shown.layout[name].dtick);
  if (Object.values(scales).includes(null)) return false;
  const moves = turned.map((name) => tickMoves(scales[name], layout[name]));
  data.forEach((trace, i) => {
    const move = kind(trace), [{ node3, t }] = div.calcdata[i], before = shown.data[i];
    if (!move) return turned.length && moves.push(null);
    const [across, up] = ['x', 'y'].map((id) => scales[axisOf(trace[`${id}axis`] ?? id)]);
    const still = alike(trace.x, before.x) && alike(trace.y, before.y), held = !turned.length && move !== barMoves && alike(trace.text, before.text);
    if (still && (held || !trace.x.length)) return;
    const fixed = !across.axis.autorange && !up.axis.autorange;
    moves.push(node3 && (fixed || trace.x.length < 3) ? move(node3.node(), trace, across, up, t, before) : null);
  });
  const labels = computed.layout.annotations;
  moves.push(...(layout.annotations ?? []).map((label, i) => labelMoves(i, label, labels[i], scales)));
  if (moves.includes(null)) return false;
  for (const move of moves) move();
  return true;
}
