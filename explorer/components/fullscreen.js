// One piece of the stage on the whole screen: by the button in its corner, or by the key f while one is in it. Where a
// browser lends no element its screen (on some phones), the piece fills the window, and Escape gives it back.
// A piece that fits itself listens to `fit` and asks `explorer.room`; the others are enlarged as they are.
((explorer) => {
  const ICONS = ['M3 8V3h5M12 3h5v5M17 12v5h-5M8 17H3v-5', 'M8 3v5H3M17 8h-5V3M12 17v-5h5M3 12h5v5'];
  const typing = (target) => target.closest?.('textarea, select, [contenteditable="true"], input:not([type="range"], [type="checkbox"], [type="radio"])');
  const shown = () => document.querySelector('.piece.full');

  function draw(piece, on) {
    if (piece.classList.contains('full') === on) return;
    const whole = [piece.clientWidth, piece.scrollHeight];
    piece.classList.toggle('full', on);
    const button = piece.querySelector(':scope > .full-button');
    button.querySelector('path').setAttribute('d', ICONS[+on]);
    button.title = on ? 'Leave the full screen (f)' : 'Full screen (f)';
    button.setAttribute('aria-label', button.title);
    const zoom = Math.min(innerWidth / piece.before[0], (innerHeight - 60) / piece.before[1]);
    piece.style.setProperty('--enlarge', on && whole[0] ? Math.max(1, Math.min(3, zoom)).toFixed(2) : 1);
    if (on && document.activeElement === button) piece.querySelector('[tabindex="0"]')?.focus();  // its own keys work at once
    requestAnimationFrame(() => {
      piece.dispatchEvent(new Event('fit'));
      window.dispatchEvent(new Event('resize'));  // plots take the room they have now
    });
  }
  async function toggle(piece) {
    if (piece.classList.contains('full')) return document.fullscreenElement ? document.exitFullscreen() : draw(piece, false);
    piece.before = [piece.clientWidth || 1, piece.scrollHeight || 1];
    await piece.requestFullscreen?.().catch(() => {});
    draw(piece, true);
  }
  document.addEventListener('fullscreenchange', () => {
    const piece = shown();
    if (piece && !document.fullscreenElement) draw(piece, false);
  });
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const piece = shown() ?? event.target.closest?.('.can-fill');
    const leave = event.key === 'Escape' && shown() && !document.fullscreenElement;
    if (!piece || !(leave || (event.key === 'f' && !typing(event.target)))) return;
    event.preventDefault();
    toggle(piece);
  });
  // The height that a piece has for its pictures, which has `usual` in the page.
  explorer.room = (node, usual) => (node.closest('.piece.full') ? Math.max(usual, innerHeight - 190) : usual);
  explorer.full = (element) => {
    const piece = element.closest('.stage > .piece');
    if (!piece || piece.matches('.progress-piece, .views-piece, .underlay-piece, .ways-piece, .can-fill')) return;
    piece.classList.add('can-fill');
    const button = Object.assign(document.createElement('button'), { type: 'button', className: 'full-button', title: 'Full screen (f)' });
    button.setAttribute('aria-label', button.title);
    button.innerHTML = `<svg viewBox="0 0 20 20" aria-hidden="true"><path d="${ICONS[0]}"/></svg>`;
    button.addEventListener('click', () => toggle(piece));
    piece.append(button);
  };
})(window.explorer);
