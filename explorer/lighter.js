// What Gradio walks through for every piece of the page, when it opens and with every move, is made quicker to walk through.
(({ dependencies = [], components = [], page = {} }) => {
  // Svelte reads plain objects through proxies, instances of a class as they are.
  class Plain {}
  for (const one of dependencies) Object.setPrototypeOf(one, Plain.prototype);
  // The arguments of the endpoints, a quarter of all, are no pieces of the page; what is not visible is not waited for.
  const unseen = new Set();
  for (const { id, type, props } of components) if (type === 'api') {
    unseen.add(id);
    props.visible = false;
  }
  const prune = (node) => {
    if (!node.children) return;
    node.children = node.children.filter(({ id }) => !unseen.has(id));
    node.children.forEach(prune);
  };
  for (const { layout } of Object.values(page)) prune(layout);
})(window.gradio_config ?? {});
