import { createUploads } from "backhaul/svelte";

// What Svelte makes of `$uploads`: it subscribes when the component comes, and undoes that when it goes.
const uploads = createUploads({ worker: "/sw.js" });
const input = Object.assign(document.createElement("input"), { type: "file" });
const list = document.createElement("ul");
(document.querySelector("main") as HTMLElement).append(input, list);
input.addEventListener("change", () =>
  uploads.addFiles(input.files ?? [], { keyOf: ({ name }) => `svelte/${name}` }),
);
uploads.subscribe((view) => {
  const rows = view.list.map(({ name, state }) => {
    const row = Object.assign(document.createElement("li"), { textContent: name });
    row.dataset.state = state;
    return row;
  });
  list.replaceChildren(...rows);
});
