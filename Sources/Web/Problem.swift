// What went wrong, as both faces say it: problem+json to machines, a page in the reader's language to people. Slices
// throw these (`extension Problem { static … }` in one file a slice); ErrorPages turns them into responses.
public import HTTPTypes
public import Hummingbird
import NIOCore

/// A refusal or failure by RFC 9457.
public struct Problem: Error, Sendable {
    /// The stable name: `type` is `<base_url>/problems/<slug>`. Lower case with dashes.
    public var slug: String
    public var status: HTTPResponse.Status
    /// What kind of problem this is, in English, the same each time.
    public var title: String
    /// What happened here and what to do about it, in English. No personal data beyond what the caller sent.
    public var detail: String
    /// One entry a bad field.
    public var errors: [FieldProblem]
    /// Headers of the response, such as `Retry-After` or `WWW-Authenticate`.
    public var headers: HTTPFields
    /// Further members of the document (RFC 9457 §3.2), in this order.
    public var members: [(name: String, value: JSONValue)]
    /// Catalogue key of the page for people: `<pageKey>.title` and `<pageKey>.detail`. Nil shows the page of the status.
    public var pageKey: String?

    public init(
        _ slug: String, status: HTTPResponse.Status, title: String, detail: String, errors: [FieldProblem] = [], headers: HTTPFields = [:],
        members: [(name: String, value: JSONValue)] = [], pageKey: String? = nil
    ) {
        self.slug = slug
        self.status = status
        self.title = title
        self.detail = detail
        self.errors = errors
        self.headers = headers
        self.members = members
        self.pageKey = pageKey
    }
}

extension PageContext {
    /// The `type` of a problem: for answers that tell about many things, some of which went wrong.
    public func problemType(_ problem: Problem) -> String { problem.type(baseURL: web.services.configuration.baseURL) }

    /// The answer of the JSON face, for who has to see its bytes before it goes out; otherwise throw the problem.
    public func response(to problem: Problem) -> Response { problem.response(baseURL: web.services.configuration.baseURL) }
}

/// What is wrong with one field of a JSON body.
public struct FieldProblem: Sendable, Hashable {
    /// The field's name, or a path like `attributes[2]`.
    public var field: String
    /// A stable word for programs: `missing`, `unknown`, `wrong_type`, `too_long`, …
    public var code: String
    /// What to do, in English.
    public var detail: String

    public init(field: String, code: String, detail: String) {
        self.field = field
        self.code = code
        self.detail = detail
    }
}

extension Problem {
    /// The document as JSON, members in RFC 9457's order.
    func document(baseURL: BaseURL) -> JSONValue {
        var object: [JSONMember] = [
            JSONMember("type", .string(type(baseURL: baseURL))),
            JSONMember("title", .string(title)),
            JSONMember("status", .integer(Int64(status.code))),
            JSONMember("detail", .string(detail)),
        ]
        if !errors.isEmpty {
            let list = errors.map { error in
                JSONValue.object([
                    JSONMember("field", .string(error.field)), JSONMember("code", .string(error.code)),
                    JSONMember("detail", .string(error.detail)),
                ])
            }
            object.append(JSONMember("errors", .array(list)))
        }
        for member in members { object.append(JSONMember(member.name, member.value)) }
        return .object(object)
    }

    fileprivate func type(baseURL: BaseURL) -> String { "\(baseURL.origin)/problems/\(slug)" }

    /// The answer of the JSON face.
    func response(baseURL: BaseURL) -> Response {
        var headers = self.headers
        headers[.contentType] = "application/problem+json"
        return Response(
            status: status, headers: headers, body: .init(byteBuffer: ByteBuffer(bytes: document(baseURL: baseURL).serialised())))
    }
}

// MARK: - The problems of the web layer itself

extension Problem {
    public static let notFound = Problem(
        "not-found", status: .notFound, title: "Not found", detail: "There is nothing at this address. Check it against /api/openapi.yaml.")

    static func methodNotAllowed(_ methods: [String]) -> Problem {
        let list = methods.joined(separator: ", ")
        return Problem(
            "method-not-allowed", status: .methodNotAllowed, title: "Method not allowed",
            detail: "This address answers \(list) only.", headers: [.allow: list])
    }

    static func bodyTooLarge(bytesMax: Int) -> Problem {
        Problem(
            "body-too-large", status: .contentTooLarge, title: "Body too large",
            detail: "Send at most \(bytesMax) bytes.", headers: [.connection: "close"])
    }

    /// Where one request ends and the next begins cannot be told any more, so the connection ends too (RFC 9112 §6.3).
    static let malformedFraming = Problem(
        "malformed-request", status: .badRequest, title: "Malformed request",
        detail: "The body is not framed as its headers say. Send Content-Length, or Transfer-Encoding: chunked.",
        headers: [.connection: "close"])

    static let bodyTooSlow = Problem(
        "body-too-slow", status: .requestTimeout, title: "Body too slow",
        detail: "The body did not arrive in time. Send the request again.", headers: [.connection: "close"])

    static func wrongContentType(expected: String) -> Problem {
        Problem(
            "wrong-content-type", status: .unsupportedMediaType, title: "Wrong content type", detail: "Send the body as \(expected).",
            headers: [.accept: expected])
    }

    static func malformedJSON(_ reason: String) -> Problem {
        Problem("malformed-json", status: .badRequest, title: "Malformed JSON", detail: reason)
    }

    static func invalidBody(_ errors: [FieldProblem]) -> Problem {
        Problem(
            "invalid-body", status: .badRequest, title: "Invalid body",
            detail: "Mend the fields listed under errors and send the request again.", errors: errors)
    }

    static func malformedForm(_ reason: String) -> Problem {
        Problem("malformed-form", status: .badRequest, title: "Malformed form", detail: reason)
    }

    /// A parameter that says where a list goes on, and was not taken from an answer of ours.
    public static func malformedCursor(_ name: String = "cursor") -> Problem {
        Problem(
            "malformed-cursor", status: .badRequest, title: "Malformed cursor",
            detail: "Take \(name) from next_cursor of the answer before, or leave it out to begin at the newest.",
            errors: [FieldProblem(field: name, code: "malformed", detail: "This is no cursor.")])
    }

    static func duplicateParameter(_ name: String) -> Problem {
        Problem(
            "duplicate-parameter", status: .badRequest, title: "Duplicate parameter",
            detail: "Send the parameter \(name) once.", errors: [FieldProblem(field: name, code: "duplicate", detail: "Send it once.")])
    }

    static let csrfTokenInvalid = Problem(
        "form-token-invalid", status: .forbidden, title: "Form token missing or out of date",
        detail: "Go back, reload the page and send the form again.", pageKey: "errors.form_token")

    /// The wrong role, or another resident's thing that need not be hidden.
    public static let forbidden = Problem(
        "forbidden", status: .forbidden, title: "Not allowed",
        detail: "Your account may not do this. Ask an administrator for the role it needs.")

    /// An organisation's token at an address of residents' apps.
    static let organisationToken = Problem(
        "forbidden", status: .forbidden, title: "Wrong kind of access token",
        detail: "This access token is an organisation's, and this address answers residents' apps. A resident gives an app its token at /oauth/authorize.")

    /// Too much at once, or no database: nothing was carried out. Retry after the given seconds.
    public static func busy(retryAfterSeconds: Int = 5) -> Problem {
        Problem(
            "service-unavailable", status: .serviceUnavailable, title: "Service unavailable",
            detail: "The service cannot answer just now. Try again in \(retryAfterSeconds) seconds.",
            headers: [.retryAfter: String(retryAfterSeconds)])
    }

    /// The work was cut off when it may have been saved already.
    static let outcomeUnknown = Problem(
        "outcome-unknown", status: .serviceUnavailable, title: "Outcome unknown",
        detail: "The request was cut off; it may or may not have been carried out. Look first, or send it again with the same Idempotency-Key.",
        headers: [.retryAfter: "5"])

    public static let internalError = Problem(
        "internal-error", status: .internalServerError, title: "Internal error",
        detail: "Something went wrong on our side. Quote the request id when you report it.")

    /// No token, or one that is unknown, expired or revoked (RFC 6750 §3.1).
    static func unauthorised(_ error: String?) -> Problem {
        let challenge = error.map { "Bearer realm=\"stoa\", error=\"\($0)\"" } ?? "Bearer realm=\"stoa\""
        return Problem(
            "unauthorised", status: .unauthorized, title: "Access token needed",
            detail: "Send a valid access token: Authorization: Bearer <token>. Its endpoint is in /.well-known/oauth-authorization-server.",
            headers: [.wwwAuthenticate: challenge])
    }

    /// The token lacks a scope (RFC 6750 §3.1 `insufficient_scope`).
    public static func insufficientScope(_ scope: String) -> Problem {
        Problem(
            "insufficient-scope", status: .forbidden, title: "Insufficient scope",
            detail: "The access token lacks the scope \(scope). Ask for it when the token is requested.",
            headers: [.wwwAuthenticate: "Bearer realm=\"stoa\", error=\"insufficient_scope\", scope=\"\(scope)\""])
    }
}

/// Not an error but a way on: thrown by contexts that need a sign-in first, answered with 303 See Other.
public struct Redirection: Error, Sendable {
    public let location: String

    /// - Parameter location: a path of this site, or a checked address elsewhere.
    public init(to location: String) {
        self.location = location
    }
}
