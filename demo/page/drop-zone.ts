import { droppedFiles, type PickedFile } from "./dropped-files.ts";

export interface DropZoneOptions {
  readonly input: HTMLInputElement;
  /** Covers the window while files are held over it. */
  readonly curtain: HTMLElement;
  readonly onPick: (files: PickedFile[]) => void;
  readonly onError: (error: unknown) => void;
}

/** Takes files from the picker, and from a drop anywhere on the window. */
export function openDropZone({ input, curtain, onPick, onError }: DropZoneOptions): void {
  const takePicked = () => {
    const files = [...(input.files ?? [])].map((file) => ({ file, path: file.name }));
    // Browsers fire no `change` event when the same file is picked again, unless the value was cleared.
    input.value = "";
    if (files.length > 0) onPick(files);
  };
  input.addEventListener("change", takePicked);
  // Somebody was quicker than this script.
  takePicked();

  addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    if (event.dataTransfer) event.dataTransfer.dropEffect = "copy";
    curtain.hidden = false;
  });
  addEventListener("dragleave", (event) => {
    // Without a related target the pointer has left the window, not just one element for another.
    if (event.relatedTarget === null) curtain.hidden = true;
  });
  addEventListener("drop", (event) => {
    curtain.hidden = true;
    if (!hasFiles(event) || !event.dataTransfer) return;
    event.preventDefault();
    droppedFiles(event.dataTransfer).then((files) => {
      if (files.length > 0) onPick(files);
    }, onError);
  });
}

function hasFiles({ dataTransfer }: DragEvent): boolean {
  return dataTransfer?.types.includes("Files") ?? false;
}
