import { isUploadError, type UploadErrorCode } from "backhaul";
import { findElement, setText } from "./find-element.ts";
import { formatCount } from "./format.ts";
import { messageOf } from "./notices.ts";

type Remedy = "none" | "reload" | "again";

/** Says how the connection to the worker stands, as long as there is something to say. */
export class ConnectionPanel {
  readonly #waiting = findElement("#waiting-files", HTMLElement);
  readonly #panel = findElement("#no-connection", HTMLElement);
  readonly #message = findElement("#no-connection-message", HTMLElement);
  readonly #code = findElement("#no-connection-code", HTMLElement);
  readonly #button = findElement("#no-connection-remedy", HTMLButtonElement);
  #remedy: Remedy = "again";

  constructor(tryAgain: () => void) {
    this.#button.addEventListener("click", () =>
      this.#remedy === "reload" ? location.reload() : tryAgain(),
    );
  }

  showWaiting(count: number): void {
    const files = formatCount(count, "file");
    setText(
      this.#waiting,
      count > 0 ? `${files} picked; the upload starts as soon as the page is ready.` : "",
    );
    this.#waiting.hidden = count === 0;
  }

  connecting(): void {
    document.body.dataset.connection = "connecting";
    delete document.body.dataset.remedy;
    this.#panel.hidden = true;
  }

  connected(): void {
    document.body.dataset.connection = "connected";
  }

  failed(error: unknown): void {
    document.body.dataset.connection = "failed";
    this.#remedy = isUploadError(error) ? remedyFor(error.code) : "again";
    document.body.dataset.remedy = this.#remedy;
    setText(this.#message, messageOf(error));
    setText(this.#code, isUploadError(error) ? error.code : "UNKNOWN");
    setText(this.#button, this.#remedy === "reload" ? "Reload the page" : "Try again");
    this.#button.hidden = this.#remedy === "none";
    this.#panel.hidden = false;
  }
}

function remedyFor(code: UploadErrorCode): Remedy {
  switch (code) {
    case "NOT_SUPPORTED":
      return "none";
    case "PROTOCOL_MISMATCH":
    case "DATABASE_TOO_NEW":
      return "reload";
    default:
      // Unlike a reload it keeps what was picked.
      return "again";
  }
}
