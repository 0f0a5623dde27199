// HTTP message signatures (RFC 9421) over content digests (RFC 9530), without any I/O: which lines are signed, and how a signature travels.
import Crypto
import Foundation
import HTTPTypes
import TransparencyLog
import Web

extension HTTPField.Name {
    static let signature = HTTPField.Name("Signature") ?? .eTag
    static let signatureInput = HTTPField.Name("Signature-Input") ?? .eTag
}

/// `Content-Digest` (RFC 9530 §2) of a body, by SHA-256.
enum ContentDigest {
    static func field(of body: some Sequence<UInt8>) -> String { field(Array(SHA256.hash(data: Array(body)))) }

    static func field(_ digest: [UInt8]) -> String { "sha-256=:\(Data(digest).base64EncodedString()):" }
}

/// What one signature covers: components of the message in order, and its parameters (RFC 9421 §2).
struct SignatureBase: Sendable {
    /// One line: `"@method": POST`, `"content-digest";req: sha-256=:…:`.
    struct Component: Sendable {
        /// As Signature-Input writes it, with quotation marks and parameters (§2.1, §2.2).
        let identifier: String
        let value: String

        /// - Parameters:
        ///   - name: a field's name in small letters, or a derived component such as `@method`.
        ///   - parameters: behind the name, such as `;req` for what the request of an answer had (§2.4).
        init(_ name: String, _ value: String, parameters: String = "") {
            identifier = "\"\(name)\"\(parameters)"
            self.value = value
        }
    }

    let components: [Component]
    /// `@signature-params` as it stands in Signature-Input: the inner list and what follows it (§2.3).
    let parameters: String

    /// A signature of the city's, which is Ed25519 under the key that the log is signed with.
    /// - Parameters:
    ///   - created: when it is made.
    ///   - keyID: which key it is, of visible ASCII without quotation marks.
    init(_ components: [Component], created: Date, keyID: String) {
        self.components = components
        let seconds = Int64(created.timeIntervalSince1970.rounded(.down))
        parameters = "(\(components.map(\.identifier).joined(separator: " ")));created=\(seconds);keyid=\"\(keyID)\";alg=\"ed25519\""
    }

    /// A signature of somebody else's, whose parameters are as they were sent.
    init(_ components: [Component], parameters: String) {
        self.components = components
        self.parameters = parameters
    }

    /// The bytes that are signed (§2.5): a line for each component, and the parameters without a line feed behind them.
    var bytes: [UInt8] {
        Array((components.map { "\($0.identifier): \($0.value)\n" }.joined() + "\"@signature-params\": \(parameters)").utf8)
    }

    /// `Signature-Input` and `Signature` under a label (§4.1, §4.2).
    func fields(label: String, signature: [UInt8]) -> HTTPFields {
        [.signatureInput: "\(label)=\(parameters)", .signature: "\(label)=:\(Data(signature).base64EncodedString()):"]
    }
}

extension Ed25519NoteSigner {
    /// Which of the city's keys it is: the eight hexadecimal digits in the middle of its verifier key.
    var messageKeyID: String { verifier.vkey.split(separator: "+").dropFirst().first.map(String.init) ?? "" }

    /// The fields that sign a message.
    /// - Parameter label: under which the signature stands beside others.
    func messageFields(label: String, _ components: [SignatureBase.Component], created: Date) throws -> HTTPFields {
        let base = SignatureBase(components, created: created, keyID: messageKeyID)
        return base.fields(label: label, signature: try sign(base.bytes))
    }
}
