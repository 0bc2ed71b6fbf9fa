import type { UploadSnapshot } from "backhaul";
import { arrange } from "./arrange.ts";
import { tellsTime } from "./describe-upload.ts";
import { UploadRow } from "./upload-row.ts";

/** The share of a frame's 16 ms that rows out of sight may take. */
const BUDGET_MS = 10;
/** Rows out of sight get a frame this often; each frame costs the browser more than the rows do. */
const OUT_OF_SIGHT_EVERY_MS = 100;

/**
 * The rows, one per upload. What is in sight is always current; the rest follows as each frame has time left, so that
 * thousands of uploads can't make the page stutter.
 */
export class UploadListView {
  readonly #list: HTMLElement;
  readonly #template: HTMLTemplateElement;
  readonly #rows = new Map<string, UploadRow>();
  readonly #onSight: (event: Event) => void;
  /** Uploads in the order to show. */
  #wanted: readonly UploadSnapshot[] = [];
  #current = new Map<string, UploadSnapshot>();
  readonly #stale = new Set<UploadRow>();
  /** Rows may be missing, or stand in the wrong place. */
  #isOrderStale = false;
  #outOfSightAt = 0;

  constructor(list: HTMLElement, template: HTMLTemplateElement, onSight: () => void) {
    this.#list = list;
    this.#template = template;
    // Where a browser has no such event, all rows count as out of sight, and follow a little later.
    this.#onSight = (event) => {
      const row = this.#rows.get((event.target as HTMLElement).dataset.id ?? "");
      if (!row) return;
      row.isInSight = !(event as ContentVisibilityAutoStateChangeEvent).skipped;
      onSight();
    };
  }

  /** Takes note of what is to be shown; `draw` shows it. */
  take(uploads: readonly UploadSnapshot[]): void {
    this.#current = new Map(uploads.map((upload) => [upload.id, upload]));
    this.#wanted = arrange(uploads);
    this.#isOrderStale = true;
    for (const [id, row] of this.#rows) {
      const upload = this.#current.get(id);
      if (upload && upload !== row.shown) this.#stale.add(row);
    }
  }

  /** A second has passed. Answers whether any row tells the time. */
  tick(): boolean {
    const before = this.#stale.size;
    for (const row of this.#rows.values()) if (tellsTime(row.shown)) this.#stale.add(row);
    return this.#stale.size > before;
  }

  /** Answers after how many milliseconds something is left to do, or null. */
  draw(now: number): number | null {
    const deadline = performance.now() + BUDGET_MS;
    if (this.#isOrderStale) this.#isOrderStale = this.#putInOrder(now, deadline);
    for (const row of this.#stale) if (row.isInSight) this.#refresh(row, now);
    if (performance.now() - this.#outOfSightAt >= OUT_OF_SIGHT_EVERY_MS) {
      this.#outOfSightAt = performance.now();
      for (const row of this.#stale) {
        if (performance.now() > deadline) break;
        this.#refresh(row, now);
      }
    }
    if (this.#isOrderStale) return 0;
    return this.#stale.size > 0 ? OUT_OF_SIGHT_EVERY_MS : null;
  }

  #refresh(row: UploadRow, now: number): void {
    this.#stale.delete(row);
    const upload = this.#current.get(row.shown.id);
    if (upload) row.update(upload, now);
  }

  /** Removes, adds and moves rows until time is up. Answers whether it was. */
  #putInOrder(now: number, deadline: number): boolean {
    this.#removeGone();
    let next = this.#list.firstElementChild;
    for (const upload of this.#wanted) {
      let row = this.#rows.get(upload.id);
      if (row?.element === next) {
        next = next?.nextElementSibling ?? null;
        continue;
      }
      if (performance.now() > deadline) return true;
      if (!row) {
        row = new UploadRow(this.#template, upload, now);
        this.#rows.set(upload.id, row);
        row.element.addEventListener("contentvisibilityautostatechange", this.#onSight);
      }
      this.#list.insertBefore(row.element, next);
    }
    return false;
  }

  #removeGone(): void {
    for (const [id, row] of this.#rows) {
      if (this.#current.has(id)) continue;
      const { element } = row;
      if (element.contains(document.activeElement)) focusBeside(element, this.#list);
      element.remove();
      this.#rows.delete(id);
      this.#stale.delete(row);
    }
  }
}

/** Whoever works through the list by keyboard goes on from where they are. */
function focusBeside(element: HTMLElement, list: HTMLElement): void {
  const neighbour = element.nextElementSibling ?? element.previousElementSibling;
  const button = neighbour?.querySelector<HTMLButtonElement>('[data-part="ending"]');
  (button ?? list).focus();
}
