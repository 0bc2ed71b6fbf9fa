import { UploadsProvider, useAddFiles, useUploads } from "backhaul/solid";
import { createComponent } from "solid-js";
import h from "solid-js/h";
import { render } from "solid-js/web";

function List() {
  const view = useUploads();
  const addFiles = useAddFiles();
  const onChange = ({ currentTarget }: { currentTarget: HTMLInputElement }) =>
    addFiles(currentTarget.files ?? [], { keyOf: ({ name }) => `solid/${name}` });
  const rows = () => view().list.map(({ name, state }) => h("li", { "data-state": state }, name));
  return h("div", h("input", { type: "file", onChange }), h("ul", rows))();
}

const source = { worker: "/sw.js" };
render(
  () =>
    createComponent(UploadsProvider, {
      source,
      get children() {
        return createComponent(List, {});
      },
    }),
  document.querySelector("main") as HTMLElement,
);
