/**
 * A software passkey of one site: responds to both WebAuthn ceremonies with the JSON that a browser returns, with user
 * verification. Faults can be injected into each response.
 */
import { createHash, generateKeyPairSync, randomBytes, sign } from "node:crypto";
import type { Assertion, Attestation } from "../../../server/src/crypto/passkey.ts";

export type VirtualAuthenticator = {
  /** The credential id, base64url. */
  readonly id: string;
  /** Creates the response of `navigator.credentials.create`. */
  readonly createAttestation: (options: CeremonyOptions, fault?: CeremonyFault) => Attestation;
  /** Creates the response of `navigator.credentials.get`. */
  readonly createAssertion: (options: CeremonyOptions, fault?: CeremonyFault) => Assertion;
};

/** The ceremony options that the response depends on. */
export type CeremonyOptions = { readonly challenge: string };

/** Deviations from the response of a browser. */
export type CeremonyFault = {
  readonly origin?: string;
  readonly rpId?: string;
  /** Without user verification. */
  readonly unverified?: boolean;
  /** The signature counter. Default: 0, as synchronised passkeys return. */
  readonly counter?: number;
};

export function createVirtualAuthenticator(site: {
  readonly rpId: string;
  readonly origin: string;
}): VirtualAuthenticator {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const credential = randomBytes(20);
  const id = credential.toString("base64url");

  /** WebAuthn §5.8.1. */
  function clientData(
    type: string,
    { challenge }: CeremonyOptions,
    { origin = site.origin }: CeremonyFault,
  ): Buffer {
    return Buffer.from(JSON.stringify({ type, challenge, origin, crossOrigin: false }));
  }

  /** WebAuthn §6.1: hash of the rpId, flags, counter, and what follows. */
  function authenticatorData(flags: number, fault: CeremonyFault, ...rest: Buffer[]): Buffer {
    const counter = Buffer.alloc(4);
    counter.writeUInt32BE(fault.counter ?? 0);
    const seen = flags | present | (fault.unverified ? 0 : verified);
    return Buffer.concat([sha256(fault.rpId ?? site.rpId), Buffer.from([seen]), counter, ...rest]);
  }

  return {
    id,
    createAttestation: (options, fault = {}) => {
      const { x, y } = publicKey.export({ format: "jwk" });
      const coseKey = cborMap([
        [cborInt(1), cborInt(2)], // kty: EC2
        [cborInt(3), cborInt(-7)], // alg: ES256
        [cborInt(-1), cborInt(1)], // crv: P-256
        [cborInt(-2), cborBytes(Buffer.from(x!, "base64url"))],
        [cborInt(-3), cborBytes(Buffer.from(y!, "base64url"))],
      ]);
      const aaguid = Buffer.alloc(16);
      const data = authenticatorData(
        attested,
        fault,
        aaguid,
        Buffer.from([0, credential.length]),
        credential,
        coseKey,
      );
      const object = cborMap([
        [cborText("fmt"), cborText("none")],
        [cborText("attStmt"), cborMap([])],
        [cborText("authData"), cborBytes(data)],
      ]);
      return {
        id,
        rawId: id,
        type: "public-key",
        response: {
          clientDataJSON: clientData("webauthn.create", options, fault).toString("base64url"),
          attestationObject: object.toString("base64url"),
          transports: ["internal"],
        },
        clientExtensionResults: {},
      };
    },
    createAssertion: (options, fault = {}) => {
      const client = clientData("webauthn.get", options, fault);
      const data = authenticatorData(0, fault);
      const signature = sign("sha256", Buffer.concat([data, sha256(client)]), privateKey);
      return {
        id,
        rawId: id,
        type: "public-key",
        response: {
          clientDataJSON: client.toString("base64url"),
          authenticatorData: data.toString("base64url"),
          signature: signature.toString("base64url"),
        },
        clientExtensionResults: {},
      };
    },
  };
}

const present = 0x01;
const verified = 0x04;
const attested = 0x40;

function sha256(data: string | Buffer): Buffer {
  return createHash("sha256").update(data).digest();
}

/** Encodes a CBOR head (RFC 8949 §3) with a definite length below 65,536. */
function cborHead(major: number, argument: number): Buffer {
  const type = major << 5;
  if (argument < 24) return Buffer.from([type | argument]);
  return argument < 256
    ? Buffer.from([type | 24, argument])
    : Buffer.from([type | 25, argument >> 8, argument & 0xff]);
}

function cborInt(value: number): Buffer {
  return value < 0 ? cborHead(1, -1 - value) : cborHead(0, value);
}

function cborBytes(bytes: Buffer): Buffer {
  return Buffer.concat([cborHead(2, bytes.length), bytes]);
}

function cborText(text: string): Buffer {
  return Buffer.concat([cborHead(3, Buffer.byteLength(text)), Buffer.from(text)]);
}

function cborMap(members: readonly (readonly [Buffer, Buffer])[]): Buffer {
  return Buffer.concat([cborHead(5, members.length), ...members.flat()]);
}
