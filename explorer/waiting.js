// A move that is not answered within half a second says that it is being computed, until it is.
(() => {
  const note = Object.assign(document.createElement('p'), { textContent: 'Computing …' });
  note.setAttribute('role', 'status');
  note.style.cssText = `position: fixed; z-index: 60; top: 8px; left: 50%; transform: translateX(-50%); margin: 0; padding: 6px 18px;
    border-radius: 999px; background: var(--ink); color: var(--paper); font: 16px var(--font); pointer-events: none;`;
  const fetched = window.fetch;
  let asked = 0, timer = null;
  window.fetch = async (...request) => {
    if (!/\/gradio_api\/(run|component_server)\//.test(request[0]?.url ?? request[0])) return fetched(...request);
    if (asked++ === 0) timer = setTimeout(() => document.body.append(note), 500);
    try {
      return await fetched(...request);
    } finally {
      if (--asked === 0) {
        clearTimeout(timer);
        note.remove();
      }
    }
  };
})();
