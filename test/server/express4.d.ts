/** Express 4 beside 5: what is used of it here has the types of 5. */
declare module "express4" {
  import express from "express";
  export default express;
}
