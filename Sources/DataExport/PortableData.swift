// What another city or service can go on with: the details and the decisions about sharing, in one signed document. Whoever has the city's public key can check
// it without asking the city: Ed25519 over the label, a line feed and the canonical bytes (RFC 8785) of `data`. docs/API.md says how.
import Foundation
import TransparencyLog
import Web

/// The document as it is signed.
struct PortableData {
    let data: JSONValue

    /// Keeps what is signed here apart from everything else that the key signs.
    static let label = "stoa portable data v1"

    /// - Parameter city: the name under which the city signs.
    init(taking: Taking, parts: [(name: String, items: [JSONValue])], language: Language, city: String) {
        data = .object(
            [
                JSONMember("format", .string(Self.label)), JSONMember("city", .string(city)), JSONMember("public_code", .string(taking.publicCode)),
                JSONMember("issued_at", .string(RFC3339.text(taking.at))), JSONMember("language", .string(language.tag)),
            ] + parts.map { JSONMember($0.name, .array($0.items)) })
    }

    /// The document with its signature beside it.
    /// - Throws: what the signer throws; ``NotCanonical`` for a number that no signature can be made over.
    func signed(by signer: Ed25519NoteSigner) throws -> JSONValue {
        let signature = try signer.signature(label: Self.label, over: data.canonicalised())
        return [
            "data": data,
            "signature": [
                "algorithm": "Ed25519", "label": .string(Self.label), "vkey": .string(signer.verifier.vkey), "value": .string(Data(signature).base64EncodedString()),
            ],
        ]
    }
}
