// The page's address: ?tab=NAME and the tab's own short keys. Settings replace the entry, a change of tab adds one.
window.explorer = (() => {
  const asked = new URLSearchParams(location.search);
  const own = (query) => {  // less the keys that belong to the page and not to a tab
    const params = new URLSearchParams(query);
    for (const key of ['lecture', 'slide', 'cover', '__theme']) params.delete(key);
    return params.toString();
  };
  const pieces = new Map();  // by number: how each takes a value
  const queries = new Map(asked.get('tab') ? [[asked.get('tab'), own(location.search)]] : []), tabs = new Map(), shows = new Map(), listeners = [];
  const due = new Set();  // tabs that came into view before they could read their address
  let current = asked.get('tab'), settled = false, writing = null, select = () => {};

  function link(query) {
    const params = new URLSearchParams(query), theme = new URLSearchParams(location.search).get('__theme');
    for (const [key, value] of Object.entries({ ...explorer.carried(), __theme: theme })) if (value) params.set(key, value);
    return `${location.origin}${location.pathname}?${params}`;
  }
  const query = (name) => queries.get(name) ?? `tab=${name}`;
  function settle() {
    clearTimeout(writing);
    writing = null;
    if (settled) history.replaceState(null, '', link(query(current)));
    for (const hear of listeners) hear(current);
  }
  // Show a tab with the settings of `queries`: the one in view is told, another one comes into view.
  function show(name) {
    const inView = name === current;
    current = name;
    if (inView) explorer.comes(name);
    else select();
    settle();
  }
  const explorer = {
    link, query, settle,
    get current() { return current; },
    names: [],
    titles: [],
    moves: new Map(),  // by tab, see components/live.js
    async move(name, ...asked) {
      while (!explorer.moves.has(name)) await new Promise((go) => setTimeout(go, 10));  // the tab is about to be there
      return explorer.moves.get(name).move(...asked);
    },
    // A piece tells how it is given a value; what it watches is called then as it is after an event of Gradio's.
    piece(number, element, props, watch) {
      const heard = [];
      pieces.set(number, (value) => {
        if (!element.isConnected) return false;
        props.value = value;
        for (const hear of heard) try { hear(); } catch (error) { console.error(error); }
        return true;
      });
      return (name, hear) => {
        if (name === 'value') heard.push(hear);
        watch(name, hear);
      };
    },
    // Gives a piece its value, unless it skips this one; false if the page has no such piece.
    give(number, value) {
      const skips = value?.__type__ === 'update' && Object.keys(value).length === 1;
      return skips || Boolean(pieces.get(number)?.(value));
    },
    // Writes a text, unless it stands there: the page would lay it out anew.
    say(node, text) {
      const { firstChild: only } = node;
      if (node.textContent === text) return;
      if (only?.nodeType === Node.TEXT_NODE && !only.nextSibling) only.data = text;
      else node.textContent = text;
    },
    // The address of one of the app's own files: relative to its root, so that it works behind a path.
    file(path) {
      const root = (window.gradio_config?.root ?? '').replace(/\/$/, '');
      return new URL(root ? `${root}/${path}` : path, document.baseURI).href;
    },
    carried: () => ({}),  // keys of the page that its links keep
    arrived: () => {},  // Back or Forward has changed them
    // Called with the tab's name when the address has changed.
    listen: (hear) => listeners.push(hear),
    // How to bring the current tab into view, and how one in view reads its address anew.
    selects: (act) => (select = act),
    reads(name, act) {
      tabs.set(name, act);
      if (due.delete(name)) setTimeout(act);
    },
    // Called once when the page stands: go to the tab that was asked for.
    start(names, titles = []) {
      explorer.names = names;
      explorer.titles = titles;
      const unknown = current && !names.includes(current);
      if (!names.includes(current)) current = names[0];
      settled = true;
      settle();
      if (unknown) explorer.comes(current);
      dress();
      document.documentElement.classList.remove('opening');
      return { selected: current, __type__: 'update' };
    },
    // A visitor chose a tab. Gradio brings it into view, and tells of that some time later: this is where it is known.
    choose(name) {
      if (name === current) return;
      if (!settled) return void (current = name);
      if (writing) settle();
      current = name;
      history.pushState(null, '', link(query(name)));
      settle();
    },
    // A tab came into view, or its address has changed: it reads it, unless it shows that already, perhaps with what no
    // address holds.
    comes(name) {
      if (current && name !== current) {  // early, as the first tab before the one asked for; or late, as it was left
        if (settled) select();
        return;
      }
      const wanted = query(name);
      if (shows.get(name) === wanted) return;
      explorer.moves.get(name)?.overtaken();
      shows.set(name, wanted);
      document.getElementById(`tab-${name}`)?.dispatchEvent(new Event('addressed'));
      if (tabs.has(name)) tabs.get(name)();
      else due.add(name);
    },
    // A tab's settings changed. A drag changes them many times a second, and browsers refuse an address that does.
    write(query) {
      const name = new URLSearchParams(query).get('tab');
      queries.set(name, query);
      shows.set(name, query);
      if (name === current) writing ??= setTimeout(settle, 350);
    },
    // Follow a link of the page without loading it again.
    go(query) {
      if (writing) settle();
      const name = new URLSearchParams(query).get('tab');
      queries.set(name, own(query));
      shows.delete(name);
      history.pushState(null, '', link(own(query)));
      show(name);
    },
    // Back or Forward: the address has changed, the tab follows.
    travel() {
      const name = new URLSearchParams(location.search).get('tab');
      if (!explorer.names.includes(name)) return;
      clearTimeout(writing);
      writing = null;
      queries.set(name, own(location.search));
      explorer.arrived();
      show(name);
    },
    follow: (anchor) => explorer.go(anchor.getAttribute('href').slice(1)),
  };
  window.addEventListener('popstate', explorer.travel);
  // A tab's button has the tab's name; in the menu of those that find no room beside each other it has its title.
  document.addEventListener('click', (event) => {
    const button = event.target.closest?.('.tab-container [role="tab"], .overflow-dropdown button');
    const name = button?.dataset.tabId ?? explorer.names[explorer.titles.indexOf(button?.textContent.trim())];
    if (name) explorer.choose(name);
  }, true);
  window.addEventListener('pagehide', () => writing && settle());
  // Links within the page; with a key held, or the middle button, they open as links do.
  document.addEventListener('click', (event) => {
    const target = event.target.closest?.('a[href^="?tab="]');
    if (!target || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey || event.defaultPrevented) return;
    event.preventDefault();
    explorer.follow(target);
  });
  return explorer;
})();
if (new URLSearchParams(location.search).get('tab')) {
  document.documentElement.classList.add('opening');
  setTimeout(() => document.documentElement.classList.remove('opening'), 4000); // whatever happens
}

// Light or dark as chosen last time; without a choice Gradio follows the system.
let dressed = null;
try { dressed = localStorage.getItem('explorer-theme'); } catch {}  // a browser may keep nothing: then a choice lasts as long as the page
function dress() {
  if (dressed) document.body.classList.toggle('dark', dressed === 'dark');
}
window.explorer.theme = (name) => {
  dressed = name;
  dress();
  try { localStorage.setItem('explorer-theme', name); } catch {}
};
// What draws with the page's colours and type hears `restyled` when they have changed, by whomever, and of no other class.
{
  const look = () => ['dark', 'lecture'].map((name) => document.body.classList.contains(name)).join();
  let seen = look();
  new MutationObserver(() => {
    if (seen !== (seen = look())) window.dispatchEvent(new Event('restyled'));
  }).observe(document.body, { attributes: true, attributeFilter: ['class'] });  // it is there: Gradio runs this late
}
