// Mostly numbers have moved, within axes that stay, and labels with them. They are moved where they stand: to draw all of
// a plot anew takes plotly far longer. What it keeps of them, for hovers and zooms, it computes when the pointer comes.

const each = (value) => Array.isArray(value) ? 0 : value;
// Of a label that is as aligned as it is anchored; its words stay in place whatever their width.
const words = ({ xanchor, align = 'center', text }) => xanchor === align ? text.match(/^<b>([^<&]*)<\/b>$|^([^<&]*)$/) : null;

// Which moves a trace can make; of what belongs to several traces, or comes packed, none.
function kind({ type, mode, x, y, text, fill, error_x, error_y, base, orientation, stackgroup }) {
  if (!Array.isArray(x) || !Array.isArray(y) || text || fill || error_x || error_y || base || orientation || stackgroup) return null;
  return type === 'bar' ? barMoves : type !== 'scatter' ? null : mode === 'lines' ? lineMoves : mode === 'markers' ? markerMoves : null;
}

// What of a figure cannot be moved: where it is another, plotly draws.
function staying({ data, layout }) {
  const traces = data.map((trace) => {
    const moves = kind(trace), { x, marker } = trace;
    if (!moves) return trace;
    const left = { ...trace, x: moves === lineMoves ? 0 : x.length, y: 0, hovertemplate: 0, customdata: 0 };
    if (moves === barMoves) left.marker = { ...marker, color: each(marker?.color), line: { ...marker?.line, width: each(marker?.line?.width) } };
    return left;
  });
  const annotations = layout.annotations?.map((label) => {
    const { xref, yref } = label;
    return { ...label, ...(!xref && { x: 0 }), ...(!yref && { y: 0 }), ...(words(label) && { text: 0 }) };
  });
  return JSON.stringify([traces, { ...layout, annotations }]);
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
    const place = [across.d2p(x[k]), up.d2p(y[k])];
    if (place.every(Number.isFinite)) parts.at(-1).push(place);
    else parts.push([]);
  });
  const routes = parts.filter(({ length }) => length), paths = group.querySelectorAll('.js-line');
  if (routes.length !== paths.length || routes.some(({ length }) => length < 2) || !['hvh', undefined].includes(line?.shape)) return null;
  return () => paths.forEach((path, i) => path.setAttribute('d', route(routes[i], line?.shape)));
}

function markerMoves(group, { x, y, cliponaxis }, across, up) {
  const points = group.querySelectorAll('.point'), places = x.map((_, k) => [across.d2p(x[k]), up.d2p(y[k])]);
  if (points.length !== x.length || !places.flat().every(Number.isFinite)) return null;
  return () => places.forEach(([left, top], k) => {
    points[k].setAttribute('transform', `translate(${left},${top})`);
    if (cliponaxis !== false) return;
    const inside = left >= 0 && left <= across._length && top >= 0 && top <= up._length;
    points[k].setAttribute('display', inside ? 'inline' : 'none');
  });
}

function barMoves(group, { x, y, marker }, across, up, { barwidth, poffset, bardelta }, { marker: before }) {
  const bars = group.querySelectorAll('.point > path'), { bargap, bargroupgap, barmode } = div._fullLayout;
  const even = x.every((one, k) => !k || Math.abs(one - x[k - 1] - bardelta) < 1e-6 * bardelta);
  if (bars.length !== x.length || !even || Array.isArray(barwidth) || Array.isArray(poffset)) return null;
  if (![across, up].every(({ type }) => type === 'linear') || ['stack', 'relative'].includes(barmode) || !y.every(Number.isFinite)) return null;
  return () => x.forEach((place, k) => {
    const edge = marker?.line?.width, width = (Array.isArray(edge) ? edge[k] : edge) ?? 0;
    const round = (v) => bargap === 0 && !bargroupgap ? Math.round(v) - (width / 2) % 1 : v;
    const on = (v, to) => width > 0.01 || Math.abs(v - to) >= 2 ? round(v) : v > to ? Math.ceil(v) : Math.floor(v);
    let left = across.c2p(place + poffset), right = across.c2p(place + poffset + barwidth), low = up.c2p(0), top = up.c2p(y[k]);
    left = on(left, right), right = on(right, left);
    if (low === top) low = top = width ? round(low) : low;
    else low = on(low, top), top = on(top, low);
    bars[k].setAttribute('d', `M${left},${low}V${top}H${right}V${low}Z`);
    if (Array.isArray(marker?.color) && marker.color[k] !== before.color[k]) bars[k].style.fill = marker.color[k];
    if (Array.isArray(edge) && width !== before.line.width[k]) Object.assign(bars[k].style, { strokeWidth: `${width}px`, stroke: width ? marker.line.color : 'none' });
  });
}

// A label, from where plotly has drawn it.
function labelMoves(i, label, drawn) {
  const { xaxis, yaxis } = div._fullLayout, group = div.querySelector(`.annotation[data-index="${i}"]`), text = words(label);
  const [dx, dy] = [[xaxis, label.xref, 'x'], [yaxis, label.yref, 'y']].map(([axis, ref, name]) => {
    if (ref) return 0;
    const place = axis.r2p(label[name]);
    return place >= 0 && place <= axis._length ? place - axis.r2p(drawn[name]) : NaN;
  });
  if (!group?.firstChild || !Number.isFinite(dx + dy)) return null;
  return () => {
    group.setAttribute('transform', `translate(${dx},${dy})`);
    if (text) (group.querySelector('tspan') ?? group.querySelector('text')).textContent = text[1] ?? text[2];
  };
}

const alike = (one, other) => one.length === other.length && one.every((value, k) => value === other[k]);

// Moves all of a figure whose `staying` is that of the one that is drawn, or nothing. drawn: that one's traces; labels:
// as plotly has drawn them.
function moved({ data, layout }, drawn, labels) {
  const moves = data.map((trace, i) => {
    const move = kind(trace), [{ node3, t }] = div.calcdata[i], { xaxis, yaxis } = div._fullData[i], before = drawn[i];
    if (!move || (move !== barMoves && alike(trace.x, before.x) && alike(trace.y, before.y))) return () => {};
    const { xaxis: across, yaxis: up } = div._fullLayout._plots[xaxis + yaxis], fixed = !across.autorange && !up.autorange;
    return node3 && (fixed || trace.x.length < 3) ? move(node3.node(), trace, across, up, t, before) : null;
  });
  moves.push(...(layout.annotations ?? []).map((label, i) => labelMoves(i, label, labels[i])));
  if (moves.includes(null)) return false;
  for (const move of moves) move();
  return true;
}
