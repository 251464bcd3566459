/* Run the search in a hidden frame when the site is opened from the disk, where browsers allow no workers. */
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.appendChild(this.frame);
      const inner = this.frame.contentWindow;
      window.addEventListener("message", (event) => {
        if (event.source !== inner) return;
        const message = new MessageEvent("message", { data: event.data });
        this.dispatchEvent(message);
        if (this.onmessage) this.onmessage(message);
      });
      inner.document.open();
      this.ready = new Promise((resolve) => { inner.onload = resolve; });
      inner.document.write(
        "<html><body><script>postMessage = parent.postMessage.bind(parent); importScripts = () => {}</script>" +
        `<script src="${url}"></script></body></html>`
      );
      inner.document.close();
    }
    postMessage(data) {
      this.ready.then(() => this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data })));
    }
    terminate() { this.frame.remove(); }
  };
}
