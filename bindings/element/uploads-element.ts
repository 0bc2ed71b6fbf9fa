import type { UploadError, UploadSnapshot } from "backhaul";
import {
  type AddFilesOptions,
  actionsOf,
  addFiles,
  LABELS,
  type Labels,
  run,
  shareOf,
  stateText,
  type UploadsSource,
  UploadsStore,
} from "../core/index.ts";

/** What the element fires beside what every element does. */
export interface UploadsElementEvents {
  /** Files were added: the uploads' ids. */
  readonly added: CustomEvent<readonly string[]>;
  /** The page could not connect, or files could not be added. */
  readonly error: CustomEvent<UploadError>;
}

/** On a server there is none, and the module can be loaded all the same. */
const Base = globalThis.HTMLElement ?? (class {} as typeof HTMLElement);

/**
 * `<backhaul-uploads worker="/sw.js">`: a labelled file input that takes dropped files too, and the list of uploads. It has no
 * shadow root, so that a page's own styles apply. Attributes: `worker` and `scope`, as of `connectUploads`, and `accept`, as
 * of `<input>`. Fires `added` (`detail`: the uploads' ids) and `error` (`detail`: an `UploadError`).
 */
export class UploadsElement extends Base {
  /** In place of the attributes `worker` and `scope`. To be set before the element is on the page. */
  source: UploadsSource | null = null;
  /** How files are uploaded. */
  options: AddFilesOptions = {};
  /** Words in place of the English ones. To be set before the element is on the page. */
  labels: Partial<Labels> = {};
  #store: UploadsStore | undefined;
  #leave: (() => void) | undefined;
  readonly #rows = new Map<string, { readonly row: HTMLLIElement; readonly upload: UploadSnapshot }>();

  /** As of every element, with the types of what this one fires. */
  override addEventListener<T extends keyof UploadsElementEvents>(
    type: T,
    listener: (event: UploadsElementEvents[T]) => unknown,
    options?: boolean | AddEventListenerOptions,
  ): void;
  override addEventListener<T extends keyof HTMLElementEventMap>(
    type: T,
    listener: (event: HTMLElementEventMap[T]) => unknown,
    options?: boolean | AddEventListenerOptions,
  ): void;
  override addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject,
    options?: boolean | AddEventListenerOptions,
  ): void;
  override addEventListener(...args: Parameters<HTMLElement["addEventListener"]>): void {
    super.addEventListener(...args);
  }

  /** Called by the browser. */
  connectedCallback(): void {
    const scope = this.getAttribute("scope");
    const options = { worker: this.getAttribute("worker") ?? "/sw.js", ...(scope !== null && { scope }) };
    const store = this.#store ?? new UploadsStore(this.source ?? options);
    this.#store = store;
    const list = document.createElement("ul");
    list.className = "backhaul-list";
    list.ariaLabel = this.#words.list;
    this.replaceChildren(this.#dropzone(store), list);
    let isTold = false;
    const show = () => {
      const { list: uploads, error } = store.get();
      this.#show(list, uploads);
      if (error !== null && !isTold) this.#tell("error", error);
      isTold = error !== null;
    };
    const stop = store.subscribe(show);
    const release = store.retain();
    show();
    this.#leave = () => {
      stop();
      release();
    };
  }

  /** Called by the browser. */
  disconnectedCallback(): void {
    this.#leave?.();
    this.#rows.clear();
  }

  get #words(): Labels {
    return { ...LABELS, ...this.labels };
  }

  #dropzone(store: UploadsStore): HTMLLabelElement {
    const label = document.createElement("label");
    label.className = "backhaul-dropzone";
    const input = document.createElement("input");
    Object.assign(input, { type: "file", multiple: true, accept: this.getAttribute("accept") ?? "" });
    label.append(this.#words.pick, input);
    const add = (files: FileList | null | undefined) => {
      if (!files?.length) return;
      addFiles(store, files, this.options).then(
        (ids) => this.#tell("added", ids),
        (error: unknown) => this.#tell("error", error),
      );
    };
    input.addEventListener("change", () => {
      add(input.files);
      // Or the same file could not be picked again.
      input.value = "";
    });
    const over = (isOver: boolean) => (event: DragEvent) => {
      if (event.type !== "dragleave") event.preventDefault();
      label.toggleAttribute("data-over", isOver);
    };
    label.addEventListener("dragover", over(true));
    label.addEventListener("dragleave", over(false));
    label.addEventListener("drop", (event) => {
      over(false)(event);
      add(event.dataTransfer?.files);
    });
    return label;
  }

  #show(list: HTMLUListElement, uploads: readonly UploadSnapshot[]): void {
    const ids = new Set(uploads.map(({ id }) => id));
    for (const [id, { row }] of this.#rows)
      if (!ids.has(id)) {
        row.remove();
        this.#rows.delete(id);
      }
    for (const upload of uploads) {
      const shown = this.#rows.get(upload.id);
      if (shown?.upload === upload) continue;
      const row = shown?.row ?? list.appendChild(this.#newRow(upload));
      this.#rows.set(upload.id, { row, upload });
      this.#update(row, upload, shown?.upload);
    }
  }

  #newRow({ name }: UploadSnapshot): HTMLLIElement {
    const row = document.createElement("li");
    const title = document.createElement("span");
    title.textContent = name;
    const progress = document.createElement("progress");
    progress.ariaLabel = name;
    const status = document.createElement("span");
    status.role = "status";
    row.append(title, progress, status);
    return row;
  }

  #update(row: HTMLLIElement, upload: UploadSnapshot, before: UploadSnapshot | undefined): void {
    const [, progress, status] = row.children;
    (progress as HTMLProgressElement).value = shareOf(upload);
    row.dataset.state = upload.state;
    const text = stateText(upload, this.#words);
    // Screen readers read a status out whenever it is written.
    if (status && status.textContent !== text) status.textContent = text;
    const actions = actionsOf(upload);
    if (before && String(actionsOf(before)) === String(actions)) return;
    const buttons = row.querySelectorAll("button");
    for (const button of [...buttons].slice(actions.length)) button.remove();
    for (const [index, action] of actions.entries()) {
      // A button stays while its meaning changes, from pause to resume, and keeps the focus.
      const button = buttons[index] ?? row.appendChild(document.createElement("button"));
      button.type = "button";
      button.textContent = this.#words[action];
      button.ariaLabel = `${this.#words[action]}: ${upload.name}`;
      button.onclick = () => {
        const { uploads } = this.#store?.get() ?? {};
        if (uploads) run(uploads, action, upload.id);
      };
    }
  }

  #tell(type: "added" | "error", detail: unknown): void {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
