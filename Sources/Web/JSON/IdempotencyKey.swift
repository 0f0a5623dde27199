// The header of draft-ietf-httpapi-idempotency-key-header: what a program sends with a POST that makes something, so that it can send
// it again. What a key led to is kept in web.idempotency_key, by the functions that act on it.
import Crypto
import HTTPTypes
public import Hummingbird

/// The `Idempotency-Key` of a request, and the hash of what came with it.
public struct IdempotencyKey: Sendable, Hashable {
    public let text: String
    public let requestHash: [UInt8]

    /// - Parameters:
    ///   - path: counts as part of the request, so that a key does not stand for another resource.
    ///   - body: as it was sent, byte for byte.
    public init(_ text: String, path: String, body: [UInt8]) {
        self.text = text
        var hash = SHA256()
        hash.update(data: Array(path.utf8))
        hash.update(data: [0])
        hash.update(data: body)
        requestHash = Array(hash.finalize())
    }

    /// A UUID has 36 characters; longer keys than this are somebody's document.
    static let charactersMax = 255

    /// Keys are the client's; printable ASCII keeps them the same in every log and database (draft-ietf-httpapi-idempotency-key-header §2).
    public static func isKey(_ text: String) -> Bool {
        (1...charactersMax).contains(text.utf8.count) && text.utf8.allSatisfy { (0x21...0x7E).contains($0) }
    }
}

extension Request {
    /// The key that came with the request, sent once.
    /// - Throws: `Problem` 400 when there is none, or it is none.
    public func idempotencyKey() throws -> String {
        guard let name = HTTPField.Name("Idempotency-Key"), case let keys = headers[values: name], let key = keys.first, !key.isEmpty else {
            throw Problem.idempotencyKeyMissing
        }
        guard keys.count == 1, IdempotencyKey.isKey(key) else { throw Problem.idempotencyKeyInvalid }
        return key
    }
}

extension Problem {
    static let idempotencyKeyMissing = Problem(
        "idempotency-key-missing", status: .badRequest, title: "Idempotency-Key missing",
        detail: "Send an Idempotency-Key header with a fresh value, such as a UUID, and send the same value again when you repeat the request.")
    static let idempotencyKeyInvalid = Problem(
        "idempotency-key-invalid", status: .badRequest, title: "Idempotency-Key invalid",
        detail: "Send one Idempotency-Key of 1 to \(IdempotencyKey.charactersMax) printable ASCII characters without spaces.")

    /// The key came with another request before.
    public static let idempotencyKeyReused = Problem(
        "idempotency-key-reused", status: .unprocessableContent, title: "Idempotency-Key used before",
        detail: "This key came with another request. Send each new request with a key of its own.")
}
