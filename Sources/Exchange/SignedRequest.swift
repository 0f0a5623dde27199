// A request that its sender signed (RFC 9421), read strictly: one signature, over enough of the message, not older than a few minutes. Whether the
// key is the right one is checked with OpenID.ClientMessageKeys; what comes of it is in SignedExchange.swift.
import Crypto
import Foundation
import HTTPTypes
import Hummingbird
import OpenID
import RawStructuredFieldValues
import Web

/// Why a signed request is not answered; what the client's developer reads.
struct SignatureRefusal: Error, Equatable {
    let reason: String

    init(_ reason: String) { self.reason = reason }
}

/// The one signature of a request, taken apart.
struct SignedRequest: Sendable {
    /// The name under which it stands in Signature-Input and Signature.
    let label: String
    let base: SignatureBase
    let signature: [UInt8]
    let created: Date
    /// From when on its sender does not stand behind it any more; nil: as long as it is young enough.
    let expires: Date?
    let keyID: String?
    let algorithm: String?
    /// What no other request of the client has (§2.3): who recorded this one cannot send it again.
    let nonce: String

    /// How old a signature may be, and how far ahead its clock: time for a slow line, and little for whoever recorded it.
    static let ageSecondsMax: TimeInterval = 300
    /// Until when the signature counts, whatever its clock.
    var endsAt: Date { created + Self.ageSecondsMax }
    /// Both fields together; a signature over a dozen components has some 400 bytes.
    private static let fieldBytesMax = 2_000
    /// What must be signed, or the signature says too little: what is done, where, and with which body.
    private static let required: [Set<String>] = [["@method", "@target-uri", "content-digest"], ["@method", "@authority", "@path", "content-digest"]]

    /// - Parameters:
    ///   - request: with a `Signature` field.
    ///   - origin: the site's, without a slash at the end: what `@target-uri` begins with, whatever a proxy in between made of it.
    /// - Throws: `SignatureRefusal`.
    init(_ request: Request, origin: String) throws(SignatureRefusal) {
        // Each once: which of two was meant could be disputed later.
        guard case (let inputs, let fields) = (request.headers[values: .signatureInput], request.headers[values: .signature]), inputs.count == 1, fields.count == 1,
            let input = inputs.first, let field = fields.first, input.utf8.count + field.utf8.count <= Self.fieldBytesMax
        else { throw SignatureRefusal("Send Signature together with Signature-Input, each once, in at most \(Self.fieldBytesMax) bytes.") }
        let (lists, signatures) = (Self.dictionary(input), Self.dictionary(field))
        guard lists.count == 1, signatures.count == 1, case (let label, .innerList(let list))? = lists.first, Self.isOnce(label, in: input), Self.isOnce(label, in: field),
            case (label, .item(let item))? = signatures.first.map({ ($0.0, $0.1) }), case .undecodedByteSequence(let text) = item.rfc9651BareItem,
            let signature = Data(base64Encoded: text)
        else { throw SignatureRefusal("Send one signature, under the same label in Signature-Input and Signature.") }
        self.label = label
        self.signature = Array(signature)
        let names = try Self.names(of: list)
        guard Self.required.contains(where: { $0.isSubset(of: names) }) else {
            throw SignatureRefusal("The signature must cover @method, @target-uri (or @authority and @path) and content-digest.")
        }
        var components: [SignatureBase.Component] = []
        for name in names { components.append(.init(name, try Self.value(of: name, request, origin: origin))) }
        var serialiser = StructuredFieldValueSerializer()
        guard let parameters = try? serialiser.writeListFieldValue([.innerList(list)]) else { throw SignatureRefusal("Signature-Input cannot be read.") }
        base = SignatureBase(components, parameters: String(decoding: parameters, as: UTF8.self))
        guard case .integer(let seconds)? = list.rfc9651Parameters["created"] else { throw SignatureRefusal("The signature needs the parameter created.") }
        created = Date(timeIntervalSince1970: TimeInterval(seconds))
        switch list.rfc9651Parameters["expires"] {
        case nil: expires = nil
        case .integer(let seconds): expires = Date(timeIntervalSince1970: TimeInterval(seconds))
        default: throw SignatureRefusal("The parameter expires is a whole number of seconds since 1970.")
        }
        keyID = Self.text(list.rfc9651Parameters["keyid"])
        algorithm = Self.text(list.rfc9651Parameters["alg"])
        guard let nonce = Self.text(list.rfc9651Parameters["nonce"]), !nonce.isEmpty else {
            throw SignatureRefusal("The signature needs the parameter nonce: a text that no other request of yours has.")
        }
        self.nonce = nonce
    }

    /// - Parameter now: the database's clock.
    /// - Throws: `SignatureRefusal` where the signature is too old, comes from the future, or is by none of the keys.
    func check(_ keys: ClientMessageKeys) throws(SignatureRefusal) {
        guard abs(keys.now.timeIntervalSince(created)) <= Self.ageSecondsMax else {
            throw SignatureRefusal("The signature was created more than \(Int(Self.ageSecondsMax)) seconds ago or ahead. Sign each request anew, and set your clock.")
        }
        if let expires, expires <= keys.now { throw SignatureRefusal("The signature has expired. Sign each request anew.") }
        guard keys.isValid(signature, over: base.bytes, keyID: keyID, algorithm: algorithm) else {
            throw SignatureRefusal("No registered P-256 or Ed25519 key of your client signed these lines: " + base.components.map(\.identifier).joined(separator: ", ") + ".")
        }
    }

    // MARK: Fields

    /// Nothing for what is no dictionary (RFC 9651 §4.2.2).
    private static func dictionary(_ field: String) -> [(String, ItemOrInnerList)] {
        var parser = StructuredFieldValueParser(Array(field.utf8))
        return ((try? parser.parseDictionaryFieldValue()).map { $0.map { ($0.0, $0.1) } }) ?? []
    }

    /// Of a label that stands twice in one field the parser takes the last (RFC 9651 §4.2.2), and another reader perhaps the first.
    private static func isOnce(_ label: String, in field: String) -> Bool {
        var rest = Substring(field), count = 0
        while let found = rest.firstRange(of: label + "=") {
            count += 1
            rest = rest[found.upperBound...]
        }
        return count == 1
    }

    private static func names(of list: InnerList) throws(SignatureRefusal) -> [String] {
        var names: [String] = []
        for item in list.bareInnerList {
            guard case .string(let name) = item.rfc9651BareItem, item.rfc9651Parameters.isEmpty, !names.contains(name) else {
                throw SignatureRefusal("Covered components are names without parameters, each once.")
            }
            names.append(name)
        }
        return names
    }

    /// RFC 9421 §2.1, §2.2.
    private static func value(of name: String, _ request: Request, origin: String) throws(SignatureRefusal) -> String {
        let (path, query) = (request.uri.path, request.uri.query)
        switch name {
        case "@method": return request.method.rawValue
        case "@target-uri": return origin + request.uri.string
        case "@authority": return origin.split(separator: "/").last.map(String.init) ?? ""
        case "@scheme": return origin.split(separator: ":").first.map(String.init) ?? ""
        case "@request-target": return request.uri.string
        case "@path": return path.isEmpty ? "/" : path
        case "@query": return "?" + (query ?? "")
        default:
            guard let field = HTTPField.Name(name), name == name.lowercased(), !request.headers[values: field].isEmpty else {
                throw SignatureRefusal("The signature covers \(name), which this request does not have.")
            }
            return request.headers[values: field].map { $0.trimmingCharacters(in: .whitespaces) }.joined(separator: ", ")
        }
    }

    private static func text(_ item: RFC9651BareItem?) -> String? {
        if case .string(let text)? = item { text } else { nil }
    }

    /// As long as anybody's name for a signature is; it stands twice in every answer and in what is kept of it.
    private static let labelBytesMax = 64

    /// The label that `Accept-Signature` asks for (§5.1); nil where it cannot be read or is too long.
    static func label(acceptedBy field: String) -> String? {
        let wishes = dictionary(field)
        return wishes.count == 1 && wishes[0].0.utf8.count <= labelBytesMax ? wishes[0].0 : nil
    }

    /// Whether a `Content-Digest` is that of a body: by SHA-256 (RFC 9530 §2). Other algorithms beside it are not looked at.
    static func isDigest(_ field: String, of body: [UInt8]) -> Bool {
        guard case .item(let item)? = dictionary(field).first(where: { $0.0 == "sha-256" })?.1, case .undecodedByteSequence(let text) = item.rfc9651BareItem else {
            return false
        }
        return Data(base64Encoded: text).map(Array.init) == Array(SHA256.hash(data: body))
    }
}
