/**
 * Finds an element of the page's own HTML. Throws if there is none, since HTML and script would not fit
 * together.
 */
export function findElement<T extends Element>(
  selector: string,
  type: abstract new () => T,
  root: ParentNode = document,
): T {
  const found = root.querySelector(selector);
  if (!(found instanceof type)) throw new Error(`The page has no ${type.name} "${selector}"`);
  return found;
}

/** Writing the same text again would cost a layout. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}
