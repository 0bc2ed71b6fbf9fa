// `npm run setup`: installs all that the project needs, npm packages and system packages.
import { installPackages } from "./install.mjs";
import { installSystem } from "./install-system.mjs";

installPackages();
installSystem();
