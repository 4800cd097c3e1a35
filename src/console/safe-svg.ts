/** A drawn chart from the network as elements of this page, built of what `readSvg` lets through and nothing else. */
import { readSvg, type SvgElement } from './svg-text.ts';

const NAMESPACE = 'http://www.w3.org/2000/svg';

/** Null when the picture does not read, or is too large. */
export function safeSvg(picture: string): SVGSVGElement | null {
  const read = readSvg(picture);
  const made = read === null ? null : elementOf(read);
  return made instanceof SVGSVGElement ? made : null;
}

function elementOf({ name, attributes, children }: SvgElement): SVGElement {
  const element = document.createElementNS(NAMESPACE, name) as SVGElement;
  for (const [key, value] of attributes) element.setAttribute(key, value);
  for (const child of children) element.append(typeof child === 'string' ? child : elementOf(child));
  return element;
}
