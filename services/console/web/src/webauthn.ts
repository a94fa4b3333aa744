// SPDX-License-Identifier: Apache-2.0
//
// Passkeys: WebAuthn's JSON forms and the browser's own.
const toBytes = (text: string): ArrayBuffer => {
  const plain = atob(text.replace(/-/g, '+').replace(/_/g, '/'));
  return Uint8Array.from(plain, (c) => c.charCodeAt(0)).buffer;
};
const toText = (bytes: ArrayBuffer | null | undefined): string | undefined => (bytes
  ? btoa(String.fromCharCode(...new Uint8Array(bytes))).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '') : undefined);

interface Described { id: string; type: 'public-key'; transports?: AuthenticatorTransport[] }
interface CreationOptions { challenge: string; user: { id: string; name: string; displayName: string }; excludeCredentials?: Described[]; [key: string]: unknown }
interface RequestOptions { challenge: string; allowCredentials?: Described[]; [key: string]: unknown }

export const canUsePasskeys = () => typeof PublicKeyCredential !== 'undefined' && window.isSecureContext;

const described = (list: Described[] | undefined) => (list ?? []).map((d) => ({ ...d, id: toBytes(d.id) }));

/** Makes a passkey; what the console verifies. */
export async function createPasskey(options: CreationOptions): Promise<Record<string, unknown>> {
  const made = await navigator.credentials.create({ publicKey: { ...options, challenge: toBytes(options.challenge),
    user: { ...options.user, id: toBytes(options.user.id) }, excludeCredentials: described(options.excludeCredentials) } as unknown as PublicKeyCredentialCreationOptions });
  const credential = made as PublicKeyCredential;
  const response = credential.response as AuthenticatorAttestationResponse;
  return { id: credential.id, rawId: toText(credential.rawId), type: credential.type, clientExtensionResults: {},
    response: { clientDataJSON: toText(response.clientDataJSON), attestationObject: toText(response.attestationObject), transports: response.getTransports?.() ?? [] } };
}

/** Shows a passkey. */
export async function showPasskey(options: RequestOptions): Promise<Record<string, unknown>> {
  const got = await navigator.credentials.get({ publicKey: { ...options, challenge: toBytes(options.challenge),
    allowCredentials: described(options.allowCredentials) } as unknown as PublicKeyCredentialRequestOptions });
  const credential = got as PublicKeyCredential;
  const response = credential.response as AuthenticatorAssertionResponse;
  return { id: credential.id, rawId: toText(credential.rawId), type: credential.type, clientExtensionResults: {},
    response: { clientDataJSON: toText(response.clientDataJSON), authenticatorData: toText(response.authenticatorData), signature: toText(response.signature),
      ...(response.userHandle ? { userHandle: toText(response.userHandle) } : {}) } };
}
