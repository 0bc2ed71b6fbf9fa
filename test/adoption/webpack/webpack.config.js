import { fileURLToPath } from "node:url";

export default {
  mode: "production",
  entry: { main: "./src/main.js", sw: "./src/sw.js" },
  output: { filename: "[name].js", path: fileURLToPath(new URL("public", import.meta.url)) },
};
