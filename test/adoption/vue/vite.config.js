import vue from "@vitejs/plugin-vue";
import { VitePWA } from "vite-plugin-pwa";

export default {
  plugins: [
    vue(),
    VitePWA({
      strategies: "injectManifest",
      srcDir: "src",
      filename: "sw.js",
      injectRegister: false, // connectUploads registers it
      devOptions: { enabled: true, type: "module" }, // or there is no worker in `vite dev`
    }),
  ],
};
