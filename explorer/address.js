// The page's address: ?tab=NAME and the tab's own short keys. Settings replace the entry, a change of tab adds one.
window.explorer = (() => {
  const asked = new URLSearchParams(location.search);
  const queries = new Map(asked.get('tab') ? [[asked.get('tab'), location.search.slice(1)]] : []);
  let current = asked.get('tab'), settled = false, travelling = false;

  // Keys that belong to the page and not to a tab stay where they are.
  function link(query) {
    const params = new URLSearchParams(query), here = new URLSearchParams(location.search);
    for (const key of ['lecture', '__theme']) if (here.has(key) && !params.has(key)) params.set(key, here.get(key));
    return `${location.origin}${location.pathname}?${params}`;
  }
  return {
    link,
    // Called once when the page stands: go to the tab that was asked for.
    start(names) {
      if (!names.includes(current)) current = names[0];
      settled = true;
      history.replaceState(null, '', link(queries.get(current) ?? `tab=${current}`));
      dress();
      document.documentElement.classList.remove('opening');
      return { selected: current, __type__: 'update' };
    },
    // A tab came into view: the query it is to show.
    opened(name) {
      const query = queries.get(name) ?? `tab=${name}`;
      if (settled && name !== current) {
        current = name;
        if (!travelling) history.pushState(null, '', link(query));
        travelling = false;
      }
      return query;
    },
    // A tab's settings changed.
    write(query) {
      const name = new URLSearchParams(query).get('tab');
      queries.set(name, query);
      if (settled && name === current) history.replaceState(null, '', link(query));
    },
    // Back or Forward: the address has changed, the tab follows.
    travel() {
      const name = new URLSearchParams(location.search).get('tab');
      queries.set(name, location.search.slice(1));
      travelling = name !== current;
      return { selected: name, __type__: 'update' };
    },
  };
})();
if (new URLSearchParams(location.search).get('tab')) {
  document.documentElement.classList.add('opening');
  setTimeout(() => document.documentElement.classList.remove('opening'), 4000); // whatever happens
}

// Light or dark as chosen last time; without a choice Gradio follows the system.
function dress() {
  const kept = localStorage.getItem('explorer-theme');
  if (kept) document.body.classList.toggle('dark', kept === 'dark');
}
window.explorer.theme = (name) => {
  localStorage.setItem('explorer-theme', name);
  dress();
};
window.addEventListener('DOMContentLoaded', dress);
