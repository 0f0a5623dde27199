// Reads and lists that both sides can prove later (RFC 9421, RFC 9530): a signed request is checked before anybody reads it, and the answer is
// signed over its digest and over what identifies the request. Stoa keeps digests and signatures beside the access entry, never a body. Requests
// that ask for none of it go straight through.
// Decided in `exchange.use_nonce` (0027_signed_requests.sql); `exchange.keep_proof` (0024_notices.sql).
import Crypto
import Foundation
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import OpenID
import Postgres
import Primitives
import TransparencyLog
import Web

extension HTTPField.Name {
    static let acceptSignature = HTTPField.Name("Accept-Signature") ?? .eTag
}

/// What stands around a handler of the exchange.
struct SignedExchange: Sendable {
    let database: Database
    let signer: Ed25519NoteSigner
    /// Of the site, without a slash at the end.
    let origin: String

    typealias Handler = @Sendable (Request, BearerContext) async throws -> Response

    /// The handler with signatures around it.
    func around(_ handler: @escaping Handler) -> Handler {
        { request, context in
            guard request.headers.contains(.signature) || request.headers.contains(.acceptSignature) || request.headers.contains(.signatureInput) else {
                return try await handler(request, context)
            }
            return try await exchange(request, context, handler)
        }
    }

    /// The largest body of the exchange's handlers.
    private static let bodyBytesMax = ExchangeListBody.bytesMax

    private func exchange(_ request: Request, _ context: BearerContext, _ handler: Handler) async throws -> Response {
        let body = try await context.jsonValue(request, bytesMax: Self.bodyBytesMax).bytes
        let signed = try await check(request, body, context)
        let inner = Request(head: request.head, body: RequestBody(buffer: ByteBuffer(bytes: body)))
        var answer: Response
        do { answer = try await handler(inner, context) } catch let problem as Problem { answer = context.response(to: problem) }
        let bytes = try await answer.body.collected()
        let digest = Array(SHA256.hash(data: Array(bytes.readableBytesView)))
        answer.headers[.contentDigest] = ContentDigest.field(digest)
        let label = request.headers[.acceptSignature].flatMap { SignedRequest.label(acceptedBy: $0) } ?? "stoa"
        let fields = try signer.messageFields(label: label, components(of: answer, to: request, signed), created: Date())
        answer.headers.append(contentsOf: fields)
        try await keep(
            SignedAnswer(
                entry: accessEntry(in: bytes), requestDigest: Array(SHA256.hash(data: body)), requestInput: signed.map { _ in request.headers[.signatureInput] ?? "" },
                requestSignature: signed?.signature, status: answer.status.code, digest: digest, input: fields[.signatureInput] ?? "",
                signature: fields[.signature] ?? ""),
            context)
        return Response(status: answer.status, headers: answer.headers, body: ResponseBody(byteBuffer: bytes))
    }

    /// - Returns: the request's signature; nil where it has none.
    private func check(_ request: Request, _ body: [UInt8], _ context: BearerContext) async throws -> SignedRequest? {
        if let field = request.headers[.contentDigest], !SignedRequest.isDigest(field, of: body) { throw Problem.contentDigestWrong }
        // Half a signature is none: something on the way took the other half, and the sender should know.
        guard request.headers.contains(.signature) || request.headers.contains(.signatureInput) else { return nil }
        do {
            let signed = try SignedRequest(request, origin: origin)
            guard let keys = try await ClientMessageKeys.find(of: context.credential, in: database) else { throw BearerContext.invalidToken }
            try signed.check(keys)
            let nonce = UseNonce(credential: context.credential, nonce: signed.nonce, endsAt: signed.endsAt)
            guard try await database.exclusive({ try await $0.one(nonce) }) else {
                throw SignatureRefusal("A request with this nonce was answered already. Sign each request anew, with a nonce of its own.")
            }
            return signed
        } catch let refusal as SignatureRefusal {
            context.logger.notice("message signature refused", metadata: ["reason": "\(refusal.reason)"])
            throw Problem.signatureInvalid(refusal.reason)
        }
    }

    /// Status and content of the answer; and of the request what was done where, its body's digest and its signature, where it has them (§2.4).
    private func components(of answer: Response, to request: Request, _ signed: SignedRequest?) -> [SignatureBase.Component] {
        var components: [SignatureBase.Component] = [
            .init("@status", String(answer.status.code)), .init("content-type", answer.headers[.contentType] ?? ""),
            .init("content-digest", answer.headers[.contentDigest] ?? ""),
            .init("@method", request.method.rawValue, parameters: ";req"), .init("@target-uri", origin + request.uri.string, parameters: ";req"),
        ]
        if let digest = request.headers[.contentDigest] { components.append(.init("content-digest", digest, parameters: ";req")) }
        if let signed {
            components.append(
                .init("signature", ":\(Data(signed.signature).base64EncodedString()):", parameters: ";req;key=\"\(signed.label)\""))
        }
        return components
    }

    /// The entry that an answer names; of a list, that of its first subject. Nil: nothing was logged, and there is nothing to prove.
    private func accessEntry(in body: ByteBuffer) -> UUID? {
        let json = (try? JSONScanner.scan(Array(body.readableBytesView))) ?? .null
        var first = JSONValue.null
        if case .array(let items)? = json["items"], let item = items.first { first = item }
        return (json["access_entry"] ?? first["access_entry"])?.text.flatMap { UUID(text: $0) }
    }

    private func keep(_ answer: SignedAnswer, _ context: BearerContext) async throws {
        guard answer.entry != nil else { return }
        try await database.execute(keepProof(answer, credential: context.credential))
    }
}

/// What is kept of one signed exchange.
struct SignedAnswer: Sendable {
    let entry: UUID?
    let requestDigest: [UInt8]
    /// Signature-Input of the request; nil where it was not signed.
    let requestInput: String?
    let requestSignature: [UInt8]?
    let status: Int
    let digest: [UInt8]
    let input: String
    let signature: String
}

/// `exchange.use_nonce`: false when it was used before. It waits for whoever uses the same one, so it belongs on an exclusive connection.
private struct UseNonce: Query {
    let credential: CredentialHash
    let nonce: String
    let endsAt: Date

    var sql: SQL { "SELECT exchange.use_nonce(\(credential.bytes), \(Array(SHA256.hash(data: Array(nonce.utf8)))), \(endsAt))" }
    func decode(_ row: inout RowReader) throws -> Bool { try row.next() }
}

/// `exchange.keep_proof`.
private func keepProof(_ answer: SignedAnswer, credential: CredentialHash) -> SQL {
    """
    SELECT exchange.keep_proof(\(credential.bytes), \(answer.entry as UUID?), \(answer.requestDigest), \(answer.requestInput as String?),
        \(answer.requestSignature as [UInt8]?), \(Int32(answer.status))::smallint, \(answer.digest), \(answer.input), \(answer.signature))
    """
}

extension Problem {
    fileprivate static let contentDigestWrong = Problem(
        "content-digest-wrong", status: .badRequest, title: "Content digest wrong",
        detail: "Content-Digest must hold the SHA-256 of the body as it was sent (RFC 9530): sha-256=:…:. Nothing was read.")

    fileprivate static func signatureInvalid(_ reason: String) -> Problem {
        Problem(
            "signature-invalid", status: .unauthorized, title: "Signature invalid", detail: reason + " Nothing was read.",
            headers: [
                .wwwAuthenticate: "Bearer realm=\"stoa\"",
                .acceptSignature: #"sig=("@method" "@target-uri" "content-digest");created;keyid"#,
            ])
    }
}
