/**
 * An alias for Vite. Built for browsers, the AWS SDK parses XML with `DOMParser`, which a service worker hasn't got; the
 * parser that it has for Node is plain JavaScript.
 */
export const workerXmlParser = {
  find: /^\.\/xml-parser$/,
  replacement: "@aws-sdk/xml-builder/dist-es/xml-parser.js",
};
