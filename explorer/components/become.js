// Makes what is there like another tree, node by node: mostly it is the digits that differ, and only they are laid out anew.
function become(node, other) {
  if (node.nodeName !== other.nodeName) return node.replaceWith(other);
  if (node.nodeType === Node.TEXT_NODE) {
    if (node.data !== other.data) node.data = other.data;
    return;
  }
  for (const { name, value } of other.attributes) if (node.getAttribute(name) !== value) node.setAttribute(name, value);
  for (const { name } of [...node.attributes]) if (!other.hasAttribute(name)) node.removeAttribute(name);
  const now = [...node.childNodes], then = [...other.childNodes];
  then.forEach((one, i) => now[i] ? now[i].isEqualNode(one) || become(now[i], one) : node.append(one));
  for (const one of now.slice(then.length)) one.remove();
}
