import { provideUploads, useUploads } from "backhaul/vue";
import { createApp, h } from "vue";

const List = {
  setup() {
    const { list } = useUploads();
    return () =>
      h(
        "ul",
        list.value.map(({ name, state }) => h("li", { "data-state": state }, name)),
      );
  },
};

createApp({
  setup() {
    const { addFiles } = provideUploads({ worker: "/sw.js" });
    const onChange = ({ target }: Event) =>
      addFiles((target as HTMLInputElement).files ?? [], { keyOf: ({ name }) => `vue/${name}` });
    return () => [h("input", { type: "file", onChange }), h(List)];
  },
}).mount(document.querySelector("main") as HTMLElement);
