/** Which page is shown, and how it is called by those who cannot see it. One of `url` and `token` is given. */
export interface Asked {
  /** `page_url` of the verification. */
  url?: string;
  /** The last part of `page_url`, where the module comes from the server itself. */
  token?: string;
  /** Name of frame and dialog for screen readers, in the person's language; not given: "Verification". */
  label?: string;
  /** Text of the button that closes the dialog, in the person's language; not given: "Close". */
  close?: string;
}

/** Which verification is over. Whether the code was right, ask the server with your key. */
export interface Done {
  verification: string;
}

/**
 * Show the page in a dialog until the code was typed, or the person closes it (`null`).
 *
 * @throws TypeError (as a rejection) the address is not that of a page.
 */
export function open(asked: Asked): Promise<Done | null>;

/** Events of `<otp-verification>`: `ready`, `done` and `cancel`. */
export interface OtpVerificationEventMap {
  ready: CustomEvent<null>;
  done: CustomEvent<Done>;
  cancel: CustomEvent<null>;
}

/** Shows the page in place; attributes `url` or `token`, and `label`. */
export interface OtpVerificationElement extends HTMLElement {
  addEventListener<K extends keyof OtpVerificationEventMap>(
    type: K,
    listener: (this: OtpVerificationElement, event: OtpVerificationEventMap[K]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject,
    options?: boolean | AddEventListenerOptions,
  ): void;
}

declare global {
  interface HTMLElementTagNameMap {
    "otp-verification": OtpVerificationElement;
  }
}
