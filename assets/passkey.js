// The one script of the site: it asks the browser for a passkey and sends the answer with the form that the page holds anyway. What the server wants stands
// in the form's data attributes; nothing is kept, and nothing is fetched.
"use strict";
(() => {
  const form = document.querySelector("form[data-challenge]");
  const failed = document.getElementById("passkey-failed");
  const bytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (character) => character.charCodeAt(0));
  const text = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  const wanted = form.dataset;

  const made = async () => {
    const credential = await navigator.credentials.create({
      publicKey: {
        challenge: bytes(wanted.challenge),
        rp: { id: wanted.site, name: wanted.city },
        user: { id: bytes(wanted.owner), name: wanted.account, displayName: wanted.account },
        pubKeyCredParams: [-8, -7, -257].map((alg) => ({ type: "public-key", alg })),
        excludeCredentials: wanted.known.split(" ").filter(Boolean).map((id) => ({ type: "public-key", id: bytes(id) })),
        authenticatorSelection: { residentKey: "required", requireResidentKey: true, userVerification: "required" },
        attestation: "none",
      },
    });
    return { client_data: credential.response.clientDataJSON, attestation: credential.response.attestationObject };
  };

  const used = async () => {
    const credential = await navigator.credentials.get({
      publicKey: { challenge: bytes(wanted.challenge), rpId: wanted.site, userVerification: "required" },
    });
    const { clientDataJSON, authenticatorData, signature } = credential.response;
    return { passkey: credential.rawId, client_data: clientDataJSON, authenticator_data: authenticatorData, signature };
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    failed.hidden = true;
    try {
      const answer = await (wanted.owner ? made() : used());
      for (const name in answer) form.elements[name].value = text(answer[name]);
      form.submit();
    } catch {
      // The person said no, or there is no passkey here: the page stands as it was.
      failed.hidden = false;
    }
  });
  document.getElementById("passkey-needs-script").hidden = true;
  form.hidden = false;
})();
