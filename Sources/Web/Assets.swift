// Start-up and `/assets/…`: files whose address holds the hash of their content, so that browsers keep them for good.
import Crypto
import Foundation
import HTTPTypes
import Hummingbird
import NIOCore

/// The static files of the site, all in memory: there is one stylesheet, perhaps a few pictures.
public struct Assets: Sendable {
    struct Asset: Sendable {
        let path: String
        let contentType: String
        let body: ByteBuffer
        let eTag: String
    }

    /// Why an asset cannot be served.
    public enum Failure: Error, CustomStringConvertible {
        case unreadable(String)
        case unknownType(String)

        public var description: String {
            switch self {
            case .unreadable(let file): "asset \(file) cannot be read"
            case .unknownType(let file): "asset \(file) has an extension that is not served; add its content type to Assets"
            }
        }
    }

    private static let contentTypes = [
        "css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml", "png": "image/png", "ico": "image/x-icon",
        "txt": "text/plain; charset=utf-8",
    ]

    private let byName: [String: Asset]
    private let byPath: [String: Asset]

    init(directory: String) throws {
        var byName: [String: Asset] = [:]
        guard let files = try? FileManager.default.contentsOfDirectory(atPath: directory) else { throw Failure.unreadable(directory) }
        for file in files where !file.hasPrefix(".") {
            guard let data = FileManager.default.contents(atPath: "\(directory)/\(file)") else { throw Failure.unreadable(file) }
            guard let dot = file.lastIndex(of: "."), let type = Self.contentTypes[String(file[file.index(after: dot)...])] else {
                throw Failure.unknownType(file)
            }
            let bytes = file.hasSuffix(".css") ? Self.compact(data) : data
            let hash = SHA256.hash(data: bytes).prefix(8).map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
            byName[file] = Asset(
                path: "/assets/\(file[..<dot]).\(hash)\(file[dot...])", contentType: type, body: ByteBuffer(bytes: bytes),
                eTag: "\"\(hash)\"")
        }
        self.byName = byName
        byPath = Dictionary(byName.values.map { ($0.path, $0) }) { first, _ in first }
    }

    /// A stylesheet without comments, indentation and line ends: written for readers, sent for phones.
    static func compact(_ stylesheet: Data) -> Data {
        var text = ""
        var rest = String(decoding: stylesheet, as: UTF8.self)[...]
        while let open = rest.range(of: "/*") {
            text += rest[..<open.lowerBound]
            rest = rest[open.upperBound...].range(of: "*/").map { rest[$0.upperBound...] } ?? ""
        }
        text += rest
        var compact = ""
        for line in text.split(separator: "\n").lazy.map({ $0.drop(while: { $0 == " " }) }) {
            // Where a line ends inside a value, a space must stay.
            if let last = compact.last, !"{};,".contains(last) { compact += " " }
            compact += line
        }
        return Data(compact.utf8)
    }

    /// The address of a file, with its hash; the plain address (which answers 404) when there is no such file.
    func path(_ name: String) -> String { byName[name]?.path ?? "/assets/\(name)" }

    /// The file at an address, as the browser may keep it: for a year, which is for good (RFC 8246 `immutable`).
    func response(path: String) throws -> Response {
        guard let asset = byPath[path] else { throw Problem.notFound }
        return Response(
            status: .ok,
            headers: [
                .contentType: asset.contentType, .cacheControl: "public, max-age=31536000, immutable", .eTag: asset.eTag,
            ], body: .init(byteBuffer: asset.body))
    }
}
