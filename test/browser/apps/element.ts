import "backhaul/element";

const uploads = document.createElement("backhaul-uploads");
uploads.options = { keyOf: ({ name }) => `element/${name}` };
(document.querySelector("main") as HTMLElement).append(uploads);
