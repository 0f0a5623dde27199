// Second of the middleware: what finally travels. Revalidation by ETag, gzip, and no body for HEAD.
import Crypto
public import HTTPTypes
public import Hummingbird
public import NIOCore
import Primitives

extension HTTPField.Name {
    /// RFC 9530.
    public static let contentDigest = HTTPField.Name("Content-Digest") ?? .eTag
}

/// Answers 304 when the browser has the same bytes, and compresses text that is worth it.
struct Delivery: RouterMiddleware {
    typealias Context = WebContext

    private let gzip = GzipPool()

    func handle(_ request: Request, context: WebContext, next: (Request, WebContext) async throws -> Response) async throws -> Response {
        let response = try await next(request, context)
        let delivered = try await deliver(response, to: request, context: context)
        guard request.method == .head else { return delivered }
        return Response(status: delivered.status, headers: delivered.headers)
    }

    private func deliver(_ response: Response, to request: Request, context: WebContext) async throws -> Response {
        var headers = response.headers
        let isCompressible = Self.isCompressible(headers[.contentType])
        if isCompressible { headers[.vary] = context.state.face == .page ? "Accept-Encoding, Accept-Language, Cookie" : "Accept-Encoding" }
        let revalidates = response.status == .ok && (headers[.eTag] != nil || headers[.cacheControl] == "no-cache")
        let compresses = isCompressible && mayCompress(response, to: request, context: context)
        guard revalidates || compresses else {
            return Response(status: response.status, headers: headers, body: response.body)
        }
        var body = try await response.body.collected()
        let tag = headers[.eTag] ?? Self.strongTag(of: body)
        if revalidates, Self.matches(request.headers[.ifNoneMatch], tag: tag) {
            headers[.eTag] = tag
            headers[.contentType] = nil
            headers[.contentLength] = nil
            return Response(status: .notModified, headers: headers)
        }
        let compressed = compresses ? gzip.compress(body) : nil
        if let compressed {
            body = compressed
            headers[.contentEncoding] = "gzip"
        }
        // A strong tag names exact bytes, so the compressed form has one of its own (RFC 9110 §8.8.3.3).
        if revalidates { headers[.eTag] = compressed == nil ? tag : "\(tag.dropLast())-gz\"" }
        headers[.contentLength] = String(body.readableBytes)
        return Response(status: response.status, headers: headers, body: .init(byteBuffer: body))
    }

    // MARK: Compression

    private func mayCompress(_ response: Response, to request: Request, context: WebContext) -> Bool {
        guard let length = response.body.contentLength, length >= context.services.configuration.limits.compressedBytesMin else {
            return false
        }
        guard Self.acceptsGzip(request.headers[.acceptEncoding]) else { return false }
        // A digest, and a signature over it, is of the bytes that travel (RFC 9530 §2).
        guard !response.headers.contains(.contentDigest) else { return false }
        // Another site that makes a browser load our page could otherwise measure secrets by their compressed length.
        return !(request.headers[.cookie] != nil && request.headers[.secFetchSite] == "cross-site")
    }

    static func isCompressible(_ contentType: String?) -> Bool {
        guard let contentType else { return false }
        return contentType.hasPrefix("text/") || contentType.hasPrefix("application/json")
            || contentType.hasPrefix("application/problem+json")
            || contentType.hasPrefix("application/yaml") || contentType.hasPrefix("image/svg+xml")
    }

    /// RFC 9110 §12.5.3: named, or covered by the asterisk, and not with a weight of zero.
    static func acceptsGzip(_ header: String?) -> Bool {
        guard let header else { return false }
        var anything = false
        for item in header.split(separator: ",") {
            let parts = item.split(separator: ";").map { $0.filter { $0 != " " }.lowercased() }
            let weight = parts.dropFirst().first(where: { $0.hasPrefix("q=") }).flatMap { Double(String($0.dropFirst(2))) } ?? 1
            if parts.first == "gzip" || parts.first == "x-gzip" { return weight > 0 }
            if parts.first == "*" { anything = weight > 0 }
        }
        return anything
    }

    // MARK: Revalidation

    static func strongTag(of body: ByteBuffer) -> String {
        // 128 bits are beyond any collision by chance; the tag need not resist an enemy of ours.
        "\"" + Base64URL.encode(Array(SHA256.hash(data: body.readableBytesView)).prefix(16)) + "\""
    }

    /// Whether `If-None-Match` names this tag, in either of its two forms; weak comparison, as RFC 9110 §13.1.2 wants.
    static func matches(_ header: String?, tag: String) -> Bool {
        guard let header else { return false }
        let compressedTag = "\(tag.dropLast())-gz\""
        return header.split(separator: ",").contains { candidate in
            var candidate = candidate.drop(while: { $0 == " " })
            while candidate.last == " " { candidate.removeLast() }
            if candidate.hasPrefix("W/") { candidate = candidate.dropFirst(2) }
            return candidate == "*" || candidate == tag || candidate == compressedTag
        }
    }
}

extension ResponseBody {
    /// The bytes of a body, which Hummingbird gives to a writer only.
    public func collected() async throws -> ByteBuffer {
        let collected = Collected()
        try await write(CollectingWriter(collected: collected))
        return collected.buffer
    }
}

/// Where the bytes of one body gather. Touched by one task only, the one that answers the request.
private final class Collected: @unchecked Sendable {
    var buffer = ByteBuffer()
}

private struct CollectingWriter: ResponseBodyWriter {
    let collected: Collected

    mutating func write(_ buffer: ByteBuffer) async throws {
        if collected.buffer.readableBytes == 0 { collected.buffer = buffer } else { collected.buffer.writeImmutableBuffer(buffer) }
    }

    consuming func finish(_ trailingHeaders: HTTPFields?) async throws {}
}
