import { VitePWA } from "vite-plugin-pwa";
import solid from "vite-plugin-solid";

export default {
  plugins: [
    solid(),
    VitePWA({
      strategies: "injectManifest",
      srcDir: "src",
      filename: "sw.js",
      injectRegister: false, // connectUploads registers it
      devOptions: { enabled: true, type: "module" }, // or there is no worker in `vite dev`
    }),
  ],
};
