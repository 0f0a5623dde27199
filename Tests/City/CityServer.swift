// The site with some slices, driven as a browser or a client drives it, without a socket.
import Foundation
public import HTTPTypes
import Hummingbird
public import HummingbirdTesting
import Logging
import NIOCore
import Postgres
import TestSupport
public import Web

extension CityFixture {
    /// Serves the slices that `add` puts on the site, while `body` talks to them.
    public func serve<Value>(
        _ add: (Site) throws -> Void, _ body: @Sendable (any TestClientProtocol) async throws -> Value
    ) async throws -> Value {
        let configuration = WebConfiguration(
            baseURL: try BaseURL("http://localhost:8080"), rootDirectory: TestCluster.projectRoot.path, requestLog: { _ in })
        let site = try Site(configuration: configuration, resolve: Site.resolver(using: app))
        try add(site)
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        return try await WebApplication.build(site: site, logger: logger).test(.router, body)
    }
}

/// What a page or an API answered.
public struct CityAnswer: Sendable {
    public let status: Int
    public let headers: HTTPFields
    public let text: String

    public init(_ response: TestResponse) {
        status = response.status.code
        headers = response.headers
        text = String(buffer: response.body)
    }

    /// The body as JSON; null when it is none.
    public var json: JSONValue { (try? JSONScanner.scan(Array(text.utf8))) ?? .null }

    /// The slug of a problem's type.
    public var problem: String? {
        guard headers[.contentType] == "application/problem+json" else { return nil }
        return json["type"]?.text.flatMap { $0.split(separator: "/").last.map(String.init) }
    }
}

/// A browser without scripts: keeps cookies, and sends a form with the token of the page that it saw last.
public final class CityBrowser {
    private let client: any TestClientProtocol
    /// What it holds at this moment, for another tab.
    public private(set) var cookies: [String: String] = [:]
    private var formToken: String?
    public var acceptLanguage: String?

    /// - Parameters:
    ///   - session: of somebody who is signed in already.
    ///   - cookies: of the browser of which this is another tab, or the next visit.
    public init(_ client: any TestClientProtocol, session: FixtureCredential? = nil, cookies: [String: String] = [:]) {
        self.client = client
        self.cookies = cookies
        if let session { self.cookies["stoa_session"] = session.token }
    }

    public func get(_ path: String) async throws -> CityAnswer {
        try await send(.get, path, body: nil)
    }

    /// Sends a form; `form_token` is added unless the fields bring one.
    public func post(_ path: String, _ fields: [(String, String)]) async throws -> CityAnswer {
        var fields = fields
        if !fields.contains(where: { $0.0 == "form_token" }), let formToken { fields.append(("form_token", formToken)) }
        let body = fields.map { Self.escape($0.0) + "=" + Self.escape($0.1) }.joined(separator: "&")
        return try await send(.post, path, body: body)
    }

    private func send(_ method: HTTPRequest.Method, _ path: String, body: String?) async throws -> CityAnswer {
        var headers: HTTPFields = [:]
        if !cookies.isEmpty { headers[.cookie] = cookies.map { "\($0)=\($1)" }.sorted().joined(separator: "; ") }
        if let acceptLanguage { headers[.acceptLanguage] = acceptLanguage }
        if body != nil { headers[.contentType] = "application/x-www-form-urlencoded" }
        let response = try await client.executeRequest(uri: path, method: method, headers: headers, body: body.map { ByteBuffer(string: $0) })
        let answer = CityAnswer(response)
        for header in answer.headers[values: .setCookie] { keep(header) }
        if let token = answer.text.firstMatch(of: /name="form_token" value="([^"]+)"/)?.1 { formToken = String(token) }
        return answer
    }

    private func keep(_ header: String) {
        let pair = header.prefix { $0 != ";" }.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard let name = pair.first.map(String.init), let value = pair.last.map(String.init) else { return }
        cookies[name] = header.contains("Max-Age=0") ? nil : value
    }

    private static func escape(_ text: String) -> String {
        text.utf8.map { byte in
            let character = Character(Unicode.Scalar(byte))
            return character.isASCII && (character.isLetter || character.isNumber)
                ? String(character) : "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }.joined()
    }
}

/// A program with an access token.
public struct CityAPIClient: Sendable {
    private let client: any TestClientProtocol
    private let token: String?

    public init(_ client: any TestClientProtocol, token: FixtureCredential?) {
        self.client = client
        self.token = token?.token
    }

    public func get(_ path: String, acceptLanguage: String? = nil) async throws -> CityAnswer {
        try await send(.get, path, json: nil, acceptLanguage: acceptLanguage)
    }

    public func post(_ path: String, _ json: String, idempotencyKey: String? = nil) async throws -> CityAnswer {
        try await send(.post, path, json: json, idempotencyKey: idempotencyKey)
    }

    public func delete(_ path: String) async throws -> CityAnswer { try await send(.delete, path, json: nil) }
    public func put(_ path: String, _ json: String) async throws -> CityAnswer { try await send(.put, path, json: json) }

    private func send(
        _ method: HTTPRequest.Method, _ path: String, json: String?, acceptLanguage: String? = nil, idempotencyKey: String? = nil
    ) async throws -> CityAnswer {
        var headers: HTTPFields = [:]
        if let token { headers[.authorization] = "Bearer \(token)" }
        if json != nil { headers[.contentType] = "application/json" }
        if let acceptLanguage { headers[.acceptLanguage] = acceptLanguage }
        if let idempotencyKey, let name = HTTPField.Name("Idempotency-Key") { headers[name] = idempotencyKey }
        return CityAnswer(
            try await client.executeRequest(uri: path, method: method, headers: headers, body: json.map { ByteBuffer(string: $0) }))
    }
}
