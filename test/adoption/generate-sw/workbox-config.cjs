module.exports = {
  globDirectory: "public",
  globPatterns: ["index.html"],
  swDest: "public/sw.js",
  skipWaiting: true,
  importScripts: ["/backhaul-sw.js", "/uploads.js"],
};
