import { replace } from "../lib/dom.js";
import { description, place } from "./document.js";

const spec = await description();
if (spec) {
  replace(place);
  window.Redoc.init(spec, { hideDownloadButton: true, nativeScrollbars: true, scrollYOffset: 0 }, place);
}
