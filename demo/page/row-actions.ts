import type { Uploads } from "backhaul";
import { askForFile } from "./ask-for-file.ts";
import type { UploadAction } from "./describe-upload.ts";

/** Carries out the buttons of all rows with one listener. */
export function listenToRows(
  list: HTMLElement,
  uploads: Uploads,
  onError: (what: string, error: unknown) => void,
): void {
  list.addEventListener("click", ({ target, detail }) => {
    const button = target instanceof Element ? target.closest<HTMLElement>("[data-action]") : null;
    const id = button?.closest<HTMLElement>("[data-id]")?.dataset.id;
    // The second click of a double one would hit what the button has become meanwhile: "Remove" after "Cancel".
    if (!button || !id || detail > 1) return;
    const name = uploads.get(id)?.name ?? "The upload";
    act(uploads, button.dataset.action as UploadAction, id).catch((error) => onError(`“${name}”`, error));
  });
}

async function act(uploads: Uploads, action: UploadAction, id: string): Promise<void> {
  switch (action) {
    case "attach": {
      const file = await askForFile();
      if (file) await uploads.attach(id, file);
      return;
    }
    case "pause":
    case "resume":
    case "retry":
    case "cancel":
    case "remove":
      return uploads[action](id);
    default:
      return action satisfies never;
  }
}
