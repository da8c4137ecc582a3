// Lecture mode: large type, one panel at a time, the next slide by key, and the answer hidden until it is asked for.
// A slide is one of a lecture's, `?slide=001:3`, or else a preset of the tab in view.
((explorer) => {
  const asked = () => new URLSearchParams(location.search);
  let on = asked().get('lecture') === '1', slide = null, revealed = false, covered = false, veiled = false, panel = '', bar = null;

  // Where in which lecture: {lecture, at}, or null.
  function found(written) {
    const [, name, at] = /^(.*):(\d+)$/.exec(written ?? '') ?? [];
    const lecture = explorer.lectures.find((one) => one.name === name);
    return lecture?.slides[at - 1] ? { lecture, at: at - 1 } : null;
  }
  // A slide of another tab than the one in view is left for now.
  const tabOf = (query) => new URLSearchParams(query).get('tab');
  const here = () => (slide && tabOf(slide.lecture.slides[slide.at].query) === explorer.current ? slide : null);
  const hidden = () => covered || (veiled && Boolean(here()));
  const inIndex = () => explorer.current === explorer.names[0];
  const view = () => document.getElementById(`tab-${explorer.current}`);
  const chips = () => [...(view()?.querySelectorAll('.chips .chip') ?? [])];
  const left = new Map();  // by tab, the preset that was shown last: a moved control leaves it
  const pressed = () => chips().findIndex((chip) => chip.getAttribute('aria-pressed') === 'true');

  explorer.lectures = [];
  explorer.carried = () => (on ? { lecture: '1', slide: here() && `${here().lecture.name}:${here().at + 1}` } : {});
  explorer.arrived = () => {
    on = asked().get('lecture') === '1';
    slide = found(asked().get('slide')) ?? slide;
    hide();
  };
  explorer.follow = (anchor) => {
    explorer.settle();  // the address of what is left, before another slide is meant
    slide = found(anchor.dataset.slide) ?? slide;
    hide();
    explorer.go(anchor.getAttribute('href').slice(1));
  };
  // The lectures are here: which of their slides does the address mean?
  explorer.teach = (lectures) => {
    explorer.lectures = lectures;
    slide = found(asked().get('slide'));
    hide();
  };
  explorer.lecture = (wanted) => {
    on = wanted;
    hide();
    explorer.settle();
  };
  explorer.lecturing = () => on;

  function hide() {
    revealed = false;
    veiled = Boolean(slide?.lecture.slides[slide.at].cover);  // the slide's own wish, until H lifts it
    panel = '';
    if (on) window.scrollTo(0, 0);
    draw();
  }
  // One slide on or back; without a lecture one preset, and after the last the next tab.
  function turn(by) {
    explorer.settle();
    const now = here();
    if (now) {
      const next = now.lecture.slides[now.at + by];
      if (!next) return;
      slide = { lecture: now.lecture, at: now.at + by };
      hide();
      return explorer.go(next.query);
    }
    if (inIndex() && by > 0) {  // back to the slide that was left, or to the first of all
      slide ??= found(`${explorer.lectures[0]?.name}:1`);
      hide();
      return explorer.go(slide?.lecture.slides[slide.at].query ?? `tab=${explorer.names[1]}`);
    }
    const next = chips()[(pressed() < 0 ? left.get(explorer.current) ?? -1 : pressed()) + by];
    hide();
    if (next) return next.click();
    const tab = explorer.names[explorer.names.indexOf(explorer.current) + by];
    if (tab) explorer.go(`tab=${tab}`);
  }
  // The same key closes what it opened.
  function open(name) {
    panel = panel === name ? '' : name;
    draw();
    const fold = view()?.querySelector(`.fold.${panel || 'none'} > button`);
    if (fold && !fold.classList.contains('open')) fold.click();
  }
  const deeds = {
    back: () => turn(-1), next: () => turn(1),
    answer: () => {
      revealed = !revealed;
      draw();
      if (revealed && !hidden()) view()?.querySelector('.notice').scrollIntoView({ block: 'nearest' });
    },
    cover: () => { covered = !hidden(); veiled = revealed = false; draw(); },
    controls: () => open('controls'), python: () => open('python'),
    index: () => explorer.go(`tab=${explorer.names[0]}`),
    leave: () => explorer.lecture(false),
    close: () => { panel = ''; document.activeElement?.blur(); draw(); },
  };
  const KEYS = {
    PageUp: 'back', b: 'back', PageDown: 'next', n: 'next', a: 'answer', '.': 'answer', h: 'cover',
    c: 'controls', p: 'python', i: 'index', l: 'leave', Escape: 'close',
  };
  const BUTTONS = [
    ['answer', 'A', 'Answer'], ['cover', 'H', 'Hide picture'], ['controls', 'C', 'Controls'], ['python', 'P', 'Python'],
    ['index', 'I', 'Index'], ['leave', 'L', 'Leave'],
  ];
  // Letters belong to whoever types them.
  const typing = (target) => target.closest?.('textarea, select, [contenteditable="true"], [role="listbox"], input:not([type="range"], [type="checkbox"], [type="radio"])');
  document.addEventListener('keydown', (event) => {
    if (!on || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const deed = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!deed || (typing(event.target) && deed !== 'close')) return;
    event.preventDefault();
    deeds[deed]();
  });
  // Who has pointed at nothing yet means the first player, or sheet of pictures, that is to be seen.
  const STEPS = ['ArrowLeft', 'ArrowRight', 'Home', 'End', ' '];
  document.addEventListener('keydown', (event) => {
    const { key, target } = event, atButton = target.closest?.('.lecture-bar');
    if (!on || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || !STEPS.includes(key)) return;
    if (target !== document.body && (!atButton || key === ' ')) return;
    const players = [...view()?.querySelectorAll('.stage :is(.transport, .pictures)') ?? []];
    const meant = players.find((one) => one.checkVisibility());
    const passed = new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true });
    if (meant && !meant.dispatchEvent(passed)) event.preventDefault();
  });

  function made() {
    const place = document.createElement('nav');
    place.className = 'lecture-bar';
    place.setAttribute('aria-label', 'Lecture');
    place.innerHTML = `<div class="turning">
      <button type="button" data-deed="back" title="Key B or Page Up"><span aria-hidden="true">‹</span> Back <kbd>B</kbd> <kbd>PgUp</kbd></button>
      <p class="slide-text" aria-live="polite"><span class="slide-place"></span> <b class="slide-name"></b> <span class="slide-note"></span></p>
      <button type="button" data-deed="next" title="Key N or Page Down">Next <kbd>N</kbd> <kbd>PgDn</kbd> <span aria-hidden="true">›</span></button></div>
      <div class="deeds">${BUTTONS.map(([deed, key, name]) => `<button type="button" data-deed="${deed}" title="Key ${key}">${name} <kbd>${key}</kbd></button>`).join('')}</div>`;
    place.addEventListener('click', (event) => deeds[event.target.closest('[data-deed]')?.dataset.deed]?.());
    return document.body.appendChild(place);
  }
  function draw() {
    const before = document.body.className + panel, list = document.body.classList;
    list.toggle('lecture', on);
    list.toggle('revealed', on && revealed);
    list.toggle('covered', on && hidden() && !revealed);
    if (on && panel) document.body.dataset.panel = panel;
    else delete document.body.dataset.panel;
    for (const toggle of document.querySelectorAll('.lecture-toggle')) toggle.setAttribute('aria-pressed', on);
    if (on) {
      bar ??= made();
      const now = here(), one = now?.lecture.slides[now.at], all = chips(), at = pressed();
      if (at >= 0) left.set(explorer.current, at);
      const put = (name, text) => { const place = bar.querySelector(`.slide-${name}`); explorer.say(place, text); };
      const place = inIndex() ? '' : now ? `${now.lecture.title} ${now.at + 1}/${now.lecture.slides.length}` : at >= 0 ? `preset ${at + 1}/${all.length}` : '';
      put('place', place);
      put('name', inIndex() ? 'Choose a slide or a topic' : one?.text ?? all[at]?.textContent ?? '');
      put('note', one?.note ?? '');
      list.toggle('on-slide', Boolean(one?.note));
      const state = { answer: revealed, cover: hidden(), controls: panel === 'controls', python: panel === 'python' };
      for (const [deed, value] of Object.entries(state)) bar.querySelector(`[data-deed="${deed}"]`).setAttribute('aria-pressed', value);
      const last = now && [[-1, 'back'], [1, 'next']].filter(([by]) => !now.lecture.slides[now.at + by]).map(([, deed]) => deed);
      bar.classList.toggle('in-index', inIndex());
      for (const deed of ['back', 'next']) bar.querySelector(`[data-deed="${deed}"]`).disabled = Boolean(last?.includes(deed));
    }
    if (bar) bar.hidden = !on;
    if (before !== document.body.className + panel) requestAnimationFrame(() => window.dispatchEvent(new Event('resize')));
  }
  explorer.listen(draw);
})(window.explorer);
