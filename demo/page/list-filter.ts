import { findElement, setText } from "./find-element.ts";
import type { Totals } from "./totals.ts";

const GROUPS = ["all", "moving", "held", "finished"] as const;

/** Below this many the list is its own overview. */
const FEWEST = 4;

/** Narrows the list to one group. The rows carry their group; style.css hides the others. */
export class ListFilter {
  readonly #bar = findElement("#filters", HTMLElement);
  readonly #list: HTMLElement;
  readonly #nothing = findElement("#nothing-here", HTMLElement);
  readonly #buttons: Map<(typeof GROUPS)[number], HTMLButtonElement>;
  #group: (typeof GROUPS)[number] = "all";
  #totals: Totals | undefined;

  constructor(list: HTMLElement) {
    this.#list = list;
    this.#buttons = new Map(
      GROUPS.map((group) => [group, findElement(`[data-filter="${group}"]`, HTMLButtonElement, this.#bar)]),
    );
    for (const [group, button] of this.#buttons) button.addEventListener("click", () => this.#choose(group));
  }

  show(totals: Totals): void {
    this.#totals = totals;
    this.#bar.hidden = totals.all < FEWEST && this.#group === "all";
    for (const [group, button] of this.#buttons)
      setText(findElement(".count", HTMLElement, button), String(totals[group]));
    this.#nothing.hidden = totals.all === 0 || totals[this.#group] > 0;
    // The buttons go with the last row, and must not leave the next one hidden.
    if (totals.all === 0 && this.#group !== "all") this.#choose("all");
  }

  #choose(group: (typeof GROUPS)[number]): void {
    this.#group = group;
    this.#list.dataset.only = group;
    for (const [other, button] of this.#buttons) button.ariaPressed = String(other === group);
    if (this.#totals) this.show(this.#totals);
  }
}
