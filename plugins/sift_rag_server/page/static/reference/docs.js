import { replace } from "../lib/dom.js";
import { description, place } from "./document.js";

const KEY = "sift-rag-key";

const spec = await description();
if (spec) {
  replace(place);
  window.SwaggerUIBundle({
    spec,
    domNode: place,
    deepLinking: true,
    validatorUrl: null,
    requestInterceptor: (request) => {
      const key = sessionStorage.getItem(KEY);
      if (key) request.headers.Authorization ??= `Bearer ${key}`;
      return request;
    },
  });
}
