// The way out for short messages: a POST to the gateway that the city's settings name. The operator chose its address, so it may lie inside the city's network.
import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1
public import Primitives
import Web

/// Posts `{"id", "to", "text"}` as JSON. 2xx is taken as sent; 408, 425, 429 and 5xx are tried again; any other answer is final.
public struct ShortMessageWebhook: ShortMessageAdapter {
    private let url: String
    private let token: Redacted<String>?

    /// A gateway that has not answered by then is tried again a minute later.
    private static let secondsMax: Int64 = 15

    /// - Parameters:
    ///   - url: https, or http on this machine.
    ///   - token: sent as a bearer token (RFC 6750) where the gateway wants one.
    public init?(url: String, token: Redacted<String>?) {
        guard let parts = URLComponents(string: url), let host = parts.host, let scheme = parts.scheme, parts.user == nil, parts.password == nil, parts.fragment == nil,
            scheme == "https" || (scheme == "http" && BaseURL.isLoopback(host))
        else { return nil }
        self.url = url
        self.token = token
    }

    public func send(_ message: ShortMessage, to number: PhoneNumber, id: OutgoingID) async -> SendOutcome {
        var request = HTTPClientRequest(url: url)
        request.method = .POST
        request.headers.add(name: "content-type", value: "application/json")
        // Ours stays the same when it is tried again, so that a gateway that took it before can tell.
        request.headers.add(name: "idempotency-key", value: id.description)
        if let token { request.headers.add(name: "authorization", value: "Bearer \(token.reveal())") }
        let body: JSONValue = ["id": .string(id.description), "to": .string(number.text), "text": .string(message.text)]
        request.body = .bytes(ByteBuffer(bytes: body.serialised()))
        var configuration = HTTPClient.Configuration(redirectConfiguration: .disallow, timeout: .init(connect: .seconds(5)))
        configuration.httpVersion = .http1Only
        let client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        let outcome: SendOutcome
        do {
            let response = try await client.execute(request, timeout: .seconds(Self.secondsMax))
            outcome = Self.outcome(status: Int(response.status.code))
        } catch let error as HTTPClientError where error == .connectTimeout || error == .deadlineExceeded || error == .readTimeout {
            outcome = .later("timed out")
        } catch {
            outcome = .later("connection failed")
        }
        try? await client.shutdown()
        return outcome
    }

    static func outcome(status: Int) -> SendOutcome {
        switch status {
        case 200...299: .sent("status \(status)")
        // 401 and 403 are about the city's own token: mended there, the message still goes out.
        case 401, 403, 408, 425, 429, 500...599: .later("status \(status)")
        default: .refused("status \(status)")
        }
    }
}
