// The verification page in a page of yours: <otp-verification url="…"> in place, open({ url }) in a dialog.
const ROOT = new URL("../", import.meta.url);
const SANDBOX = "allow-scripts allow-forms allow-same-origin allow-popups allow-popups-to-escape-sandbox";
const TALLEST = 2000;

const addressOf = ({ url, token }) => {
  const address = url ? new URL(url, location.href) : new URL(`v/${token}`, ROOT);
  if (!/^https?:$/.test(address.protocol) || !/\/v\/[\w-]{22}$/.test(address.pathname)) {
    throw new TypeError("give the page_url of a verification as url, or its last part as token");
  }
  address.search = "?embed=1";
  address.hash = "";
  return address;
};

const newNonce = () => btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(18)))).replace(/\W/g, "_");

// The frame of a page, and what it may say. Each document in it is handed one port, which only its own origin can get.
const frameOf = (asked, hear, takesFocus) => {
  const address = addressOf(asked), nonce = newNonce(), frame = document.createElement("iframe");
  let port = null, isOver = false, isFirst = true;
  const heard = ({ data }) => {
    if (data?.v !== 1 || data.nonce !== nonce) return;
    if (data.type === "resize" && data.height > 0) frame.style.height = `${Math.min(data.height, TALLEST)}px`;
    else if (isOver) return;
    else if (data.type === "ready" || data.type === "cancel") hear(data.type);
    else if (data.type === "done" && /^[\w-]{1,64}$/.test(data.verification)) {
      isOver = true;
      hear("done", data.verification);
    }
  };
  frame.addEventListener("load", () => {
    const channel = new MessageChannel();
    port?.close();
    port = channel.port1;
    port.onmessage = heard;
    const focus = (isFirst && takesFocus) || frame.getRootNode().activeElement === frame;
    isFirst = false;
    frame.contentWindow.postMessage({ v: 1, type: "connect", nonce, focus }, address.origin, [channel.port2]);
  });
  frame.name = nonce;
  frame.title = asked.label || "Verification";
  frame.allow = "otp-credentials";
  frame.sandbox = SANDBOX;
  frame.referrerPolicy = "no-referrer";
  Object.assign(frame.style, { display: "block", width: "100%", height: "28rem", border: "0" });
  frame.src = address.href;
  return frame;
};

export const open = (asked) => new Promise((resolve) => {
  const dialog = document.createElement("dialog"), close = document.createElement("button");
  const end = (result) => {
    dialog.close();
    dialog.remove();
    resolve(result);
  };
  const frame = frameOf(asked, (type, verification) => {
    if (type === "done") end({ verification });
    if (type === "cancel") end(null);
  }, true);
  dialog.setAttribute("aria-label", frame.title);
  dialog.addEventListener("cancel", (event) => {
    event.preventDefault();
    end(null);
  });
  close.type = "button";
  close.textContent = asked.close || "Close";
  close.addEventListener("click", () => end(null));
  Object.assign(dialog.style, { width: "min(27rem, 100%)", boxSizing: "border-box", padding: ".5rem", border: "0" });
  Object.assign(close.style, { display: "block", minHeight: "2.75rem", marginInlineStart: "auto", font: "inherit" });
  dialog.append(close, frame);
  document.body.append(dialog);
  dialog.showModal();
  frame.focus();
});

class OtpVerification extends HTMLElement {
  static observedAttributes = ["url", "token"];
  #shown = "";

  connectedCallback() {
    const asked = { url: this.getAttribute("url"), token: this.getAttribute("token"), label: this.getAttribute("label") };
    const wanted = `${asked.url} ${asked.token}`;
    if ((!asked.url && !asked.token) || wanted === this.#shown) return;
    this.#shown = wanted;
    this.style.display = "block";
    this.replaceChildren(frameOf(asked, (type, verification) => {
      this.dispatchEvent(new CustomEvent(type, { detail: verification ? { verification } : null }));
    }));
  }

  attributeChangedCallback() {
    if (this.isConnected) this.connectedCallback();
  }

  disconnectedCallback() {
    this.#shown = "";
    this.replaceChildren();
  }
}

if (!customElements.get("otp-verification")) customElements.define("otp-verification", OtpVerification);
