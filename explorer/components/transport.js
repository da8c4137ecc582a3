// One transport bar for every player: first, back, play, forward, last, a scrub bar, the step and the speed.
// transport(root, show) -> {load(labels, to), step(), go(i), stop()}; show(i) draws step i. Keys work anywhere inside `root`.
function transport(root, show) {
  const icons = {
    first: 'M5 4v12M15 4l-7 6 7 6z', back: 'M13 4l-7 6 7 6z', play: 'M6 3.5l10 6.5-10 6.5z',
    pause: 'M6.5 4v12M13.5 4v12', forward: 'M7 4l7 6-7 6z', last: 'M15 4v12M5 4l7 6-7 6z',
  };
  const speeds = [0.25, 0.5, 1, 2, 4], calm = matchMedia('(prefers-reduced-motion: reduce)');
  const bar = document.createElement('div');
  bar.className = 'transport';
  bar.innerHTML = `
    <div class="transport-buttons">${[['first', 'First step'], ['back', 'One step back'], ['play', 'Play'],
      ['forward', 'One step forward'], ['last', 'Last step']].map(([id, name]) =>
      `<button type="button" data-do="${id}" aria-label="${name}" title="${name}"><svg viewBox="0 0 20 20" aria-hidden="true"><path d="${icons[id]}"/></svg></button>`).join('')}
    </div>
    <input type="range" min="0" max="0" value="0" step="1" aria-label="Step">
    <output class="transport-step" aria-live="off"></output>
    <button type="button" data-do="speed" class="transport-speed" title="Speed"></button>
    <div class="transport-label"></div>`;
  root.appendChild(bar);
  const range = bar.querySelector('input'), readout = bar.querySelector('output'), caption = bar.querySelector('.transport-label');
  const button = (id) => bar.querySelector(`[data-do="${id}"]`);
  let labels = [], at = 0, speed = 2, timer = null;

  function draw() {
    range.value = at;
    range.style.setProperty('--done', labels.length > 1 ? at / (labels.length - 1) : 0);
    range.setAttribute('aria-valuetext', `step ${at} of ${labels.length - 1}: ${labels[at] ?? ''}`);
    explorer.say(readout, labels.length ? `step ${at} / ${labels.length - 1}` : '');
    explorer.say(caption, labels[at] ?? '');
    if (labels.length) show(at);
  }
  function go(i) {
    at = Math.max(0, Math.min(labels.length - 1, i));
    draw();
  }
  function face(id, name) {
    button('play').querySelector('path').setAttribute('d', icons[id]);
    button('play').setAttribute('aria-label', name);
    button('play').title = name;
  }
  function stop() {
    clearTimeout(timer);
    timer = null;
    face('play', 'Play');
  }
  function tick() {
    if (!bar.isConnected || at >= labels.length - 1) return stop();
    go(at + (calm.matches ? Math.ceil(labels.length / STILLS) : 1));
    timer = setTimeout(tick, pace());
  }
  // The whole trajectory takes about eight seconds at speed 1, but never more than 0.7 s a step. Who asked their system
  // for less motion sees so many stills of it instead, 0.7 s each.
  const STILLS = 12;
  const pace = () => (calm.matches ? 700 : Math.min(700, 8000 / Math.max(1, labels.length))) / speeds[speed];
  function toggle() {
    if (timer) return stop();
    if (at >= labels.length - 1) go(0);
    face('pause', 'Pause');
    timer = setTimeout(tick, pace());
  }
  function tempo() {
    button('speed').textContent = `${speeds[speed]}×`;
    button('speed').setAttribute('aria-label', `Speed ${speeds[speed]}×`);
  }
  const actions = {
    first: () => { stop(); go(0); }, back: () => { stop(); go(at - 1); }, play: toggle,
    forward: () => { stop(); go(at + 1); }, last: () => { stop(); go(labels.length - 1); },
    speed: () => { speed = (speed + 1) % speeds.length; tempo(); },
  };
  bar.addEventListener('click', (event) => actions[event.target.closest('[data-do]')?.dataset.do]?.());
  range.addEventListener('input', () => { stop(); go(+range.value); });
  root.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const onButton = event.target.closest('button');
    const id = { ArrowLeft: 'back', ArrowRight: 'forward', Home: 'first', End: 'last', ' ': onButton ? null : 'play' }[event.key];
    if (!id) return;
    event.preventDefault();
    actions[id]();
  });
  tempo();
  return {
    // New labels, one per step; `to` says which step to show: by default the same one, of as many, or the last.
    load(texts, to) {
      const length = labels.length;
      labels = texts;
      range.max = Math.max(0, labels.length - 1);
      go(to ?? (labels.length === length ? at : labels.length - 1));
    },
    step: () => at,
    go,
    stop,
  };
}
