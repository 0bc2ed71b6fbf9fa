import { UploadsElement } from "./uploads-element.ts";

export type { AddFilesOptions, Labels, UploadsSource } from "../core/index.ts";
export { UploadsElement, type UploadsElementEvents } from "./uploads-element.ts";

declare global {
  interface HTMLElementTagNameMap {
    "backhaul-uploads": UploadsElement;
  }
}

// On a server there are no elements, and a page may load two copies of this module.
if (globalThis.customElements && !customElements.get("backhaul-uploads"))
  customElements.define("backhaul-uploads", UploadsElement);
