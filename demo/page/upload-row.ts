import type { UploadSnapshot } from "backhaul";
import { ACTION_LABELS, describeUpload, groupOf, type UploadAction } from "./describe-upload.ts";
import { findElement, setText } from "./find-element.ts";
import { formatBytes } from "./format.ts";

/** More marks than this would be a grey smear. */
const MOST_PART_MARKS = 40;

/** An upload's element, which is made once and then updated in place. */
export class UploadRow {
  readonly element: HTMLLIElement;
  /** The snapshot that the row shows now. */
  shown: UploadSnapshot;
  /** Whether the row is in the viewport, or so close to it that the browser renders it. */
  isInSight = false;
  readonly #parts: RowParts;
  #marks = 0;

  constructor(template: HTMLTemplateElement, upload: UploadSnapshot, now: number) {
    const copy = template.content.cloneNode(true) as DocumentFragment;
    this.element = findElement("li", HTMLLIElement, copy);
    this.#parts = partsOf(this.element);
    this.shown = upload;
    this.element.dataset.id = upload.id;
    setText(this.#parts.name, upload.name);
    this.#parts.track.ariaLabel = `${upload.name}, ${formatBytes(upload.size)}`;
    this.update(upload, now);
  }

  update(upload: UploadSnapshot, now: number): void {
    this.shown = upload;
    const view = describeUpload(upload, now);
    const { element } = this;
    const parts = this.#parts;
    setData(element, "state", upload.state);
    setData(element, "group", groupOf(upload.state));
    setData(element, "key", upload.key);
    setText(parts.state, view.state);
    setText(parts.percent, view.percent === null ? "" : `${view.percent}%`);
    setText(parts.figures, view.figures);
    show(parts.confirmed, view.confirmed);
    show(parts.onTheWay, view.onTheWay);
    show(parts.trouble, view.trouble);
    show(parts.hint, view.hint);
    show(parts.key, view.key);
    show(parts.etag, view.etag);
    setAttribute(parts.track, "aria-valuenow", String(view.percent ?? 0));
    setAttribute(parts.track, "aria-valuetext", view.spokenProgress);
    setScale(parts.confirmedBar, view.confirmedShare);
    setScale(parts.estimatedBar, view.estimatedShare);
    this.#mark(upload.partsTotal);
    this.#offer(parts.main, view.main, upload.name);
    this.#offer(parts.ending, view.ending, upload.name);
  }

  /** Lets the bar show where one part ends and the next begins. */
  #mark(partsTotal: number): void {
    const marks = partsTotal > 1 && partsTotal <= MOST_PART_MARKS ? partsTotal : 0;
    if (marks === this.#marks) return;
    this.#marks = marks;
    this.#parts.track.style.setProperty("--marks", String(marks));
    this.#parts.track.toggleAttribute("data-marked", marks > 0);
  }

  /** The button stays the same element while its meaning changes, so that the focus stays where it was. */
  #offer(button: HTMLButtonElement, action: UploadAction | null, name: string): void {
    const before = button.dataset.action;
    if (before === (action ?? undefined) && button.hidden === (action === null)) return;
    if (action === null) {
      if (document.activeElement === button) this.#parts.ending.focus();
      delete button.dataset.action;
      button.hidden = true;
      return;
    }
    button.dataset.action = action;
    button.hidden = false;
    setText(button, ACTION_LABELS[action]);
    button.ariaLabel = `${ACTION_LABELS[action]}: ${name}`;
  }
}

type RowParts = ReturnType<typeof partsOf>;

function partsOf(row: HTMLElement) {
  const part = (name: string) => findElement(`[data-part="${name}"]`, HTMLElement, row);
  return {
    name: part("name"),
    state: part("state"),
    percent: part("percent"),
    figures: part("figures"),
    confirmed: part("confirmed"),
    onTheWay: part("on-the-way"),
    trouble: part("trouble"),
    hint: part("hint"),
    key: part("key"),
    etag: part("etag"),
    track: part("track"),
    confirmedBar: part("confirmed-bar"),
    estimatedBar: part("estimated-bar"),
    main: findElement('[data-part="main"]', HTMLButtonElement, row),
    ending: findElement('[data-part="ending"]', HTMLButtonElement, row),
  };
}

function show(element: HTMLElement, text: string): void {
  setText(element, text);
  // Its parent holds the label beside it, if it has one.
  const whole = element.closest<HTMLElement>("[data-optional]") ?? element;
  if (whole.hidden !== (text === "")) whole.hidden = text === "";
}

function setData(element: HTMLElement, name: string, value: string): void {
  if (element.dataset[name] !== value) element.dataset[name] = value;
}

function setAttribute(element: HTMLElement, name: string, value: string): void {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

function setScale(bar: HTMLElement, share: number): void {
  // Four digits are finer than a pixel of any screen.
  const transform = `scaleX(${share.toFixed(4)})`;
  if (bar.style.transform !== transform) bar.style.transform = transform;
}
