import { isUploadError } from "backhaul";

/** The oldest goes when there are more. */
const MOST_NOTICES = 4;

/** Things that went wrong and belong to no row. They stay until the user takes them away. */
export class Notices {
  readonly #panel: HTMLElement;

  constructor(panel: HTMLElement) {
    this.#panel = panel;
  }

  /** @param what what could not be done, as the start of a sentence */
  report(what: string, error: unknown): void {
    const notice = document.createElement("div");
    notice.className = "notice";
    const text = document.createElement("p");
    text.append(`${what}: ${messageOf(error)}`, codeOf(error));
    const dismiss = document.createElement("button");
    dismiss.type = "button";
    dismiss.textContent = "Dismiss";
    dismiss.addEventListener("click", () => notice.remove());
    notice.append(text, dismiss);
    this.#panel.append(notice);
    while (this.#panel.childElementCount > MOST_NOTICES) this.#panel.firstElementChild?.remove();
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function codeOf(error: unknown): Node {
  const code = document.createElement("code");
  if (isUploadError(error)) code.textContent = error.code;
  return code;
}
